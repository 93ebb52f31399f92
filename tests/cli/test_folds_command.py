"""`firstlight run --folds`, and `resume` of what came of it, as a user calls them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstlight import report
from firstlight.records import out_of_fold
from firstlight.records.run_folder import RESULT

FILE = """\
[data]
source = "digits"
limit = 60

[model]
name = "softmax-regression"

[training]
epochs = 1
"""


@pytest.fixture(autouse=True)
def no_reports() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "write", lambda subject, out=None, **options: out or subject.path / "report.html")
        yield


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(FILE)
    return Path("small.toml")


def test_folds_are_trained_once_and_gone_on_with(firstlight, file) -> None:
    answer = firstlight("run", file, "--folds", 3, "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert told["path"] == "runs/small-3-folds"
    names = [f"softmax-regression/seed-0/fold-{fold}" for fold in (1, 2, 3)]
    assert list(told["test_accuracy"]) == names
    place = Path(told["path"]) / "softmax-regression" / "seed-0"
    found = out_of_fold.read(place)
    assert found is not None
    assert len(found) == 1797  # of the training images, `limit` takes 60; all are tested

    kept = (place / "fold-1" / RESULT).stat().st_mtime_ns
    shutil.rmtree(place / "fold-2")
    again = firstlight("resume", told["path"], "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["test_accuracy"] == told["test_accuracy"]
    assert (place / "fold-1" / RESULT).stat().st_mtime_ns == kept

    other = firstlight("run", file, "--folds", 4, "--out", told["path"])
    assert (other.code, "not small-4-folds" in other.err) == (2, True)
    compared = firstlight("compare", place, "-q", "--out", "page.html")
    assert compared.code == 0, compared.err
    assert firstlight("compare", place.parent, "-q", "--out", "page.html").code == 0
    asked = firstlight("resume", told["path"], "--data", "x")
    assert (asked.code, "--data is for a single run" in asked.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--folds", "1"], "--folds must be at least 2; received 1"),
        (["--folds", "0"], "--folds must be at least 2; received 0"),
        (["--folds", "1000"], "too few for 1000 folds"),
        (["--folds", "3", "--set", "data.fold=2"], "small.toml: data.fold: with folds, each experiment is trained"),
        (["--folds", "3", "--set", "data.folds=3"], "leave data.folds out"),
        (["--folds", "3", "--explain"], "--explain is for a single run"),
        (["--folds", "3", "--reuse"], "--reuse is for a single run"),
        (["--workers", "2"], "--workers needs --folds"),
        (["--set", "data.folds=3"], "firstlight run FILE --folds 3"),
        (["--set", "data.fold=3"], "needs folds, the number of folds"),
        (["--set", "data.folds=3", "--set", "data.fold=4"], "fold = 4 is not one of the 3 folds: give one from 1 to 3"),
        (["--set", "data.folds=1", "--set", "data.fold=1"], "data.folds"),
        (["--folds", "3", "--set", "model.name=lenet5"], "lenet5"),
        (["--folds", "3", "--data", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(firstlight, file, options: list[str], told: str) -> None:
    answer = firstlight("run", file, *options)
    assert answer.code == 2
    assert told in " ".join(answer.err.split())
    assert not Path("runs").exists()


def test_a_fold_alone_is_a_run_like_any_other(firstlight, file) -> None:
    answer = firstlight("run", file, "--set", "data.folds=3", "--set", "data.fold=2", "--out", "second", "-q")
    assert answer.code == 0, answer.err
    assert "folds = 3\nfold = 2" in (Path("second") / "experiment.toml").read_text()
    assert "fold 2 of 3" in json.loads((Path("second") / "data.json").read_text())["how_split"]
    assert firstlight("evaluate", "second").code == 0
