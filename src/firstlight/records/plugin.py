"""Where the components of a run come from that are not firstlight's own: recorded, kept to be read, asked for again.

The copy of the source in a run folder is for people. Nothing here imports it, or what the record names: whoever opens
a run names its plugins, or has them installed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firstlight import components, plugins
from firstlight.cautions import Caution
from firstlight.errors import PluginError, PluginWarning, brief
from firstlight.files import is_file, write_bytes
from firstlight.records.codec import omitted
from firstlight.text import listed

if TYPE_CHECKING:
    from firstlight.records.run_folder import RunFolder

SOURCES = "plugins"  # the folder with the copies, in that of the run
SHOWN = 12  # digits of a hash

_told: set[tuple[str, str, str]] = set()  # what was warned of: the run, the module, the hash that it has now


@dataclass(frozen=True, kw_only=True)
class PluginRecord:
    """A module that components of a run come from.

    components  what the run uses of it, by kind and name: "layer Scale"
    name        what brings it back: the path of a file, or the name of a module; "" where it was defined in a notebook
                or at the prompt
    module      what Python called it
    version     of the package; "" where it is of none
    sha256      of the source; "" where Python had none
    copy        the file in the run folder that holds the source; "" where there is none
    """

    components: tuple[str, ...]
    name: str = omitted("")
    module: str = omitted("")
    version: str = omitted("")
    sha256: str = omitted("")
    copy: str = omitted("")

    @property
    def called(self) -> str:
        """The name of the file, or of the module, for a person."""
        if not self.name:
            return "a notebook or script" if self.module == "__main__" else brief(self.module)
        return brief(Path(self.name).name if plugins.is_file_name(self.name) else self.name)

    @property
    def said(self) -> str:
        """What it is, its version and its hash, for a report."""
        about = [f"version {self.version}"] if self.version else []
        about += [f"SHA-256 {self.sha256[:SHOWN]}"] if self.sha256 else []
        told = f" ({', '.join(about)})" if about else ""
        return f"{listed(self.components)} of {self.called}{told}"


@dataclass(frozen=True, eq=False)
class UsedPlugins:
    """The plugins of a run that begins, and their sources by the name of the copy."""

    records: tuple[PluginRecord, ...]
    sources: Mapping[str, str]

    @classmethod
    def of(cls, *asked: Any) -> UsedPlugins:
        """Those whose components are named anywhere in plain values, such as an experiment's tables and a model's."""
        names = {text for value in asked for text in _texts(value)}
        found: dict[plugins.Origin, list[str]] = {}
        for registry in components.registries():
            for name, definition in registry.theirs().items():
                if name in names:
                    origin = plugins.origin_of(definition, registry.origin(name))
                    found.setdefault(origin, []).append(f"{registry.kind} {name}")
        records, sources = [], dict[str, str]()
        for origin, used in found.items():
            copy = ""
            if origin.source:
                stem = Path(origin.name).stem if plugins.is_file_name(origin.name) else origin.module
                copy = next(name for name in _numbered(stem) if name not in sources)
                sources[copy] = origin.source
            records.append(
                PluginRecord(
                    components=tuple(used),
                    name=origin.name,
                    module=origin.module,
                    version=origin.version,
                    sha256=origin.sha256,
                    copy=copy,
                )
            )
        return cls(tuple(records), sources)

    def write_sources(self, run: Path) -> None:
        """Keep the sources in the folder of the run."""
        for name, source in self.sources.items():
            (run / name).parent.mkdir(exist_ok=True)
            write_bytes(run / name, source.encode())


def require_plugins(folder: RunFolder) -> None:
    """Raise PluginError, with what to do, where a component of a run is of a plugin that is not loaded.

    A plugin that is not what the run recorded is warned of, once.
    """
    if not folder.has_environment:
        return
    recorded = folder.environment.last.plugins
    here = {one: [_origin(component) for component in one.components] for one in recorded}
    if missing := [one for one, origins in here.items() if None in origins]:
        raise PluginError(f"{folder.path} needs {_advice(missing, folder.path)}", origin=str(folder.path))
    for one, (now, *_) in here.items():
        assert now is not None
        told = (str(folder.path), one.module, now.sha256)
        if one.sha256 and now.sha256 != one.sha256 and told not in _told:
            _told.add(told)
            kept = f" The version it was trained with is kept in {folder.path / one.copy}." if one.copy else ""
            version = f", version {one.version} then and {now.version} now" if one.version != now.version else ""
            warnings.warn(
                Caution.PLUGIN_CHANGED.text(
                    f"{folder.path} was trained with another version of {one.called}{version}: its SHA-256 was "
                    f"{one.sha256[:SHOWN]}, "
                    f"and is {now.sha256[:SHOWN] or 'not known'}. The net may compute something else.{kept}"
                ),
                PluginWarning,
                stacklevel=3,
            )


def _advice(missing: Sequence[PluginRecord], run: Path) -> str:
    """What is missing, and how to give it."""
    parts, names = [], []
    for one in missing:
        parts.append(one.said)
        if one.name:
            gone = plugins.is_file_name(one.name) and not is_file(one.name)
            names.append(Path(one.name).name if gone else one.name)
    text = f"{listed(parts)}, which {'is' if len(parts) == 1 else 'are'} not loaded here."
    if names:
        options = " ".join(f"--plugin {name}" for name in names)
        text += f" Give it: {options}; from Python, fl.open_run(…, plugins={names!r})."
    if len(names) < len(missing):
        text += " What was defined in a notebook or script must be defined again, in Python."
    kept = [str(run / one.copy) for one in missing if one.copy]
    return f"{text} A copy to read is kept in {listed(kept)}." if kept else text


def _origin(component: str) -> plugins.Origin | None:
    """Where what is registered now as "layer Scale" comes from; None where there is none, or one of ours."""
    kind, _, name = component.partition(" ")
    for registry in components.registries():
        if registry.kind == kind and name in registry and not registry.is_ours(name):
            return plugins.origin_of(registry[name], registry.origin(name))
    return None


def _numbered(stem: str) -> Iterator[str]:
    yield f"{SOURCES}/{stem}.py"
    yield from (f"{SOURCES}/{stem}-{number}.py" for number in range(2, 1000))


def _texts(value: Any) -> Iterator[str]:
    """All texts in plain values, keys of tables among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
