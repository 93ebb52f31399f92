"""`firstlight tune`, as a user types it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Answer

Call = Callable[..., Answer]

FILE = """
[data]
source = "digits"
limit = 150
[model]
name = "mlp-128"
[training]
epochs = {epochs}
[tune]
sampler = "random"
trials = 3
[space]
lr = {{ log = [1e-3, 1e-1] }}
model.units = [8, [16, 8]]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(FILE.format(epochs=2))
    return path


def test_tune_says_what_is_best_and_the_best_file_runs(
    firstlight: Call, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = firstlight("tune", file)
    assert answer.code == 0, answer.err
    told, *lines = answer.out.splitlines()
    assert re.match(
        r"About [\d.]+ (s|min) on this machine for 3 trials in 1 process, and [\d.]+ [MG]B of memory, if ", told
    )
    assert [line.split("  ")[0] for line in lines[:3]] == ["trial 1/3", "trial 2/3", "trial 3/3"]
    assert "3 complete; the test images were not used" in answer.out
    place = Path("runs") / "small-tune"
    assert answer.out.splitlines()[-2] == f"Report: {place / 'report.html'}"
    assert firstlight("tune", file, "-q").out.splitlines() == [str(place / "report.html")]
    run = firstlight("run", place / "best.toml", "--json").json()
    best = max(trial["value"] for trial in json.loads((place / "result.json").read_text())["trials"])
    assert run["validation"]["accuracy"] == pytest.approx(best)
    (place / "report.html").unlink()
    assert firstlight("report", place).out.splitlines() == [str(place / "report.html")]
    assert (place / "report.html").is_file()


@pytest.mark.slow
def test_more_trials_go_on_and_json_alone_goes_to_standard_output(firstlight: Call, file: Path, tmp_path: Path) -> None:
    first = firstlight("tune", file, "--out", tmp_path / "a", "--json").json()
    answer = firstlight("tune", file, "--out", tmp_path / "a", "--trials", 5, "--json")
    again = answer.json()
    assert "3 of 5 trials were done before, the best 0." in answer.err
    assert first["trials"] == {"complete": 3, "pruned": 0, "failed": 0}
    assert again["trials"]["complete"] == 5
    assert again["best"]["value"] >= first["best"]["value"]
    assert set(again["best"]["values"]) == {"model.units", "optimizer.lr"}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("lr =", "lrr ="), ["space.lrr", "no such key"]),
        (("[8, [16, 8]]", "['many']"), ["model.units", "'many'"]),
        (('"digits"', '"didgits"'), ["didgits", "digits"]),
        (("[space]", "[spaces]"), ["has no [space] to search"]),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(
    firstlight: Call, file: Path, tmp_path: Path, change: tuple[str, str], parts: list[str]
) -> None:
    file.write_text(file.read_text().replace(*change))
    answer = firstlight("tune", file, "--out", tmp_path / "a")
    assert answer.code == 2
    assert answer.err.startswith("firstlight: ")
    assert "Traceback" not in answer.err
    for part in parts:
        assert part in answer.err
    assert not (tmp_path / "a").exists()


def test_without_optuna_it_says_how_to_get_it(
    firstlight: Call, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstlight.parallel.searches.find_spec", lambda name: None)
    answer = firstlight("tune", file, "--out", tmp_path / "a")
    assert answer.code == 2
    assert "pip install 'firstlight[tune]'" in answer.err


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_the_trials_and_the_same_command_goes_on(
    firstlight: Call, interrupted: Call, file: Path, tmp_path: Path, workers: int
) -> None:
    file.write_text(FILE.format(epochs=60 * workers).replace("limit = 150\n", ""))
    out = tmp_path / "a"
    many = 300  # more than can be done before Ctrl-C, however late that comes
    options = ["--out", out, "--workers", workers, "--trials", many]
    answer = interrupted("tune", file, *options, at=out / "trials" / "0002" / "experiment.toml")
    assert answer.code == 130, answer.err
    assert "The same command continues." in answer.err

    kept = len(list((out / "trials").glob("*/history.csv")))
    asked = kept + 2  # the trials that were cut off are among them
    answer = firstlight("tune", file, "--out", out, "--trials", asked, "--json")
    assert answer.json()["trials"]["complete"] == asked
    assert (f"{kept} of {asked} trials were done before" in answer.err) == (kept > 0)
