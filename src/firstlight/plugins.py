"""Plugins: files and modules of a user's own, whose definitions register components as firstlight's own do.

A plugin is loaded where the user names it, in an experiment file, on the command line or in Python, or where it is
installed: a package with an entry point in the group `firstlight.components`. What a run folder says of plugins is
compared with what is loaded, and never loaded: docs/why/decisions/0036-plugins.md.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from firstlight import components
from firstlight.cautions import Caution
from firstlight.errors import FirstlightError, PluginError, PluginWarning, brief
from firstlight.files import read_bytes

GROUP = "firstlight.components"
LARGEST = 10_000_000  # bytes of a file with a plugin
OURS = Path(__file__).parent

_lock = threading.RLock()
_named: dict[str, Plugin] = {}  # by what names it in another process: an absolute path, or the name of a module
_installed: dict[str, Plugin] = {}  # by the name of its module
_looked = False


@dataclass(frozen=True)
class Plugin:
    """A module that brings components.

    name     what names it anywhere on this machine: the absolute path of a file, or the name of a module
    module   what Python calls it
    version  of the installed package that it belongs to; "" where that is not known
    """

    name: str
    module: str
    version: str = ""

    @property
    def is_file(self) -> bool:
        return is_file_name(self.name)


@dataclass(frozen=True)
class Origin:
    """Where a component comes from that is not firstlight's own.

    name     what brings it back: the absolute path of a file, or the name of a module; "" where it was defined in a
             notebook or at the prompt, where nothing does
    module   that it is defined in
    version  of the package; "" where it is of none
    file     of the source, or None
    source   of the file, or of the definition alone where there is none; "" where Python has neither
    """

    name: str
    module: str
    version: str
    file: Path | None
    source: str

    @property
    def sha256(self) -> str:
        """Of the source; "" where there is none."""
        return hashlib.sha256(self.source.encode()).hexdigest() if self.source else ""


def is_file_name(name: str) -> bool:
    """Whether a plugin is named by a file, and not by a module."""
    return name.endswith(".py") or "/" in name or os.sep in name


def load(names: Iterable[str | Path], origin: str = "plugins") -> list[Plugin]:
    """Load plugins, so that their components are known: paths of files, from the working folder, or names of modules.

    A file that has changed since it was loaded is loaded again.
    Raises PluginError, whose text `origin` begins, for one that is missing, fails or registers nothing; nothing of it
    stays registered then.
    """
    found = []
    for name in map(_as_text, names):
        if not isinstance(name, str) or not name.strip():
            raise PluginError(f"{origin}: a plugin is a file, or the name of a module; received {name!r}.")
        with _lock:
            plugin = _of_file(name, origin) if is_file_name(name) else _of_module(name, origin)
            _named[plugin.name] = plugin
        found.append(plugin)
    return found


def named() -> list[str]:
    """What loads all plugins that were named, in another process of this machine too."""
    with _lock:
        return [*_named]


def load_installed() -> None:
    """Load what installed packages bring, once. One that cannot be loaded is warned of, and does not keep others."""
    global _looked
    with _lock:
        if _looked:
            return
        _looked = True  # before they are loaded: what they do may ask for components
        for entry in metadata.entry_points(group=GROUP):
            package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
            try:
                with _loading():
                    entry.load()
            except (Exception, SystemExit) as error:
                warnings.warn(
                    Caution.PACKAGE_NOT_LOADED.text(
                        f"The installed package {package} cannot be loaded, and its components are missing: "
                        f"{entry.value}: {type(error).__name__}: {brief(str(error))}"
                    ),
                    PluginWarning,
                    stacklevel=2,
                )
            else:
                version = entry.dist.version if entry.dist else ""
                _installed[entry.module] = Plugin(entry.module, entry.module, version)


def installed() -> list[Plugin]:
    """What installed packages bring."""
    load_installed()
    return list(_installed.values())


def origin_of(definition: object, module: str) -> Origin:
    """Where a component, its class or function, was defined: in that module."""
    file = _source_file(sys.modules.get(module))
    plugin = _plugin_of(module)
    if file is None or module == "__main__":
        try:
            source = inspect.getsource(definition)  # type: ignore[arg-type]
        except (OSError, TypeError):
            source = ""
        return Origin("", module, "", None, source)
    try:
        source = read_bytes(file, limit=LARGEST).decode("utf-8", "replace")
    except (OSError, ValueError):
        source = ""
    version = plugin.version if plugin else _version(module)
    name = plugin.name if plugin else module if version else str(file.resolve())
    return Origin(name, module, version, file, source)


@contextmanager
def _loading() -> Iterator[None]:
    """What a plugin that fails has registered is forgotten; what one prints goes to standard error."""
    with components.whole_or_not(), redirect_stdout(sys.stderr):
        yield


def _as_text(name: Any) -> Any:
    return str(name) if isinstance(name, Path) else name


def _plugin_of(module: str) -> Plugin | None:
    """The plugin that a module belongs to."""
    plugins = [*_named.values(), *_installed.values()]
    return next((plugin for plugin in plugins if f"{module}.".startswith(f"{plugin.module}.")), None)


def _of_file(name: str, origin: str) -> Plugin:
    path = Path(name).expanduser()
    if path.is_dir():
        raise PluginError(f"{origin}: {brief(name)} is a folder; a plugin is a file, such as my_layers.py.")
    try:
        path = path.resolve()
        source = read_bytes(path, limit=LARGEST)
    except FileNotFoundError:
        raise PluginError(f"{origin}: there is no file {brief(path)}. Give the path of a plugin.") from None
    except (OSError, ValueError) as error:
        raise PluginError(f"{origin}: {brief(name)} cannot be read: {error}.") from None
    module_name = _module_name(path)
    module = sys.modules.get(module_name)
    digest = hashlib.sha256(source).hexdigest()
    with _loading():
        if module is None or (str(path) in _named and vars(module).get("__firstlight_sha256__") != digest):
            module = _executed(module_name, path, source, origin)
            vars(module)["__firstlight_sha256__"] = digest
        _must_register(module_name, path.name, origin)
    return Plugin(str(path), module_name)


def _executed(name: str, path: Path, source: bytes, origin: str) -> ModuleType:
    """The module of a file, run from the very bytes of which the hash is recorded."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = sys.modules.get(name) or importlib.util.module_from_spec(spec)
    before, sys.modules[name] = sys.modules.get(name), module
    beside = str(path.parent)
    sys.path.append(beside)  # behind all others, so that what lies beside the file hides no module
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise _failed(error, path.name, origin, str(path)) from None
    finally:
        sys.path.remove(beside)
    return module


