"""Run, study and search folders with one file spoilt, gone, a folder, or a link to nowhere or to itself; through the
records, the report, the model, and the pages of the dashboard. Survived: read or refused with a message; no page
answers 5xx; the list still shows the other run."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import tomli_w
from PIL import Image

from benchmarks.reliability.attack import LONGEST_READ, Attack
from benchmarks.reliability.folders import finished_run, finished_search, finished_study
from benchmarks.reliability.mutations import spoil_bytes, spoil_value
from firstlight import report
from firstlight.api import Run
from firstlight.app import create_app
from firstlight.errors import RunError
from firstlight.records import explanation
from firstlight.records.run_folder import RunFolder
from firstlight.records.search_folder import TuneFolder
from firstlight.records.study_folder import StudyFolder
from firstlight.web.server import in_thread

TOKEN = "a-token-of-the-attack"
CELLS = [
    "nan", "inf", "1e400", "", "x", "-1", "0", "0x10", "1_0", "\0", "9" * 5000, "x" * 200_000, '"', "٣", "<b>",
]  # fmt: skip
SPECIAL: dict[str, list[bytes]] = {
    ".json": [
        b"", b"null", b"[]", b"{}", b'"x"', b"[" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b"9" * 5000,
        b'{"format": ' + b"9" * 5000 + b"}", b"\xff\xfe", b"NaN", b'{"format": 1e999}', b'{"format": true}',
        b'{"format": 99}', b'{"format": -5}', bytes(10),
    ],
    ".csv": [
        b"", b"\n", b"epoch,loss", b"\xff", b"\0" * 50, b"epoch,loss\n" + b"1,2\n" * 200_000, b'"' + b"x" * 200_000,
    ],
    ".toml": [b"", b"x = " + b"[" * 3000, b"seed = " + b"9" * 5000, b"\xff", b"[data]\nsource = 3", b"a = 1\na = 2"],
    ".npz": [b"", b"PK", b"\x80\x04.", bytes(100)],
}  # fmt: skip
PAGES = [
    "/", "/api/runs", "/run/{id}", "/api/runs/{id}/curves", "/api/runs/{id}/images?split=test",
    "/api/runs/{id}/images?true=1&predicted=2", "/image/{id}/own/test/0.png", "/image/{id}/kept/test/0.png",
    "/api/runs/{id}/look?index=0", "/api/runs/{id}/layers?index=0", "/api/runs/{id}/embeddings/0",
    "/image/{id}/map/0.png", "/draw?run={id}",
    "/compare?run={id}&run={other}", "/api/compare/{id}/{other}", "/api/compare/{other}/{id}/both",
    "/start?run={id}", "/report/run/{id}", "/api/runs/{id}/explain",
]  # fmt: skip


def attack(a: Attack) -> None:
    """Each file of a run in turn: special contents first, then drawn ones, then what is not a file."""
    root = a.folder("runs")
    victim, whole = root / "victim", finished_run(a, explain=True)
    shutil.copytree(whole, victim)
    shutil.copytree(whole, root / "other")
    with in_thread(create_app(root, token=TOKEN, hosts={"127.0.0.1"})) as url, httpx.Client(base_url=url) as client:
        _attack(a, _Dashboard(client), victim, whole)


def _attack(a: Attack, dashboard: _Dashboard, victim: Path, whole: Path) -> None:
    names = sorted(path.name for path in whole.iterdir() if path.suffix in SPECIAL)
    kinds = ("a folder", "gone", "a link to nowhere", "a link to itself")
    for name, kind in a.in_turn([(name, kind) for name in names for kind in kinds]):
        trial = partial(_feed, a, dashboard, victim, f"{name} is {kind}", a.random(name, kind))
        _replaced(victim / name, kind, trial)
        shutil.copy(whole / name, victim / name)
    others = {} if a.over else {"study": finished_study(a), "search": finished_search(a)}
    number = 0
    while not a.over:
        for name in names:
            draw, suffix = a.random(name, number), Path(name).suffix
            special = SPECIAL[suffix]
            data = special[number] if number < len(special) else _spoilt(suffix, (whole / name).read_bytes(), draw)
            (victim / name).write_bytes(data)
            _feed(a, dashboard, victim, f"{name} {number}", draw)
            shutil.copy(whole / name, victim / name)
        for kind, place in others.items():
            _feed_other(a, kind, place, number)
        number += 1


class _Dashboard:
    """The dashboard over the folder of runs."""

    def __init__(self, client: httpx.Client) -> None:
        client.timeout = httpx.Timeout(LONGEST_READ)
        self.client = client
        ids = {run["name"]: run["id"] for run in client.get("/api/runs").json()["runs"]}
        self.victim, self.other = ids["victim"], ids["other"]
        picture = io.BytesIO()
        Image.fromarray(np.full((24, 24), 200, np.uint8)).save(picture, "PNG")
        self.picture = picture.getvalue()

    def page(self, page: str) -> None:
        answer = self.client.get(page.format(id=self.victim, other=self.other))
        if answer.status_code >= 500:
            raise AssertionError(f"{page} answers {answer.status_code}")

    def draw(self) -> None:
        headers = {"X-Firstlight-Token": TOKEN}
        answer = self.client.post(f"/api/draw/{self.victim}?maps=1&saliency=1", content=self.picture, headers=headers)
        if answer.status_code >= 500:
            raise AssertionError(f"Draw answers {answer.status_code}")

    def front(self) -> None:
        answer = self.client.get("/api/runs")
        if answer.status_code != 200 or self.other not in answer.text:
            raise AssertionError("the list no longer shows the other run")


def _feed(a: Attack, dashboard: _Dashboard, victim: Path, label: str, draw: random.Random) -> None:
    a.read(f"records: {label}", partial(_records, victim))
    match draw.randrange(4):
        case 0:
            a.read(f"report: {label}", lambda: report.build_document(RunFolder.open(victim)))
        case 1:
            a.read(f"predict: {label}", lambda: Run(victim).predict(np.zeros((1, 24, 24, 1), np.uint8)))
        case 2:
            a.read(f"Draw: {label}", dashboard.draw)
    for page in draw.sample(PAGES, 3):
        a.read(f"{page}: {label}", partial(dashboard.page, page))
    a.read(f"list: {label}", dashboard.front)


def _feed_other(a: Attack, kind: str, place: Path, number: int) -> None:
    """A study's or a search's record, spoilt."""
    for name in ("study.json",) if kind == "study" else ("result.json", "tune.toml", "best.toml"):
        whole = (place / name).read_bytes()
        draw, suffix = a.random(kind, name, number), Path(name).suffix
        special = SPECIAL[suffix]
        (place / name).write_bytes(special[number] if number < len(special) else _spoilt(suffix, whole, draw))
        a.read(f"{kind}: {name} {number}", partial(_study if kind == "study" else _search, place))
        (place / name).write_bytes(whole)


def _records(place: Path) -> None:
    """Everything that a run folder holds; what is refused keeps nothing else from being read."""
    folder, refused = RunFolder.open(place), None
    readers: list[Callable[[], Any]] = [partial(getattr, folder, name) for name in _RECORDS]
    readers.append(partial(explanation.read, folder))
    for read in readers:
        try:
            read()
        except RunError as error:
            refused = error
    if refused:
        raise refused


_RECORDS = [
    "experiment", "environment", "data", "model", "result", "history", "costs", "predictions", "samples",
    "class_names",
]  # fmt: skip


def _study(place: Path) -> None:
    folder = StudyFolder.open(place)
    for entry in folder.entries:
        folder.finished(entry)
        folder.failed(entry)
    report.build_document(folder)


def _search(place: Path) -> None:
    folder = TuneFolder.open(place)
    _ = folder.result, folder.tables, folder.best
    report.build_document(folder)


def _spoilt(suffix: str, whole: bytes, draw: random.Random) -> bytes:
    if draw.random() < 0.2:
        return spoil_bytes(whole, draw)
    if suffix == ".json":
        return json.dumps(spoil_value(json.loads(whole), draw)).encode("utf-8", "surrogatepass")
    if suffix == ".toml":
        try:
            return tomli_w.dumps(spoil_value(tomllib.loads(whole.decode()), draw)).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError, AttributeError):
            return spoil_bytes(whole, draw)  # a value that TOML has not
    return _spoilt_csv(whole, draw) if suffix == ".csv" else _spoilt_npz(whole, draw)


def _spoilt_csv(whole: bytes, draw: random.Random) -> bytes:
    rows = list(csv.reader(io.StringIO(whole.decode())))
    at = draw.randrange(len(rows))
    match draw.randrange(5):
        case 0:
            rows[at] = rows[at][:-1]
        case 1:
            del rows[at]
        case 2:
            rows.insert(at, rows[at])
        case 3:
            rows = rows[:1]
        case _:
            rows[at][draw.randrange(len(rows[at]))] = draw.choice(CELLS)
    return "\n".join(map(",".join, rows)).encode()


def _spoilt_npz(whole: bytes, draw: random.Random) -> bytes:
    with np.load(io.BytesIO(whole)) as archive:
        arrays = {key: archive[key] for key in archive.files}
    key = draw.choice(sorted(arrays))
    array = arrays[key]
    number = array.dtype.kind in "iuf"
    match draw.randrange(9):
        case 0:
            del arrays[key]
        case 1:
            arrays[key] = array[: len(array) // 2] if array.ndim else array
        case 2:
            arrays[key] = array.astype("U") if number else np.arange(array.size)
        case 3:
            arrays[key] = array.astype(float) * np.nan if number else np.array(["<script>"] * array.size)
        case 4:
            arrays[key] = -array.astype(np.int64) * 1000 if number else array[::-1]
        case 5:
            arrays[key] = array[np.newaxis]
        case 6:
            arrays[key] = np.array(3)
        case 7:
            arrays[key] = array[:0] if array.ndim else array
        case _:
            arrays[key] = np.full(array.shape, 2**62) if number else np.array(["same"] * array.size)
    target = io.BytesIO()
    np.savez_compressed(target, **arrays)
    return target.getvalue()


def _replaced(path: Path, kind: str, trial: Callable[[], None]) -> None:
    """Make the trial while `path` is something else than a file."""
    path.unlink(missing_ok=True)
    if kind == "a folder":
        path.mkdir()
    elif kind == "a link to nowhere":
        path.symlink_to("/nonexistent/x")
    elif kind == "a link to itself":
        path.symlink_to(path.name)
    trial()
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        path.rmdir()
