"""The tune file: what it may say, what is drawn from, and what is refused before anything starts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from firstlight.errors import ExperimentError
from firstlight.experiments import Search, read_search
from firstlight.experiments.search.pruner import Pruner
from firstlight.experiments.search.space import Choice, Range, parse

BASE = """
[data]
source = "digits"
[model]
name = "mlp-128"
[training]
epochs = 9
"""


def search(text: str) -> Search:
    return Search.of(tomllib.loads(BASE + text))


def refused(text: str) -> str:
    with pytest.raises(ExperimentError) as caught:
        search(text)
    return str(caught.value)


def test_every_kind_of_domain_and_of_key() -> None:
    tables = tomllib.loads(
        """
        lr = { log = [1e-4, 1e-1] }
        optimizer.lag = { uniform = [0, 0.5], step = 0.2 }
        "model.units" = [32, [64, 32], [128]]
        batch_size = { log_int = [16, 256] }
        [training]
        epochs = { int = [3, 10], step = 3 }
        """
    )
    assert parse(tables) == {
        "optimizer.lr": Range(1e-4, 0.1, log=True),
        "optimizer.lag": Range(0.0, 0.4, step=0.2),
        "model.units": Choice((32, [64, 32], [128])),
        "training.batch_size": Range(16, 256, log=True, whole=True),
        "training.epochs": Range(3, 9, whole=True, step=3),
    }


def test_what_is_written_reads_as_the_same_search() -> None:
    one = search(
        '[tune]\nsampler = "random"\ntrials = 7\n[space]\nlr = {log = [1e-4, 1e-1]}\nmodel.units = [[8], [64, 32]]'
    )
    again = Search.of(tomllib.loads(one.to_toml(Path())))
    assert again.to_json() == one.to_json()
    assert again.trials == 7
    assert "password" not in one.with_(storage="postgresql://me:password@host/base").to_toml(Path())


def test_the_order_of_keys_in_the_file_decides_nothing() -> None:
    one = search("[space]\nlr = [0.1, 0.2]\nbatch_size = [8, 16]\nmodel = [{name = 'mlp-128'}]")
    other = search("[space]\nmodel = [{name = 'mlp-128'}]\nbatch_size = [8, 16]\nlr = [0.1, 0.2]")
    assert list(one.space) == list(other.space) == ["model", "optimizer.lr", "training.batch_size"]


def test_a_trial_is_the_experiment_with_its_values() -> None:
    one = search('[tune]\nmonitor = "val_loss"\n[space]\nlr = {log = [1e-4, 1e-1]}\nmodel.units = [[8], [64, 32]]')
    experiment = one.experiment({"optimizer.lr": 0.02, "model.units": [64, 32]})
    assert experiment.optimizer.lr == 0.02
    assert list(experiment.model.options["units"]) == [64, 32]
    assert experiment.training.epochs == 9
    assert experiment.training.monitor == one.monitor == "val_loss"
    assert not one.maximize


def test_whole_tables_may_be_choices_with_keys_of_them_searched_as_well() -> None:
    one = search('[space]\noptimizer = [{name = "sgd", momentum = 0.9}, {name = "adam"}]\nlr = {log = [1e-3, 1e-1]}')
    drawn = one.experiment({"optimizer": {"name": "sgd", "momentum": 0.9}, "optimizer.lr": 0.05})
    assert (drawn.optimizer.name, drawn.optimizer.lr, drawn.optimizer.options["momentum"]) == ("sgd", 0.05, 0.9)


def test_the_points_of_a_grid() -> None:
    one = search(
        '[tune]\nsampler = "grid"\n[space]\nlr = {log = [1e-3, 1e-1], points = 3}\nmodel.units = [[8], [9]]\n'
        "batch_size = {int = [10, 30], step = 10}\noptimizer.lag = {uniform = [0, 0.5], step = 0.25}"
    )
    points = {tuple(map(str, point.values())) for point in one.grid}
    assert len(one.grid) == len(points) == one.trials == 3 * 2 * 3 * 3
    assert {point["optimizer.lr"] for point in one.grid} == {0.001, 0.01, 0.1}
    assert {point["optimizer.lag"] for point in one.grid} == {0.0, 0.25, 0.5}
    assert one.grid != sorted(one.grid, key=str)
    assert one.with_(trials=4).trials == 4


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[space]", ["nothing to search"]),
        ("[space]\nlr = 0.1", ["space.optimizer.lr", "received 0.1", "belongs in the experiment"]),
        ("[space]\nlrr = [1]", ["space.lrr", "no such key"]),
        ("[space]\nname = ['a', 'b']", ["space.name", "which one", "model.name", "optimizer.name"]),
        ("[space]\nlr = [0.1]\noptimizer.lr = [0.2]", ["given twice"]),
        ("[space]\nlr = {log = [0, 1]}", ["space.optimizer.lr.log", "above 0", "[0, 1]"]),
        ("[space]\nlr = {log = [1, 0.1]}", ["the lower one first", "[1, 0.1]"]),
        ("[space]\nlr = {log = [1, 2], uniform = [1, 2]}", ["give one of"]),
        ("[space]\nlr = {log = [1, 2], stepp = 1}", ["stepp", "Did you mean step"]),
        ("[space]\nlr = {log = [1, 2], step = 0.1}", ["leave step out"]),
        ("[space]\nbatch_size = {int = [16, 32.5]}", ["two integers"]),
        ("[space]\nbatch_size = {int = [16, 32], step = 20}", ["at most 16", "20"]),
        ("[space]\nbatch_size = {int = [16, 32], points = 1}", ["of at least 2"]),
        ("[space]\nlr = {lgo = [0.1, 0.2]}", ["lr.lgo", "meant as a range"]),
        ("[space]\nbatch_size = [16, 'many']", ["training.batch_size", "'many'"]),
        ("[space]\nbatch_size = [16, 16]", ["twice"]),
        ("[space]\nbatch_size = []", ["at least one"]),
        ("[space]\nmodel.name = ['lenet5', 'lenet6']", ["lenet6", "Did you mean"]),
        ("[space]\nmodel.unitz = [[8]]", ["model.unitz", "no such option", "units"]),
        ("[space]\noptimizer.name = ['adam', 'sgd']\noptimizer.momentum = [0, 0.9]", ["momentum", "adam"]),
        ("[space]\nlr = {log = [0.1, 1]}\n[tune]\nsampler = 'grid'", ["space.optimizer.lr", "points = 5"]),
        ("[space]\nlr = [0.1]\n[tune]\nsampler = 'genetic'", ["tune.sampler", "genetic"]),
        ("[space]\nlr = [0.1]\n[tune]\nsamplr = 'tpe'", ["tune.samplr", "Did you mean sampler"]),
        ("[space]\nlr = [0.1]\n[tune]\ntrials = 0", ["tune.trials", "received 0"]),
        ("[space]\nlr = [0.1]\n[tune]\npruner = 'halving'\nmin_epochs = 9", ["tune.min_epochs", "9 epochs"]),
        ("[space]\ntraining.monitor = ['val_loss']", ["cannot be searched", "compared by it"]),
        ("[space]\ndata.validation = [0.1, 0.2]", ["cannot be searched", "validation images"]),
        ("[space]\nseed = [1, 2, 3]", ["space.seed cannot be searched", "luck"]),
        ("[space]\ndata.split_seed = [1, 2]", ["cannot be searched", "validation images"]),
        ("[space]\ndata.pool = [true, false]", ["cannot be searched", "validation images"]),
        ("[space]\ndata.classes = [['0', '1'], ['0', '2']]", ["cannot be searched", "same classes"]),
        ("[space]\ndata.test = [0.1, 0.5]", ["cannot be searched", "set aside"]),
        (
            "[space]\ntraining = [{epochs = 1, monitor = 'val_loss'}, {epochs = 2, monitor = 'val_accuracy'}]",
            ["space.training: its values differ in training.monitor", "compared by it"],
        ),
        (
            "[space]\ndata = [{source = 'digits', validation = 0.1}, {source = 'digits', validation = 0.5}]",
            ["space.data: its values differ in data.validation", "Give all of them the same"],
        ),
        ("[space]\ndata.regroup.low = [['0', '1'], ['0', '2']]", ["data.regroup.low cannot be", "same classes"]),
    ],
)
def test_mistakes_are_named_with_what_to_do(text: str, parts: list[str]) -> None:
    message = refused(text)
    for part in parts:
        assert part in message, message


def test_trials_have_one_split_and_so_has_what_is_made_of_the_winner() -> None:
    space = "[space]\nlr = [0.1, 0.2]\n"
    search = Search.of(tomllib.loads(f"seed = 5\n{BASE}\n{space}"))
    trials = [search.experiment({"optimizer.lr": lr}) for lr in (0.1, 0.2)]
    assert [(trial.seed, trial.data.split_seed) for trial in trials] == [(5, 5), (5, 5)]
    assert "split_seed = 5" in trials[0].to_toml()
    own = Search.of(tomllib.loads("seed = 5\n" + BASE.replace("[data]", "[data]\nsplit_seed = 7") + space))
    assert own.experiment({"optimizer.lr": 0.1}).data.split_seed == 7


@pytest.mark.parametrize(
    ("space", "size"),
    [
        ({"lr": [0.1, 0.2], "model.units": [4, 8, [8, 4]]}, 6),
        ({"batch_size": {"int": [4, 9]}, "optimizer.lag": {"uniform": [0.0, 0.5], "step": 0.25}}, 18),
        ({"batch_size": {"log_int": [4, 9]}}, 6),
        ({"batch_size": {"int": [4, 9], "step": 2}, "lr": {"log": [0.1, 0.2]}}, None),
        ({"optimizer.lag": {"uniform": [0.0, 0.5]}}, None),
    ],
)
def test_a_search_knows_how_many_trials_there_can_be(space: dict[str, Any], size: int | None) -> None:
    search = Search.of({**tomllib.loads(BASE), "space": space, "tune": {"trials": 1000}})
    assert search.size == size
    assert search.trials == (size or 1000)
    points = [str(point) for point in search.points()]
    assert len(set(points)) == len(points) == (size or 0)


def test_a_file_that_searches_nothing_says_how_to_run_it(tmp_path: Path) -> None:
    file = tmp_path / "plain.toml"
    file.write_text(BASE)
    with pytest.raises(ExperimentError, match=r"firstlight run .*plain\.toml"):
        read_search(file)


def test_halving_keeps_one_of_so_many_at_each_rung() -> None:
    rule = Pruner(min_epochs=1, reduction=3, epochs=20)
    assert rule.rungs == (1, 3, 9)
    assert [epoch for epoch in range(1, 21) if rule.is_rung(5, epoch)] == [1, 3, 9]
    assert not rule.prunes(0.1, [0.9], maximize=True)  # two tell nothing yet
    assert rule.prunes(0.5, [0.9, 0.1], maximize=True)
    assert not rule.prunes(0.9, [0.9, 0.9], maximize=True)
    assert rule.prunes(0.5, [0.1, 0.9], maximize=False)
    stopped = [value for value in range(9) if rule.prunes(value, [v for v in range(9) if v != value], maximize=True)]
    assert stopped == [0, 1, 2, 3, 4, 5]


def test_hyperband_deals_trials_to_brackets_in_their_shares() -> None:
    rule = Pruner(min_epochs=1, reduction=3, epochs=27, hyperband=True)
    assert rule.rungs == (1, 3, 9)
    # Li et al. 2018, Table 1 for R = 27, η = 3: 27, 12, 6 and 4 trials, which begin with 1, 3, 9 and 27 epochs.
    dealt = [rule.bracket(place) for place in range(49)]
    assert [dealt.count(bracket) for bracket in range(4)] == [27, 12, 6, 4]
    assert dealt[:27] != [0] * 27
    first: dict[int, Any] = {
        rule.bracket(place): [epoch for epoch in range(1, 28) if rule.is_rung(place, epoch)] for place in range(49)
    }
    assert first == {0: [1, 3, 9], 1: [3, 9], 2: [9], 3: []}