def _of_module(name: str, origin: str) -> Plugin:
    if not all(part.isidentifier() for part in name.split(".")):
        raise PluginError(f"{origin}: {brief(name)} is neither the path of a file, such as my_layers.py, nor a module.")
    if name.partition(".")[0] == "firstlight":
        raise PluginError(f"{origin}: {name} is a part of firstlight, not a plugin.")
    try:
        with _loading():
            importlib.import_module(name)
            _must_register(name, name, origin)
    except PluginError:
        raise
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            file = f"{name}.py" if "." not in name else "my_layers.py"
            raise PluginError(
                f"{origin}: there is no installed module {error.name!r}. A file is named with its extension: {file}"
            ) from None
        raise _failed(error, name, origin, _place(name)) from None
    except (Exception, SystemExit) as error:
        raise _failed(error, name, origin, _place(name)) from None
    return Plugin(name, name, _version(name))


def _must_register(module: str, called: str, origin: str) -> None:
    if not any(registry.defined_in(module) for registry in components.registries()):
        raise PluginError(
            f"{origin}: {called} registers no component. Put a decorator above each of its definitions, such as "
            "@fl.layer (see docs/guide/plugins.md)."
        )


def _module_name(path: Path) -> str:
    """What Python calls the module of a file: its own name, unless that is another module's."""
    stem = re.sub(r"\W", "_", path.stem) or "plugin"
    stem = f"_{stem}" if stem[0].isdigit() else stem
    known = sys.modules.get(stem)
    if known is not None:
        free = _is_at(getattr(known, "__file__", None), path)
    else:
        try:
            spec = importlib.util.find_spec(stem)
        except (ImportError, ValueError):
            spec = None
        free = spec is None or _is_at(spec.origin, path)
    return stem if free else f"{stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def _is_at(file: str | None, path: Path) -> bool:
    return file is not None and os.path.realpath(file) == str(path)


def _source_file(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file) if file and file.endswith(".py") and Path(file).is_file() else None


def _place(module: str) -> str:
    """The folder or file of a module, as far as it can be found."""
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return ""
    if spec is None or spec.origin is None:
        return ""
    return str(Path(spec.origin).parent) if spec.submodule_search_locations else spec.origin


def _version(module: str) -> str:
    top = module.partition(".")[0]
    try:
        return metadata.version(next(iter(metadata.packages_distributions().get(top, [])), top))
    except (metadata.PackageNotFoundError, ValueError):
        return ""


def _failed(error: BaseException, called: str, origin: str, place: str) -> PluginError:
    """What went wrong, with the line of the plugin, and the traceback of the user's own frames where it was no mistake
    in how a component is defined.
    """
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(place):
        line = (error.text or "").strip()
        shown = f": {brief(line)}" if line else ""
        return PluginError(f"{origin}: {Path(error.filename).name}, line {error.lineno}: {error.msg}{shown}")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if OURS not in Path(frame.filename).parents and not frame.filename.startswith("<frozen")
    ]
    inside = [frame for frame in frames if place and frame.filename.startswith(place)]
    where = f"{Path(inside[-1].filename).name}, line {inside[-1].lineno}" if inside else called
    if isinstance(error, FirstlightError):
        return PluginError(f"{origin}: {where}: {error}")
    said = "it ends the program" if isinstance(error, SystemExit) else f"{type(error).__name__}: {brief(str(error))}"
    trace = "".join(["\n", *traceback.format_list(frames)]).rstrip()
    return PluginError(f"{origin}: {where}: {said}{trace}")
