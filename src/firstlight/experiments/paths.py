"""Where the paths in an experiment file lead: they are relative to the file, and what is recorded beside it helps.

A path on the command line is relative to the working folder. Inside the program a path is one that works from there.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from firstlight import plugins
from firstlight.data import SOURCES
from firstlight.errors import ExperimentError, RunError
from firstlight.experiments.config import IMAGENET, OF_A_SEARCH, only_experiment, read
from firstlight.files import resolved
from firstlight.options import flat
from firstlight.records.run_folder import DATA, EXPERIMENT, MODEL, STUDY, RunFolder, runs_of_study
from firstlight.text import listed
from firstlight.types import Json

# Begins the source of images that were given as arrays, which no later process can load again.
IN_MEMORY = "in memory: "
SOURCE, START, CORRECTIONS = ("data", "source"), ("weights", "init_from"), ("data", "corrections")
PATHS = (SOURCE, START, CORRECTIONS)


def read_located(path: Path, given: Collection[str] = (), *, search: bool = False) -> dict[str, Any]:
    """The tables of an experiment file, its paths as they are found (`located`).

    given   keys for which something else than the file's value counts
    search  whether the tables of a search are wanted too, which are left out otherwise

    Raises ExperimentError where it is not an experiment file, or a path of it leads nowhere.
    """
    whole = read(path)
    tables = located(only_experiment(whole, str(path)), path)
    if search:
        tables |= {key: whole[key] for key in OF_A_SEARCH if key in whole}
    load_plugins(tables, str(path))
    for table, key in PATHS:
        name = _path_in(tables, table, key)
        if name is not None and f"{table}.{key}" not in given and not _exists(name):
            looked = dict.fromkeys(str(Path(place).absolute()) for place in _candidates(path, (table, key), name))
            said = f"there is nothing called {name!r}: looked for {listed(looked)}."
            if (table, key) == SOURCE:
                said = SOURCES.none_such(name, said)
            raise ExperimentError(f"{path}: {table}.{key}: {said}")
    return tables


def located(tables: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """The tables of an experiment file with paths that work from here: each the first of these that there is.

    That is the path from the file's own folder, what the run whose experiment the file is has recorded, and the path
    from the working folder. Where there is none, it stays as it is.
    """
    found = copy.deepcopy(dict(tables))
    for table, key in PATHS:
        name = _path_in(found, table, key)
        if name is not None:
            places = _candidates(file, (table, key), name)
            found[table][key] = next((place for place in places if _exists(place)), name)
    if isinstance(named := found.get("plugins"), list):
        found["plugins"] = [_located_plugin(name, file) for name in named]
    return found


def load_plugins_of(file: Path) -> None:
    """Load the plugins that a file of an experiment, a search or a study names anywhere. Raises PluginError."""
    whole = read(file)
    parts = [whole, whole.get("defaults"), *_tables(whole.get("run")), *_tables(whole.get("search"))]
    for part in parts:
        if isinstance(part, Mapping):
            load_plugins(located(part, file), str(file))


def _tables(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def load_plugins(tables: Mapping[str, Any], origin: str) -> None:
    """Load the plugins that the tables of an experiment name, which the user has written or named. Raises PluginError.

    For nothing that lies in a run folder: what is recorded there is data.
    """
    named = tables.get("plugins", [])
    plugins.load(named if isinstance(named, list | tuple) else [named], f"{origin}: plugins")


def relative_to(tables: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The tables for a file in `folder`: with paths from there, so that what lies beside may move with it."""
    found = copy.deepcopy(dict(tables))
    for table, key in PATHS:
        name = _path_in(found, table, key)
        if name is not None and _exists(name):
            try:
                place = Path(os.path.relpath(resolved(name), resolved(folder)))
            except ValueError:  # on another drive
                place = resolved(name)
            found[table][key] = place.as_posix()
    return found


def differing(was: Json, now: Json, location: str = "", *, elsewhere: bool = False) -> list[str]:
    """The keys in which two experiments differ, beside other words for the same place, and for that of plugins.

    location   where the images of the first one are known to be
    elsewhere  the first one may have been written down in another working folder: of a relative path, the end counts
    """
    one, other = ({key: value for key, value in flat(tables) if key != "plugins"} for tables in (was, now))
    paths = {".".join(where): location if where == SOURCE else "" for where in PATHS}
    changed = []
    for key in {**one, **other}:
        then, here = one.get(key), other.get(key)
        same = then == here
        if not same and key in paths and _is_path(then) and _is_path(here):
            same = os.path.realpath(here) in (os.path.realpath(then), paths[key])
            same = same or (elsewhere and _ends_alike(then, here))
        if not same:
            changed.append(key)
    return changed


def _located_plugin(name: Any, file: Path) -> Any:
    """The absolute path of a plugin that a file names, beside which it is looked for first; a module as it is."""
    if not isinstance(name, str) or not plugins.is_file_name(name):
        return name
    beside = file.parent / Path(name).expanduser()
    return str(resolved(beside if _exists(str(beside)) or not _exists(name) else name))


def _exists(place: str) -> bool:
    try:
        return Path(place).exists()
    except OSError:  # no name that a file system takes
        return False


def _ends_alike(one: str, other: str) -> bool:
    """Whether one path is the end of the other."""
    ends = (Path(place).parts[::-1] for place in (one, other))
    return all(part == there for part, there in zip(*ends, strict=False))


def _path_in(tables: Mapping[str, Any], table: str, key: str) -> str | None:
    """What a key of the tables has, where it is a relative path."""
    name = value.get(key) if isinstance(value := tables.get(table), Mapping) else None
    return name if _is_path(name) and not name.startswith("~") and not Path(name).is_absolute() else None


def _is_path(name: object) -> TypeGuard[str]:
    """Whether a source of images or weights is a path, and not the name of published ones, or of a run of a study."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    return name not in SOURCES and name != IMAGENET and not name.startswith((IN_MEMORY, "@"))


def _candidates(file: Path, where: tuple[str, str], name: str) -> Iterator[str]:
    """Where a relative path in a file may lead, the likeliest first."""
    beside = file.parent / name
    yield name if resolved(beside) == resolved(name) else str(beside)
    if file.name == EXPERIMENT:
        yield from _recorded(file.parent, where, name)
    elif (file.parent / STUDY).is_file():  # the copy of its file that a study keeps
        for run in runs_of_study(file.parent):
            yield from _recorded(run, where, name)
    yield name


def _recorded(run: Path, where: tuple[str, str], name: str) -> Iterator[str]:
    """The place that a run recorded for what its experiment calls `name`, if any."""
    folder = RunFolder(run)
    try:
        if where == SOURCE:
            called, location = (folder.data.source, folder.location) if (run / DATA).exists() else ("", "")
        elif where == CORRECTIONS:
            corrections = folder.data.corrections if (run / DATA).exists() else None
            called = location = corrections.location if corrections else ""
        else:
            start = folder.model.start if (run / MODEL).exists() else None
            called, location = (start.origin, start.location) if start else ("", "")
    except RunError:  # damaged, which whoever needs it tells
        return
    if location and called and _ends_alike(called, name):
        yield location
