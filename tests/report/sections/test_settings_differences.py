"""The settings in which runs differ: a row per run, or a row per setting where these are more."""

from __future__ import annotations

from tests.report.page_parts import table
from tests.report.run_folders import MakeRun

from firstlight.records.group import of_runs
from firstlight.records.run import read
from firstlight.report.format import DASH
from firstlight.report.sections.settings_differences import section


def test_single_runs_differ_in_their_seed_too(make_run: MakeRun) -> None:
    models = ("lenet5", "mlp-128", "softmax-regression")
    groups = of_runs([read(make_run(f"run-{seed}", model=model, seed=seed)) for seed, model in enumerate(models)])
    shown = table(section(groups))
    assert shown.titles == ("run", "model.name", "seed")
    assert shown.rows == tuple((f"run-{seed}", model, str(seed)) for seed, model in enumerate(models))


def test_of_several_seeds_the_seed_is_no_difference(make_run: MakeRun) -> None:
    runs = [make_run(f"{model}-{seed}", model=model, seed=seed) for model in ("a", "b") for seed in (0, 1)]
    shown = table(section(of_runs([read(run) for run in runs])))
    assert shown.titles == ("run", "model.name")
    assert "in each only the seed changes" in shown.caption


def test_what_a_run_lacks_is_a_dash_and_many_settings_have_a_row_each(make_run: MakeRun) -> None:
    runs = [make_run("a"), make_run("b")]
    with (runs[0].path / "experiment.toml").open("a") as file:
        file.write("[schedule]\nwarm = false\nname = 'step'\nevery = 3\n")
    shown = table(section(of_runs([read(run) for run in runs])))
    assert shown.titles == ("setting", "a", "b")
    assert shown.rows == (
        *(("schedule.every", "3", DASH), ("schedule.name", "step", DASH), ("schedule.warm", "no", DASH)),
    )


def test_equal_settings_are_no_section(make_run: MakeRun) -> None:
    assert section(of_runs([read(make_run("a"))])) is None
