"""Inputs that once ended in a traceback, or were believed; and a short round of altered ones, drawn by seed.

Each is fed to its reader, which takes it only where its name begins with "sound", and otherwise says in a sentence
what is wrong.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from firstlight import data, experiments, files, weights
from firstlight.errors import FirstlightError
from firstlight.experiments import Experiment
from firstlight.layers.base import Parameter
from firstlight.records import run_folder
from firstlight.records.run_folder import RunFolder
from firstlight.weights import Layout

CORPUS = Path(__file__).parent / "corpus" / "reading"
INPUTS = sorted(path.relative_to(CORPUS) for path in CORPUS.glob("*/*"))
LAYOUT = Layout.of({"w": Parameter((4,), "zeros")})


def an_experiment(path: Path, folder: Path) -> None:
    asked = Experiment.of(experiments.read(path), str(path))
    data.load(asked.data.source)
    asked.build_model((28, 28, 1), 10)
    asked.build_optimizer()
    asked.build_augmentation()


def a_record(path: Path, folder: Path) -> None:
    shutil.copy(path, folder / run_folder.ENVIRONMENT)
    _ = RunFolder(folder).environment


def a_history(path: Path, folder: Path) -> None:
    shutil.copy(path, folder / run_folder.HISTORY)
    _ = RunFolder(folder).history


def some_arrays(path: Path, folder: Path) -> None:
    files.arrays_of(path.read_bytes())


def some_weights(path: Path, folder: Path) -> None:
    LAYOUT.vector(weights.from_file(path))


READERS: dict[str, Callable[[Path, Path], None]] = {
    "arrays": some_arrays,
    "experiment": an_experiment,
    "history": a_history,
    "record": a_record,
    "weights": some_weights,
}


def fed(kind: str, path: Path, folder: Path) -> str:
    """What the reader said, "" where it took the file."""
    refusal = ValueError if kind == "arrays" else FirstlightError
    try:
        READERS[kind](path, folder)
    except refusal as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", INPUTS, ids=str)
def test_what_is_unsound_is_told_and_what_is_sound_is_read(name: Path, tmp_path: Path) -> None:
    said = fed(name.parent.name, CORPUS / name, tmp_path)
    assert bool(said) != name.name.startswith("sound")
    assert len(said) < 20_000
    said.encode()  # it can be printed


@pytest.mark.parametrize("kind", READERS)
def test_what_is_altered_is_told_or_read(kind: str, tmp_path: Path) -> None:
    draw, tried = random.Random(kind), tmp_path / "tried"
    for _ in range(60):
        sound = draw.choice([path for path in INPUTS if path.parent.name == kind])
        tried.write_bytes(altered(bytearray((CORPUS / sound).read_bytes()), draw))
        fed(kind, tried, tmp_path)


def altered(data: bytearray, draw: random.Random) -> bytes:
    """The bytes with some of them changed, taken away, put in or repeated."""
    for _ in range(draw.choice([1, 1, 2, 4])):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(4):
            case 0:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                del data[at : at + draw.choice([1, 4, 64])]
            case 2:
                data[at:at] = draw.choice([b"\xff" * 8, b"[" * 100, b"9" * 30, b"\0", b'"', b"= {", b"\n", b"nan"])
            case _:
                data[at:at] = data[at : at + 64]
    return bytes(data)
