"""Experiment, search and study files spoilt as text, as bytes and as tables, settings of the command line, and paths
that are none. Survived: taken (and then the same again from the file that firstlight writes), or refused with a
message, within 30 seconds and 2 GiB."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import firstlight
from benchmarks.reliability.attack import Attack
from benchmarks.reliability.folders import RUN, SEARCH, STUDY
from benchmarks.reliability.mutations import spoil_bytes, spoil_lines, spoil_value
from firstlight import experiments
from firstlight.data import load_image
from firstlight.experiments.config import Experiment, parse_setting, put
from firstlight.experiments.search.config import Search, read_search
from firstlight.experiments.study import plan, read_plan
from firstlight.weights import from_file

LINES = [
    "x = 1", "[data]", "[[run]]", 'name = "x"', "[[model.layers]]", "a.b.c = 1", '"" = ""', "seed = 1",
    "[data.source]", "[[data]]", 'type = "Dense"', "units = 99999999", "'''", '"""', "inf = inf",
    "d = 2020-01-01T00:00:00Z", "k = 0x" + "f" * 50, "k = 1e400", "[matrix]", 'lr = [1, "a"]', 'init_from = "@x"',
    'name = "../x"', 'name = "CON"', "\0", "[a]\n[a]",
]  # fmt: skip
VALUES = [
    '""', '"x"', "0", "-1", "1", "0.5", "1e400", "-inf", "nan", "true", "[]", "{}", "[[]]", "{ a = 1 }", "[1, 2]",
    '["a", "b"]', "9" * 18, "9" * 30, "9" * 400, "1e-320", "2020-01-01", "12:00:00", '"' + "y" * 3000 + '"',
    '"\\u202e\\U0001F4A9"', '"/etc"', '"~nobody_such/x"', '"a\\u0000b"', "0x7fffffffffffffff", "1_000",
    "{ range = [1, 0] }", "{ range = [0, 1], p = 2 }", '"balanced"', '"none"', '"torch"', '"imagenet"',
    "[1, [2, [3]]]", "3.0", "1e9", '"28x28"', "28",
]  # fmt: skip
HARD = {
    "lists 3,000 deep": "x = " + "[" * 3000 + "]" * 3000,
    "tables 3,000 deep": "x = " + "{a=" * 3000 + "1" + "}" * 3000,
    "a key of 5,000 parts": "a" + ".a" * 5000 + " = 1",
    "a header of 5,000 parts": "[a" + ".a" * 5000 + "]",
    "5,000 digits": "seed = " + "9" * 5000,
    "100,000 hexadecimal digits": "seed = 0x" + "f" * 100_000,
    "20,000 keys": "\n".join(f"k{k} = 1" for k in range(20_000)),
    "a key of a million letters": '"' + "k" * 1_000_000 + '" = 1',
    "a NUL": "seed = 1\0",
    "a surrogate": 'title = "\\ud800"',
    "a date that is none": "seed = 2020-02-30T25:00:00Z",
    "nothing": "",
    "a key twice": "seed = 1\nseed = 2",
}
SETTINGS = [
    "a", "=", "a=", "=b", "a.b=[", "a=" + "[" * 3000, "a=" + "9" * 5000, "a.=1", ".a=1", "a..b=1", "a=1\nb=2", "a=\0",
    "a=\ud800", "a" + ".a" * 3000 + "=1", "a={b=1}", "a=1 # c", "seed=" + "9" * 5000,
]  # fmt: skip
PLACES = [
    "a" * 300, "a/" * 3000, "~nobody_such/x", "\0", "a\0b", "/proc/self/mem", "/dev/null", "/", "", " ", "\ud800",
    "http://127.0.0.1/x.npz", "file:///etc/passwd", "C:\\x", "/etc/passwd", "/etc",
]  # fmt: skip


def attack(a: Attack) -> None:
    """What has been hard first, then drawn inputs of each kind in turn."""
    path = a.work / "x.toml"
    kinds: dict[str, tuple[Callable[[Path], Any], Callable[[Any], Any], list[str]]] = {
        "experiment": (_experiment, lambda table: Experiment.of(table, "x"), [RUN]),
        "search": (_search, lambda table: Search.of(table, "x"), [SEARCH]),
        "study": (_study, lambda table: plan(table, "name", "x").stages(), [STUDY, *_packaged()]),
    }

    def read(label: str, reader: Callable[[Path], Any], text: bytes) -> None:
        path.write_bytes(text)
        a.read(label, partial(reader, path))

    coded = {"a byte order mark": RUN.encode("utf-8-sig"), "UTF-16": RUN.encode("utf-16")}
    hard = {name: text.encode() for name, text in HARD.items()} | coded
    for kind, name in a.in_turn([(kind, name) for kind in kinds for name in hard]):
        read(f"{kind}: {name}", kinds[kind][0], hard[name])
    for setting in SETTINGS:
        a.read(f"--set {setting[:20]!r}", partial(_set, setting))
    for place in PLACES:
        for name, opened in _READERS.items():
            a.read(f"{name} of {place[:20]!r}", partial(opened, place))
    number = 0
    while not a.over:
        draw = a.random(number)
        for kind, (reader, of_table, texts) in kinds.items():
            text = draw.choice(texts)
            read(f"{kind} {number}, lines", reader, spoil_lines(text, draw, LINES, VALUES).encode())
            read(f"{kind} {number}, bytes", reader, spoil_bytes(text.encode(), draw))
            table = spoil_value(tomllib.loads(text), draw)
            if isinstance(table, dict):
                a.read(f"{kind} {number}, table", partial(of_table, table))
        number += 1


def _experiment(path: Path) -> None:
    found = Experiment.of(experiments.read(path), str(path))
    found.build_schedule().rates(0, 1, found.training.epochs, 1.0)
    found.build_model((28, 28, 1), 10)
    found.build_optimizer()
    found.build_augmentation()
    found.build_loss()
    for brief in (False, True):
        if Experiment.of(tomllib.loads(found.to_toml(brief=brief))) != found:
            raise AssertionError("it does not come back from its own file")


def _search(path: Path) -> None:
    found = read_search(path)
    found.to_toml()


def _study(path: Path) -> None:
    found = read_plan(path)
    found.stages()


def _set(setting: str) -> None:
    tables: dict[str, Any] = {"data": {"source": "digits"}}
    key, value = parse_setting(setting)
    put(tables, key, value)
    Experiment.of(tables)


def _packaged() -> list[str]:
    folder = Path(firstlight.__file__).parent / "study" / "files"
    return [path.read_text() for path in sorted(folder.glob("*.toml"))]


_READERS: dict[str, Callable[[str], Any]] = {
    "load": firstlight.load,
    "open": firstlight.Run,
    "experiment": lambda place: experiments.read(Path(place)),
    "study": read_plan,
    "image": load_image,
    "weights": lambda place: from_file(Path(place)),
}
