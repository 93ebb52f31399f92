"""Checkpoints of an interrupted run, spoilt with and without hashes that match, through `resume`; and the database of a
search, as bytes and by SQL. Survived: passed over or refused; or resumed to the very weights of an undisturbed run."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.reliability.attack import Attack
from benchmarks.reliability.folders import SEARCH, finished_run, finished_search
from benchmarks.reliability.mutations import spoil_bytes, spoil_value
from firstlight.api import resume
from firstlight.experiments.search.config import read_search
from firstlight.experiments.search.storage import Storage
from firstlight.records.run_folder import CHECKPOINTS, RESULT, WEIGHTS
from firstlight.training import checkpoints
from firstlight.weights import from_bytes, to_bytes

FILES = (checkpoints.ARRAYS, checkpoints.PROGRESS, checkpoints.MANIFEST)
SPECIAL = [
    b"",
    b"[]",
    b"null",
    b"{}",
    b"[" * 100_000,
    b'{"arrays.safetensors": 1, "progress.json": 2}',
    b"\xff",
    b"9" * 5000,
]
EDITS = [
    "update trials set state='FROB'",
    "delete from trials",
    "delete from studies",
    "update studies set study_name='x'",
    "update trial_params set param_value=1e300",
    "update trial_params set distribution_json='{}'",
    'update trial_params set distribution_json=\'{"name": "os.system", "attributes": {}}\'',
    "delete from trial_params",
    "update trial_user_attributes set value_json='x'",
    "update trial_user_attributes set value_json='null'",
    f"update trial_user_attributes set value_json='{'[' * 50_000}'",
    "delete from trial_user_attributes",
    "update trial_values set value='x'",
    "delete from trial_values",
    "update version_info set schema_version=999",
    "drop table trials",
    "drop table trial_params",
    "update study_directions set direction='FROB'",
    "update trials set number=0",
    "update trials set datetime_start='x'",
    "alter table trials rename to t2",
]


def attack(a: Attack) -> None:
    """Checkpoints and databases in turn."""
    run = _Interrupted(finished_run(a), a.work / "interrupted")
    search = _Search(finished_search(a), a.work / "search.toml", a.work / "spoilt-search")
    for name, special in a.in_turn([(name, special) for name in FILES for special in SPECIAL], "special"):
        run.begin()
        (run.checkpoint / name).write_bytes(special)
        a.read(f"{name} is {special[:9]!r}", run.newest)
    others = ("epoch-x", "epoch-", "epoch-99999x", "epoch-00009", "epoch-100000")
    for name, make in a.in_turn([(name, make) for name in others for make in (Path.mkdir, Path.touch)], "others"):
        run.begin()
        make(run.checkpoint.parent / name)
        a.read(f"{name} beside, {make.__name__}", run.resumed, run.same)
    for edit in a.in_turn(EDITS, "edits"):
        search.begin()
        if search.edit(edit):
            a.read(f"SQL: {edit[:60]}", search.read, search.same)
    number = 0
    while not a.over:
        draw = a.random(number)
        for name in FILES:
            run.begin()
            spoilt = spoil_bytes((run.checkpoint / name).read_bytes(), draw)
            (run.checkpoint / name).write_bytes(spoilt)
            a.read(f"{name} {number}", run.newest)
        for label, spoil in _SPOILT.items():
            run.begin()
            spoil(run.checkpoint, draw)
            run.sign()
            a.read(f"{label} {number}, signed", run.newest)
            if number % 2:
                a.read(f"{label} {number}, signed, resumed", run.resumed)
        search.begin()
        search.database.write_bytes(spoil_bytes(search.database.read_bytes(), draw))
        a.read(f"database {number}", search.read, search.same)
        number += 1


class _Interrupted:
    """A run that ended before its last epoch, made again for each trial."""

    def __init__(self, finished: Path, place: Path) -> None:
        self.finished, self.place = finished, place
        self.right = (finished / WEIGHTS).read_bytes()
        self.checkpoint = place / CHECKPOINTS / sorted(path.name for path in (finished / CHECKPOINTS).iterdir())[0]

    def begin(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.finished, self.place)
        (self.place / RESULT).unlink()
        for later in sorted(self.checkpoint.parent.iterdir())[1:]:
            shutil.rmtree(later)

    def sign(self) -> None:
        """Hashes that match whatever is there."""
        names = (checkpoints.ARRAYS, checkpoints.PROGRESS)
        hashes = {name: hashlib.sha256((self.checkpoint / name).read_bytes()).hexdigest() for name in names}
        (self.checkpoint / checkpoints.MANIFEST).write_text(json.dumps(hashes))

    def newest(self) -> Any:
        return checkpoints.newest(self.place / CHECKPOINTS)

    def resumed(self) -> Any:
        return resume(self.place, console=Console(quiet=True))

    def same(self, _: Any) -> str | None:
        same = (self.place / WEIGHTS).read_bytes() == self.right
        return None if same else "resumed to other weights, without a word"


class _Search:
    """A search whose database is put back for each trial."""

    def __init__(self, finished: Path, file: Path, place: Path) -> None:
        file.write_text(SEARCH)
        self.search, self.place = read_search(file), place / finished.name
        shutil.copytree(finished, self.place)
        self.database = self.place / "search.db"
        self.whole = self.database.read_bytes()
        self.right = self.read()

    def begin(self) -> None:
        for old in self.place.glob("search.db*"):
            old.unlink()
        self.database.write_bytes(self.whole)

    def edit(self, edit: str) -> bool:
        """Whether the database took the edit."""
        try:
            with closing(sqlite3.connect(self.database)) as connection, connection:
                connection.execute(edit)
        except sqlite3.Error:
            return False
        return True

    def read(self) -> list[tuple[int, float | None]]:
        records = Storage(self.search, self.place).records()
        return [(record.number, record.value) for record in records]

    def same(self, found: Any) -> str | None:
        return None if found == self.right else "other trials than were made, without a word"


def _spoil_progress(checkpoint: Path, draw: random.Random) -> None:
    path = checkpoint / checkpoints.PROGRESS
    path.write_text(json.dumps(spoil_value(json.loads(path.read_text()), draw)))


def _spoil_arrays(checkpoint: Path, draw: random.Random) -> None:
    path = checkpoint / checkpoints.ARRAYS
    arrays = dict(from_bytes(path.read_bytes(), str(path)))
    name = draw.choice(sorted(arrays))
    array = arrays.pop(name)
    match draw.randrange(7):
        case 0:
            pass
        case 1:
            arrays[name] = array[:-1]
        case 2:
            arrays[name] = array.astype(np.float64)
        case 3:
            arrays[name] = array * np.float32("nan")
        case 4:
            arrays["optimizer.x"] = array
        case 5:
            arrays[name] = array[np.newaxis]
        case _:
            arrays[name] = array.astype(np.int32)
    path.write_bytes(to_bytes(arrays))


_SPOILT: dict[str, Callable[[Path, random.Random], None]] = {"progress": _spoil_progress, "arrays": _spoil_arrays}
