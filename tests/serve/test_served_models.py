"""Runs under names, and their probabilities."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import firstlight as fl
from firstlight.errors import RunError
from firstlight.serve import named_runs, served_models, serving
from firstlight.serve.served_models import ServedModel


def test_a_run_is_named_as_its_folder_or_as_it_is_said(served_runs: dict[str, fl.Run]) -> None:
    path = served_runs["digits"].path
    named = named_runs([str(path), f"other={path}", f"{path}/../colour"])
    assert [model.name for model in named] == ["digits", "other", "colour"]
    assert named[1].run.path == path


def test_names_that_will_not_do_are_told(served_runs: dict[str, fl.Run], tmp_path: Path) -> None:
    path = str(served_runs["digits"].path)
    with pytest.raises(RunError, match=r"would both be called 'digits'\. Name one: digits-2="):
        named_runs([path, path])
    with pytest.raises(RunError, match="without a slash"):
        named_runs([f"a/b={path}"])
    with pytest.raises(RunError, match="none"):
        named_runs([str(tmp_path / "none")])
    (tmp_path / "circle").symlink_to("circle")
    for name in ("circle", "a\0b"):
        with pytest.raises(RunError, match="no such run folder"):
            named_runs([str(tmp_path / name)])


def test_a_name_is_one_that_can_be_asked_for(served_runs: dict[str, fl.Run]) -> None:
    path = served_runs["digits"].path
    [model] = named_runs([f"\udcff\nb c={path}"])
    assert model.name == r"\xff\nb c"
    assert serving._named([model, model]) == "?model=%5Cxff%5Cnb%20c"


def test_no_limit_is_endless(firstlight: Callable[..., Any], served_runs: dict[str, fl.Run]) -> None:
    for option in ("--max-mb", "--max-seconds"):
        answer = firstlight("serve", served_runs["digits"].path, option, "inf")
        assert answer.code == 2
        assert option in answer.err


@pytest.mark.parametrize("swift", [True, False])
def test_any_number_of_images_has_the_probabilities_of_the_run(served_runs: dict[str, fl.Run], swift: bool) -> None:
    run, threads = served_runs["digits"], numba.get_num_threads()
    pixels = np.random.default_rng(1).integers(0, 256, (9, 8, 8, 1), dtype=np.uint8)
    model = ServedModel("digits", run, swift)
    for n in (1, 2, 3, 4, 5, 9):
        np.testing.assert_allclose(model.answers([*pixels[:n]])[:, :-1], run.predict(pixels[:n]), atol=1e-6)
    assert numba.get_num_threads() == threads


def test_a_model_is_swift_by_what_it_takes(served_runs: dict[str, fl.Run], monkeypatch: pytest.MonkeyPatch) -> None:
    model = ServedModel("digits", served_runs["digits"])
    monkeypatch.setattr(served_models, "SWIFT", 60.0)
    assert model.warmed().swift
    monkeypatch.setattr(served_models, "SWIFT", 0.0)
    assert not model.warmed().swift


def test_runs_that_answer_together_are_one_model(served_runs: dict[str, fl.Run], tmp_path: Path) -> None:
    for seed in (0, 1):
        shutil.copytree(served_runs["digits"].path, tmp_path / "pair" / f"seed-{seed}")
    [model] = named_runs([str(tmp_path / "pair")])
    pixels = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    np.testing.assert_allclose(model.answers([*pixels])[:, :-1], model.run.predict(pixels), atol=1e-6)
    alone, about = ServedModel("digits", served_runs["digits"]).about(), model.about()
    assert (about["nets"], about["parameters"]) == (2, 2 * alone["parameters"])
    assert about["test_accuracy"] == alone["test_accuracy"]
