"""A study file: what it plans, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from firstlight.errors import ExperimentError
from firstlight.experiments import Experiment, Search, merged, packaged, plan, read_plan, set_up
from firstlight.records import run_folder
from firstlight.records.record_files import write_record
from firstlight.records.study_folder import StudyFolder

DEFAULTS: dict[str, Any] = {"data": {"source": "digits"}, "training": {"epochs": 2}}
TWO: dict[str, Any] = {
    "title": "Two nets",
    "defaults": {**DEFAULTS, "optimizer": {"name": "sgd", "momentum": 0.9}},
    "run": [
        {"name": "mlp", "model": {"name": "mlp-128"}, "published": 0.9},
        {"name": "adam", "optimizer": {"name": "adam"}, "training": {"batch_size": 8}, "seeds": [7]},
    ],
}


def written(tables: dict[str, Any], path: Path) -> StudyFolder:
    """The record of the study in a folder, as carrying it out begins."""
    entries = [{"name": run.name, "seeds": list(run.entry.seeds)} for run in plan(tables, "study").runs]
    write_record(path, run_folder.STUDY, {"name": "study", "title": "", "about": "", "runs": entries})
    return StudyFolder.open(path)


def test_each_run_is_its_tables_over_the_defaults(tmp_path: Path) -> None:
    mlp, adam = plan(TWO, "two").runs
    folder = written(TWO, tmp_path)
    assert (mlp.entry.seeds, adam.entry.seeds, mlp.entry.published) == ((0, 1, 2, 3, 4, 5), (7,), 0.9)
    first, second = mlp.experiment(3, folder), adam.experiment(7, folder)
    assert (first.seed, first.model.name, first.optimizer.name) == (3, "mlp-128", "sgd")
    assert (second.training.epochs, second.training.batch_size, second.optimizer.name) == (2, 8, "adam")
    # momentum was an option of another optimizer
    assert "momentum" not in second.optimizer.options


def test_the_matrix_multiplies_the_runs() -> None:
    values = {"optimizer.lr": [0.1, 0.01], "model.units": [[8], [16, 8]]}
    tables = {"title": "t", "defaults": {**DEFAULTS, "model": {"name": "mlp-128"}}, "matrix": values}
    assert [run.name for run in plan(tables, "m").runs] == [
        *("lr=0.1+units=8", "lr=0.1+units=16x8", "lr=0.01+units=8", "lr=0.01+units=16x8")
    ]
    twice = {**tables, "run": [{"name": "a"}, {"name": "b", "training": {"epochs": 1}}]}
    names = [run.name for run in plan(twice, "m").runs]
    assert len(names) == len(set(names)) == 8
    assert names[0] == "a+lr=0.1+units=8"
    assert plan(twice, "m").runs[4].tables["training"]["epochs"] == 1
    assert plan(twice, "m").runs[0].tables["training"]["epochs"] == 2


def test_a_matrix_reads_as_toml_nests_it() -> None:
    nested = {"optimizer": {"lr": [0.1, 0.01]}, "augment": {"rotate": {"p": [0.5]}}, "training.epochs": [3]}
    tables = {"title": "t", "defaults": {**DEFAULTS, "augment": {"rotate": {"range": [-5, 5]}}}, "matrix": nested}
    runs = plan(tables, "m").runs
    assert [run.name for run in runs] == ["lr=0.1+p=0.5+epochs=3", "lr=0.01+p=0.5+epochs=3"]
    assert runs[1].tables["optimizer"] == {"lr": 0.01}
    assert runs[1].tables["augment"]["rotate"] == {"range": [-5, 5], "p": 0.5}


def test_runs_are_called_after_the_tables_of_a_matrix() -> None:
    def names(**matrix: Any) -> list[str]:
        return [run.name for run in plan({"title": "t", "defaults": DEFAULTS, "matrix": matrix}, "m").runs]

    assert names(model=[{"name": "slim-cnn"}, {"name": "lenet5", "activation": "tanh"}]) == [
        *("model=slim-cnn", "model=lenet5")
    ]
    augment = [{}, {"rotate": 15}, {"shear": 15}, {"noise": {"range": 0.1, "p": 0.5}}]
    assert names(augment=augment) == [
        *("augment=none", "augment=rotate-15", "augment=shear-15", "augment=noise-range-0.1-p-0.5")
    ]
    # of one name, they are told apart by the rest
    assert names(model=[{"name": "mlp-128", "units": units} for units in ([8], [16, 8])]) == [
        *("model=mlp-128-units-8", "model=mlp-128-units-16x8")
    ]
    head = {"type": "Dense", "units": 10, "name": "head"}
    deep = [{"layers": [{"type": "Flatten"}, *[{"type": "ReLU"}] * n, head]} for n in (20, 21)]
    long = names(model=deep)
    assert len(set(long)) == 2
    assert all(re.fullmatch(r"model=[\w-]{60}", name) for name in long)


def test_a_run_starts_from_another_of_its_seed_or_from_its_only_one(tmp_path: Path) -> None:
    start = {"weights": {"init_from": "@first"}}
    tables = {"title": "t", "defaults": DEFAULTS, "run": [{"name": "next", **start}, {"name": "first"}]}
    planned = plan(tables, "t")
    folder = written(tables, tmp_path)
    assert [[run.name for run in stage] for stage in planned.stages()] == [["first"], ["next"]]
    needs = planned.runs[0]
    assert needs.experiment(2, folder).weights.init_from == str(tmp_path / "first" / "seed-2")

    elsewhere = {"data": {"source": "mnist"}}  # of other images, one run may serve all seeds
    tables["run"] = [{"name": "next", **start}, {"name": "first", "seeds": [9], **elsewhere}]
    once = written(tables, tmp_path)
    assert plan(tables, "t").runs[0].experiment(2, once).weights.init_from == str(tmp_path / "first" / "seed-9")


def test_seeds_asked_for_take_the_place_of_the_files() -> None:
    assert [run.entry.seeds for run in plan(TWO, "two", seeds=2).runs] == [(0, 1), (7,)]
    assert [run.entry.seeds for run in plan(TWO, "two", seeds=7).runs] == [(0, 1, 2, 3, 4, 5, 6), (7,)]


def test_only_keeps_what_the_named_start_from() -> None:
    runs = [{"name": "a"}, {"name": "b", "weights": {"init_from": "@a"}}, {"name": "c"}]
    planned = plan({"title": "t", "defaults": DEFAULTS, "run": runs}, "t")
    assert [run.name for run in planned.only(["b"]).runs] == ["a", "b"]
    with pytest.raises(ExperimentError, match=r"no run called 'd'"):
        planned.only(["d"])


def test_merging_does_not_touch_what_it_merges() -> None:
    under = {"model": {"name": "lenet5", "activation": "tanh"}}
    assert merged(under, {"model": {"activation": "relu"}}) == {"model": {"name": "lenet5", "activation": "relu"}}
    assert merged(under, {"model": {"name": "mlp-128"}}) == {"model": {"name": "mlp-128"}}
    assert under == {"model": {"name": "lenet5", "activation": "tanh"}}


def test_runs_of_a_matrix_share_no_tables() -> None:
    """Keys three deep, below tables that the defaults, the run and the matrix itself give."""
    rotations: list[Any] = [{"range": [-5, 5]}, {"range": [-9, 9]}]
    tables = {
        "title": "t",
        "defaults": {**DEFAULTS, "augment": {"shear": {"range": [-3, 3]}}},
        "run": [{"name": "a", "augment": {"zoom": {"range": [0.0, 0.1]}}}],
        "matrix": {"augment.rotate": rotations, **{f"augment.{k}.p": [0.1, 0.9] for k in ("rotate", "shear", "zoom")}},
    }
    drawn = [
        (
            run.tables["augment"]["rotate"]["range"],
            *(run.tables["augment"][k]["p"] for k in ("rotate", "shear", "zoom")),
        )
        for run in plan(tables, "m").runs
    ]
    ps = (0.1, 0.9)
    assert drawn == [(r["range"], a, b, c) for r in rotations for a in ps for b in ps for c in ps]
    assert rotations == [{"range": [-5, 5]}, {"range": [-9, 9]}]
    assert tables["defaults"]["augment"] == {"shear": {"range": [-3, 3]}}  # type: ignore[index]


def test_winners_of_a_matrix_share_no_tables(tmp_path: Path) -> None:
    search = {"name": "s", "space": {"optimizer.lr": [0.1, 0.2]}, "tune": {"sampler": "grid"}}
    tables = {
        "title": "t",
        "defaults": DEFAULTS,
        "search": [search],
        "run": [{"name": "won", "winner_of": "s", "training": {"batch_size": 8}}],
        "matrix": {"training.epochs": [1, 2]},
    }
    best = {"data": {"source": "digits"}, "augment": {"rotate": {"range": [-5, 5]}}}
    first, second = plan(tables, "t").runs
    folder = written(tables, tmp_path)
    found = [run.experiment(0, folder, best) for run in (first, second)]
    assert [each.training.epochs for each in found] == [1, 2]
    assert [each.training.batch_size for each in found] == [8, 8]
    assert best["data"] == {"source": "digits"}


@pytest.mark.parametrize(
    ("under", "over", "expected"),
    [
        # the one that is named is the default anyway: what is said of it holds
        ({"optimizer": {"lr": 0.5}}, {"optimizer": {"name": "adam"}}, {"optimizer": {"lr": 0.5, "name": "adam"}}),
        (
            {"model": {"activation": "tanh"}},
            {"model": {"name": "lenet5"}},
            {"model": {"activation": "tanh", "name": "lenet5"}},
        ),
        ({"optimizer": {"lr": 0.5}}, {"optimizer": {"name": "sgd"}}, {"optimizer": {"name": "sgd"}}),
        ({"model": {"layers": [{"type": "Flatten"}]}}, {"model": {"name": "lenet5"}}, {"model": {"name": "lenet5"}}),
        ({"model": {"activation": "tanh"}}, {"model": {"layers": []}}, {"model": {"layers": []}}),
    ],
)
def test_what_is_said_of_the_default_holds_for_it_by_name(
    under: dict[str, Any], over: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert merged(under, over) == expected


def test_tables_do_not_go_over_what_is_no_table() -> None:
    with pytest.raises(ExperimentError, match=r"optimizer is 'sgd', not a table"):
        merged({"optimizer": "sgd"}, {"optimizer": {"lr": 0.1}})
    bad = {**TWO, "defaults": {**DEFAULTS, "optimizer": "sgd"}, "run": TWO["run"][1:]}
    with pytest.raises(ExperimentError, match=r"two\.toml, run 'adam': optimizer is 'sgd', not a table"):
        plan(bad, "two", origin="two.toml")
    bad = {**TWO, "defaults": {**DEFAULTS, "seed_": 1, "training": {"epochs": -1}}}
    with pytest.raises(ExperimentError, match=r"two\.toml, run ") as caught:
        plan(bad, "two", origin="two.toml")
    assert {key for key, _ in caught.value.keys} == {"seed_", "training.epochs"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"title": ""}, ["title"]),
        ({"runs": []}, ["runs", "run"]),
        ({"run": []}, ["it has no runs", "[[run]]"]),
        ({"run": [{"name": "a/b"}]}, ["'a/b'", "name"]),
        ({"run": [{"name": ".."}]}, ["'..'", "name"]),
        ({"run": [{"name": "a"}, {"name": "a"}]}, ["more than one", "'a'"]),
        ({"run": [{"name": "a", "trainin": {"epochs": 3}}]}, ["'a'", "trainin", "training"]),
        ({"run": [{"name": "a", "training": {"epochs": "many"}}]}, ["'a'", "training.epochs", "many"]),
        ({"run": [{"name": "a", "seed": 3}]}, ["'a'", "seeds = [3]"]),
        (
            {"run": [{"name": "a", "publised": 0.9}]},
            ["'a': publised", "Did you mean published, published_validation or"],
        ),
        ({"run": [{"name": "a"}, {"note": "of no name"}]}, ["run number 2: name", "required"]),
        ({"run": [{"name": "a", "published": "0.9"}]}, ["'a': published", "received '0.9'"]),
        ({"run": [{"name": "a", "optional": "no"}]}, ["'a': optional", "received 'no'"]),
        *(
            ({"run": [{"name": "a", "seeds": seeds}]}, ["'a': seeds: give how many, from 1 to 1000", f"{seeds!r}."])
            for seeds in (0, 1001, True, "3", [], [-1], [True], [0.5])
        ),
        ({"seeds": True}, ["seeds: give how many", "received True"]),
        ({"matrix": {"optimizer": {"lr": 0.1}}}, ["matrix.optimizer.lr", "list", "0.1"]),
        ({"matrix": {"optimizer": {"lr": [1]}, "optimizer.lr": [2]}}, ["matrix: optimizer.lr is given twice"]),
        (
            {"run": [{"name": "a", "loss": {"class_weights": {"0": "3"}}}]},
            ["'a'", 'is "balanced", or a number above 0'],
        ),
        ({"run": [{"name": "a", "published": 95}]}, ["run 'a': published", "95"]),
        ({"run": [{"name": "a", "weights": {"init_from": "@b"}}]}, ["starts from", "'b'"]),
        ({"run": [{"name": "a", "weights": {"init_from": "@a"}}]}, ["circle", "a"]),
        ({"run": [{"name": "a", "winner_of": "tpe"}]}, ["winner_of", "'tpe'"]),
        ({"defaults": {**DEFAULTS, "seed": 3}}, ["defaults.seed", "seeds"]),
        ({"seeds": 0}, ["seeds", "0"]),
        ({"parity": "mlq"}, ["parity", "'mlq'", "mlp"]),
        ({"matrix": {"optimizer.lrr": [1]}}, ["lrr"]),
        ({"matrix": {"seed": [1, 2]}}, ["matrix.seed", "seeds"]),
        ({"run": [{"name": "report.html"}]}, ["report.html", "files of its own"]),
        ({"run": [{"name": "two words"}]}, ["name", "letters, digits and _ + . = -", "'two words'"]),
        ({"run": [{"name": "x" * 81}]}, ["up to 80 letters"]),
        ({"run": [{"name": "Net"}, {"name": "net"}]}, ["'Net'", "'net'", "one folder"]),
        ({"run": [{"name": "cafe\u0301"}]}, ["letters, digits"]),
        ({"run": [{"name": "search-tpe"}]}, ["search-tpe", "files of its own"]),
        ({"run": [{"name": "a", "seeds": 1}, {"name": "b", "weights": {"init_from": "@a"}}]}, ["'b'", "'a'", "seed 1"]),
        (
            {
                "search": [{"name": "s", "space": {"optimizer.lr": [0.1]}, "tune": {"sampler": "grid"}}],
                "run": [{"name": "a", "winner_of": "s", "trainning": {"epochs": 2}}],
            },
            ["'a'", "trainning"],
        ),
    ],
)
def test_every_mistake_is_named_before_anything_starts(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ExperimentError) as caught:
        plan({**TWO, **changes}, "two", origin="two.toml")
    assert all(word in str(caught.value) for word in ["two.toml", *words]), caught.value
    assert "\n" not in str(caught.value)  # one mistake, one line


def test_the_packaged_studies_are_sound() -> None:
    assert {"fashion-lenet", "mnist-activations", "cifar-two-layer"} <= set(packaged())
    for name, title in packaged().items():
        found = read_plan(name)
        assert (found.name, found.title) == (name, title)
        assert found.text.startswith("#")  # each says in comments what it shows
        assert found.about
        for run in found.runs:
            if not run.winner_of:
                Experiment.of(run.tables, name)


def test_a_study_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"fashion-lenet"):
        read_plan("fashion-lenett")
    with pytest.raises(ExperimentError, match=r"no such"):
        read_plan(tmp_path / "none.toml")


def test_a_winner_keeps_the_split_on_which_it_was_chosen(tmp_path: Path) -> None:
    search = {"name": "s", "seed": 3, "space": {"optimizer.lr": [0.1, 0.2]}, "tune": {"sampler": "grid"}}
    tables = {"title": "t", "defaults": DEFAULTS, "search": [search], "run": [{"name": "won", "winner_of": "s"}]}
    made = plan(tables, "t")
    [won] = made.runs
    best = Search.of(made.searches["s"]).experiment({"optimizer.lr": 0.2}).model_dump(exclude_none=True)
    found = won.experiment(5, written(tables, tmp_path), best)
    assert (found.seed, found.data.split_seed, found.optimizer.lr) == (5, 3, 0.2)


def test_a_seed_of_its_own_draws_the_split() -> None:
    def test_ids(**data_keys: Any) -> list[str]:
        tables = {"data": {"source": "digits", **data_keys}, "model": {"name": "mlp-128"}, "seed": 1}
        return set_up(Experiment.of(tables)).splits["test"].ids.tolist()

    assert test_ids(split_seed=4) != test_ids()
    assert test_ids(split_seed=1) == test_ids()
