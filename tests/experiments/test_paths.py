"""Paths in experiment files are found from any folder, and what was recorded of a place helps."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

import firstlight as fl
from firstlight import experiments
from firstlight.errors import DataError, ExperimentError, RunError
from firstlight.experiments.paths import differing, relative_to
from firstlight.parallel import run_study
from firstlight.records import run_folder
from firstlight.records.run_folder import RunFolder

SMALL: dict[str, Any] = {"model": {"name": "mlp-128", "units": [8]}, "training": {"epochs": 1}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with images of its own, in whose folder one works."""
    place = tmp_path / "project"
    place.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (60, 8, 8), np.uint8)
    np.savez(place / "mine.npz", images=pixels, labels=np.arange(60) % 3)
    monkeypatch.chdir(place)
    return place


def write(file: Path, tables: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(tomli_w.dumps(tables))
    return file


def weights(run: Path) -> bytes:
    return (run / run_folder.WEIGHTS).read_bytes()


def test_a_runs_experiment_gives_the_same_bits_from_any_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fl.run({"data": {"source": "mine.npz"}, **SMALL}, out="r")
    second = fl.run({"data": {"source": "mine.npz"}, **SMALL, "weights": {"init_from": "r"}}, out="runs/s")
    monkeypatch.chdir(project.parent)
    for name, run in (("r", first), ("runs/s", second)):
        again = fl.run(f"project/{name}/experiment.toml", out=f"again/{name}")
        assert weights(again.path) == weights(project / run.path)
    shutil.move(project / "r", "elsewhere")
    assert weights(fl.run("elsewhere/experiment.toml", out="moved").path) == weights(Path("elsewhere"))


def test_paths_are_relative_to_their_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = write(project / "a.toml", {"data": {"source": "mine.npz"}, **SMALL})
    below = write(project / "deep" / "b.toml", {"data": {"source": "../mine.npz"}, **SMALL})
    for folder in (project, project.parent, project / "deep"):
        monkeypatch.chdir(folder)
        for file in (beside, below):
            source = experiments.read_located(file)["data"]["source"]
            assert Path(source).resolve() == project / "mine.npz"
    monkeypatch.chdir(project)
    assert experiments.read_located(Path("a.toml"))["data"]["source"] == "mine.npz", "it stays as it was written"
    np.savez(project / "deep" / "mine.npz", images=np.zeros((1, 8, 8), np.uint8), labels=[0])
    own = write(project / "deep" / "c.toml", {"data": {"source": "mine.npz"}})
    assert Path(experiments.read_located(own)["data"]["source"]).resolve() == project / "deep" / "mine.npz", (
        "the file's first"
    )


def test_a_path_that_leads_nowhere_is_told_with_where_it_was_looked_for(project: Path) -> None:
    file = write(project / "deep" / "a.toml", {"data": {"source": "photos"}, **SMALL})
    with pytest.raises(ExperimentError) as told:
        experiments.read_located(file)
    assert f"looked for {project / 'deep' / 'photos'} and {project / 'photos'}" in str(told.value)
    assert experiments.read_located(file, {"data.source"})["data"]["source"] == "photos", "something else counts"
    with pytest.raises(DataError) as of_a_line:
        fl.load("photos")
    assert str(project / "photos") in str(of_a_line.value)


def test_a_link_to_itself_is_a_path_that_leads_nowhere(project: Path) -> None:
    (project / "circle").symlink_to("circle")
    for tables in (
        {"data": {"source": "circle"}},
        {"data": {"source": "mine.npz"}, "weights": {"init_from": "circle"}},
    ):
        with pytest.raises(ExperimentError, match="circle"):
            experiments.read_located(write(project / "a.toml", tables))


@pytest.mark.parametrize("source", ["mnist", "/somewhere", "~/photos", "in memory: digits", "", "a\0b"])
def test_what_is_no_relative_path_stays(project: Path, source: str) -> None:
    tables = {"data": {"source": source}, "weights": {"init_from": "@lenet5"}}
    assert experiments.located(tables, project / "deep" / "a.toml") == tables
    assert relative_to(tables, project / "deep") == tables


def test_a_search_goes_on_from_another_folder_and_its_best_file_runs_there(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = {"tune": {"trials": 1, "sampler": "random"}, "space": {"lr": {"log": [1e-3, 1e-2]}}}
    write(project / "t.toml", {"data": {"source": "mine.npz"}, **SMALL, **search})
    fl.tune("t.toml", out="t")
    monkeypatch.chdir(project.parent)
    again = fl.tune("project/t.toml", out="project/t", trials=2)
    assert [trial.state for trial in again.result.trials] == ["complete"] * 2
    moved = project.rename(project.parent / "moved")
    for name in ("best.toml", "trials/0002/experiment.toml"):
        assert tomllib.loads((moved / "t" / name).read_text())["data"]["source"].startswith("../")
        assert fl.run(moved / "t" / name, out=f"run-{name[:4]}").result["test"]["images"] == 12
    fl.tune(moved / "t.toml", out=moved / "t", trials=3)


def test_a_study_goes_on_from_another_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables: dict[str, Any] = {"title": "t", "seeds": 1, "defaults": {"data": {"source": "mine.npz"}, **SMALL}}
    file = write(project / "s.toml", {**tables, "run": [{"name": "a"}]})
    study_of = lambda path: run_study(experiments.read_plan(path), project / "out")  # noqa: E731
    result = study_of("s.toml").path / "a" / "seed-0" / run_folder.RESULT
    before = result.stat().st_mtime_ns
    monkeypatch.chdir(project.parent)
    write(file, {**tables, "run": [{"name": "a"}, {"name": "b", "optimizer": {"lr": 0.1}}]})
    study_of("project/s.toml")
    study_of(file)
    assert result.stat().st_mtime_ns == before
    assert RunFolder(project / "out" / "b" / "seed-0").finished
    study_of(project / "out" / "s.toml")  # the copy that it keeps
    assert result.stat().st_mtime_ns == before
    np.savez(project / "other.npz", images=np.zeros((60, 8, 8), np.uint8), labels=np.arange(60) % 3)
    other = {**tables["defaults"], "data": {"source": "other.npz"}}
    write(file, {**tables, "defaults": other, "run": [{"name": "a"}]})
    with pytest.raises(RunError, match=r"differs in data\.source"):
        study_of("project/s.toml")


def test_moved_images_are_told_to_resume_and_to_explain(project: Path) -> None:
    run = fl.run({"data": {"source": "mine.npz"}, **SMALL}, out="r")
    (project / "mine.npz").rename(project / "there.npz")
    with pytest.raises(RunError, match="--data PATH"):
        run.mistakes()
    assert len(fl.Run("r", data="there.npz").mistakes()) == len(run.mistakes(data="there.npz"))
    assert fl.Run("r", data="there.npz").evaluate()[0].accuracy == run.accuracy
    (run.path / run_folder.RESULT).unlink()
    np.savez("other.npz", images=np.zeros((60, 8, 8), np.uint8), labels=np.arange(60) % 3)
    with pytest.raises(RunError, match="no longer the same"):
        fl.resume("r", data="other.npz")
    assert fl.resume("r", data="there.npz").accuracy == run.accuracy
    assert RunFolder(run.path).data.location == str(project / "there.npz")
    fl.Run("r").mistakes()  # from then on they are known to be there


def test_two_words_for_one_place_are_no_difference(project: Path) -> None:
    one = {"data": {"source": "mine.npz"}, "seed": 0}
    assert differing(one, {"data": {"source": "deep/../mine.npz"}, "seed": 0}) == []
    assert differing(one, {"data": {"source": "other.npz"}, "seed": 1}) == ["data.source", "seed"]
    assert differing({"data": {"source": "digits"}}, {"data": {"source": "./digits"}}) == ["data.source"]
    there = {"data": {"source": "b/mine.npz"}, "seed": 0}
    assert differing(one, there) == ["data.source"]
    assert differing(one, there, str(project / "b" / "mine.npz")) == []
    assert differing(one, there, elsewhere=True) == []
    assert differing({"data": {"source": "a/mine.npz"}}, {"data": {"source": "b/mine.npz"}}, elsewhere=True)
