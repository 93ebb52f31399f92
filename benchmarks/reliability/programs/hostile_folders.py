"""Folders beside a good run, under `firstlight view`, that are damaged or made by an enemy: names that are no UTF-8,
JSON 100,000 deep, pipes, links to endless files and out of the folder, files of gigabytes, scripts as class names.
Survived: the list and the pages of that folder answer within ten seconds, none with 5xx; nothing from outside of the
folder is given away; the good run answers afterwards; the server stays below 1 GiB."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx

from benchmarks.reliability.attack import Attack
from benchmarks.reliability.folders import finished_run
from benchmarks.reliability.server import TOKEN_HEADER, Dashboard, dashboard
from firstlight.locks import LOCK
from firstlight.records.run_folder import (
    DATA,
    ENVIRONMENT,
    EXPERIMENT,
    HASHES,
    HISTORY,
    MODEL,
    PREDICTIONS,
    REPORT,
    RESULT,
    SAMPLES,
    WEIGHTS,
)

SECRET = "a secret that lies outside"
FILES = (EXPERIMENT, DATA, ENVIRONMENT, MODEL, RESULT, HASHES, HISTORY, PREDICTIONS, SAMPLES, WEIGHTS, REPORT, LOCK)
MOST_MEMORY = 1 << 30
PAGES = [
    "/run/{id}", "/api/runs/{id}/curves", "/api/runs/{id}/images?split=test", "/api/runs/{id}/look?index=0",
    "/api/runs/{id}/embeddings/0", "/image/{id}/kept/test/0.png", "/draw?run={id}", "/compare?run={id}&run={good}",
    "/start?run={id}", "/report/run/{id}", "/pdf/run/{id}", "/step?of={id}", "/review?run={id}",
    "/api/review/{id}/list", "/api/review/{id}/image?id=x", "/api/review/{id}/nearest?id=x",
]  # fmt: skip


def attack(a: Attack) -> None:
    """Each kind of folder by itself, in a drawn order, as long as there is time."""
    whole, secret = finished_run(a), a.work / "secret.txt"
    secret.write_text(SECRET)
    for number, (label, spoil) in enumerate(a.in_turn(_kinds(secret).items())):
        root = a.work / f"runs-{number}"
        shutil.copytree(whole, root / "good")
        shutil.copytree(whole, root / "victim")
        spoil(root / "victim")
        with dashboard(root) as served:
            a.count(label, _judged(served))
        shutil.rmtree(root, ignore_errors=True)


def _judged(served: Dashboard) -> str | None:
    try:
        ids = served.ids()
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return "the list of runs does not come"
    if "good" not in ids:
        return "the good run is not in the list"
    for name in sorted(ids.keys() - {"good"}):
        for page in PAGES:
            wrong = _page(served, page.format(id=ids[name], good=ids["good"]))
            if wrong:
                return f"{page}: {wrong}"
        if wrong := _page(served, f"/api/step?of={ids[name]}", method="POST"):
            return f"/api/step: {wrong}"
    for page in ("/", "/run/{id}", "/report/run/{id}", "/step?of={id}", "/review?run={id}"):
        wrong = _page(served, page.format(id=ids["good"]), code=200)
        if wrong:
            return f"the good run afterwards, {page}: {wrong}"
    return None if served.memory < MOST_MEMORY else "more than 1 GiB of memory"


def _page(served: Dashboard, page: str, code: int | None = None, method: str = "GET") -> str | None:
    try:
        answer = served.client.request(method, page, headers={TOKEN_HEADER: served.token})
    except httpx.TimeoutException:
        return "no answer in time"
    except httpx.HTTPError as error:
        return type(error).__name__
    if answer.status_code >= 500 or (code is not None and answer.status_code != code):
        return f"answers {answer.status_code}"
    return "a file from outside is shown" if SECRET in answer.text else None


def _kinds(secret: Path) -> dict[str, Callable[[Path], None]]:
    kinds: dict[str, Callable[[Path], None]] = {
        "a name that is not a UTF-8": _not_utf8,
        "a name with a script": _script_name,
        "class names with scripts": _script_classes,
        "no file at all": _emptied,
        "folders 200 deep": _deep,
    }
    for name in FILES:
        kinds[f"{name} is a pipe"] = partial(_replaced, name, os.mkfifo)
        kinds[f"{name} is a link to /dev/zero"] = partial(_replaced, name, lambda path: path.symlink_to("/dev/zero"))
        kinds[f"{name} is a link out of the folder"] = partial(_replaced, name, lambda path: path.symlink_to(secret))
        kinds[f"{name} has 3 GB"] = partial(_replaced, name, _large)
    for name in (DATA, MODEL, RESULT):
        kinds[f"{name} is 100,000 deep"] = partial(_written, name, b"[" * 100_000)
        kinds[f"{name} has a number of 5,000 digits"] = partial(_written, name, b'{"format": ' + b"9" * 5000 + b"}")
    kinds[f"{HISTORY} has a cell of 200,000 letters"] = partial(_written, HISTORY, b"epoch,loss\n1," + b"x" * 200_000)
    return kinds


def _replaced(name: str, make: Callable[[Path], None], run: Path) -> None:
    (run / name).unlink(missing_ok=True)
    make(run / name)


def _written(name: str, data: bytes, run: Path) -> None:
    (run / name).write_bytes(data)


def _large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3_000_000_000)  # a hole: it takes no room


def _not_utf8(run: Path) -> None:
    run.rename(os.fsdecode(os.fsencode(run.with_name("caf")) + b"\xe9"))


def _script_name(run: Path) -> None:
    run.rename(run.with_name("<script>alert(1)<"))


def _script_classes(run: Path) -> None:
    model = json.loads((run / MODEL).read_text())
    model["class_names"] = [f"</script><script>alert({k})</script>" for k in range(len(model["class_names"]))]
    (run / MODEL).write_text(json.dumps(model))


def _emptied(run: Path) -> None:
    shutil.rmtree(run)
    run.mkdir()


def _deep(run: Path) -> None:
    (run / "/".join(["x"] * 200)).mkdir(parents=True)
