"""The experiment file: defaults written out, every mistake named."""

from __future__ import annotations

import math
import os
import pickle
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight import models
from firstlight.errors import FirstlightError, KeyedError
from firstlight.experiments import Experiment, merged, only_experiment, parse_setting, put, read, read_plan, read_search
from firstlight.optimizers import SGD, Adam, Lagged
from firstlight.schedules import Cosine


def test_every_default_is_written_out_and_reads_back_the_same() -> None:
    experiment = Experiment.of({"data": {"source": "digits"}})
    tables = tomllib.loads(experiment.to_toml())
    assert tables["training"] == {
        "epochs": 10,
        "batch_size": 32,
        "monitor": "val_accuracy",
        "restore_best": True,
        "sampling": "shuffled",
        "average": "none",
        "average_decay": 0.999,
        "test_flip": False,
    }
    assert tables["optimizer"] == {
        "name": "adam",
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "lag": 0.0,
        "lookahead": 0,
        "lr_factors": {},
    }
    assert tables["model"] == {"name": "lenet5", **models.defaults("lenet5")}
    assert Experiment.of(tables) == experiment


@given(
    st.sampled_from(sorted(models.ARCHITECTURES)),
    st.sampled_from(["sgd", "adam", "adamw", "rmsprop", "nadam", "lion", "muon"]),
    st.sampled_from(["constant", "step", "exponential", "cosine", "one-cycle"]),
    st.floats(1e-6, 1),
    st.one_of(st.none(), st.integers(8, 64)),
)
def test_the_file_of_any_experiment_reads_back_the_same(
    model: str, optimizer: str, schedule: str, lr: float, size: int | None
) -> None:
    experiment = Experiment.of(
        {
            "data": {"source": "digits", "size": size},
            "model": {"name": model},
            "optimizer": {"name": optimizer, "lr": lr},
            "schedule": {"name": schedule, "warmup": 0.5},
        }
    )
    assert Experiment.of(tomllib.loads(experiment.to_toml())) == experiment


def test_what_it_names_is_built() -> None:
    experiment = Experiment.of(
        {
            "data": {"source": "digits", "size": 28},
            "model": {"name": "mlp-128", "activation": "tanh"},
            "optimizer": {"name": "sgd", "momentum": 0.9, "lag": 0.25},
            "schedule": {"name": "cosine", "warmup": 1},
        }
    )
    assert experiment.data.size == (28, 28)
    assert experiment.build_optimizer() == Lagged(SGD(0.01, 0.9), 0.25)
    assert experiment.build_schedule() == Cosine(warmup=1)
    assert experiment.build_model((8, 8, 1), 10) == models.mlp_128((8, 8, 1), activation="tanh")
    assert Experiment.of({"data": {"source": "x"}, "optimizer": {"lr": 0.5}}).build_optimizer() == Adam(lr=0.5)


@pytest.mark.parametrize(("text", "size"), [("28x32", (28, 32)), ("28", (28, 28)), (28, (28, 28)), ([3, 4], (3, 4))])
def test_a_size_may_be_given_in_many_ways(text: Any, size: tuple[int, int]) -> None:
    assert Experiment.of({"data": {"source": "digits", "size": text}}).data.size == size


def test_a_model_layer_by_layer() -> None:
    tables = tomllib.loads(
        """
        [data]
        source = "digits"
        [[model.layers]]
        type = "Flatten"
        [[model.layers]]
        type = "Dense"
        units = 10
        """
    )
    experiment = Experiment.of(tables)
    assert experiment.build_model((8, 8, 1), 10).parameters == 650
    assert Experiment.of(tomllib.loads(experiment.to_toml())) == experiment


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({}, ["data", "required"]),
        ({"data": {"source": "digits"}, "sed": 1}, ["sed", "seed"]),
        ({"data": {"source": "digits", "sise": 3}}, ["data.sise", "size"]),
        ({"data": {"source": "digits"}, "training": {"epochs": -1}}, ["training.epochs", "received -1"]),
        ({"data": {"source": "digits"}, "training": {"epochs": "ten"}}, ["training.epochs", "'ten'"]),
        ({"data": {"source": "digits"}, "training": {"epoch": 3}}, ["training.epoch", "epochs"]),
        ({"data": {"source": "digits", "validation": 1.5}}, ["data.validation", "1.5"]),
        ({"data": {"source": "digits", "size": -3}}, ["data.size", "-3"]),
        ({"data": {"source": "digits"}, "optimizer": {"lr": -1}}, ["optimizer.lr", "-1"]),
        ({"data": {"source": "digits"}, "optimizer": {"name": "adan"}}, ["adan", "adam"]),
        ({"data": {"source": "digits"}, "optimizer": {"momentum": 0.9}}, ["optimizer.momentum", "adam"]),
        ({"data": {"source": "digits"}, "schedule": {"name": "cosin"}}, ["cosin", "cosine"]),
        ({"data": {"source": "digits"}, "loss": {"name": "crossentropy"}}, ["crossentropy", "cross-entropy"]),
        ({"data": {"source": "digits"}, "model": {"name": "lenet"}}, ["lenet", "lenet5"]),
        ({"data": {"source": "digits"}, "prepare": {"standardise": "images"}}, ["prepare.standardise", "images"]),
        ({"data": "digits"}, ["data", "digits"]),
        ({"data": {"source": "digits", "size": [8]}}, ["data.size", "28x32", "[8]"]),
        ({"data": {"source": "digits", "size": "wide"}}, ["data.size", "28x32", "wide"]),
        ({"data": {"source": "digits"}, "model": {"name": "lenet5", "layers": []}}, ["lenet5", "not both"]),
        ({"data": {"source": "digits"}, "model": {"layers": [], "hidden": 3}}, ["hidden", "no options"]),
    ],
)
def test_every_mistake_names_its_key_and_what_was_received(tables: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(FirstlightError) as caught:
        Experiment.of(tables, "my.toml")
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("tables", "keys"),
    [
        (
            {"seed": -1, "training": {"epoch": 3}, "data": {"size": [0, 8]}},
            ["seed", "data.source", "data.size.0", "training.epoch"],
        ),
        ({"optimizer": {"name": "addam"}}, ["optimizer.name"]),
        ({"optimizer": {"name": "sgd", "nesterov": True}}, ["optimizer.nesterov"]),
        ({"schedule": {"name": "cosine", "warmup": -1}}, ["schedule.warmup"]),
        ({"augment": {"rotate": {"range": 5, "p": 2}}}, ["augment.rotate.p"]),
        ({"model": {"name": "lenet5", "filters": 3}}, ["model.filters"]),
        ({"loss": {"class_weights": "balanced"}, "training": {"sampling": "balanced"}}, ["loss.class_weights"]),
    ],
)
def test_an_error_carries_the_keys_that_are_wrong(tables: dict[str, Any], keys: list[str]) -> None:
    with pytest.raises(KeyedError) as caught:
        Experiment.of({"data": {"source": "digits"}, **tables}, "a.toml")
    assert [key for key, _ in caught.value.keys] == keys
    assert str(caught.value).removeprefix("a.toml: ") == "\n".join(said for _, said in caught.value.keys)
    assert pickle.loads(pickle.dumps(caught.value)).keys == caught.value.keys


def test_an_unknown_option_of_the_model_is_found_before_the_data_are_read() -> None:
    with pytest.raises(FirstlightError, match=r"model\.activaton.*activation"):
        Experiment.of({"data": {"source": "nowhere"}, "model": {"name": "lenet5", "activaton": "relu"}})


def test_a_broken_file_is_named_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text("seed = 0\n[data\nsource = 1\n")
    with pytest.raises(FirstlightError, match=r"e\.toml: it is not valid TOML: .*line 2, column 6"):
        read(path)
    with pytest.raises(FirstlightError, match="no such experiment file"):
        read(tmp_path / "absent.toml")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FirstlightError, match="UTF-8"):
        read(path)
    with pytest.raises(FirstlightError, match="cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training.epochs=3", ("training.epochs", 3)),
        ("model.units=[1, 2]", ("model.units", [1, 2])),
        ("data.source = mnist", ("data.source", "mnist")),
        ('data.source="7"', ("data.source", "7")),
        ("a.b=true", ("a.b", True)),
    ],
)
def test_settings_are_toml_where_they_read_as_such(text: str, expected: tuple[str, Any]) -> None:
    assert parse_setting(text) == expected


@pytest.mark.parametrize("text", ["training.epochs", "=3", "a..b=1", ""])
def test_a_malformed_setting_says_how_it_should_look(text: str) -> None:
    with pytest.raises(FirstlightError, match="key=value"):
        parse_setting(text)


def test_settings_are_put_into_nested_tables() -> None:
    tables: dict[str, Any] = {"data": {"source": "a"}}
    put(tables, "data.size", 3)
    put(tables, "training.epochs", 4)
    assert tables == {"data": {"source": "a", "size": 3}, "training": {"epochs": 4}}
    with pytest.raises(FirstlightError, match="not a table"):
        put(tables, "data.source.name", 1)


@pytest.mark.parametrize(
    ("tables", "where"),
    [
        ({"seed": 10**400}, "seed"),
        ({"augment": {"rotate": 10**400}}, "augment.rotate"),
        ({"optimizer": {"name": "momentum", "momentum": 10**400}}, "optimizer.momentum"),
        ({"model": {"name": ["lenet5"]}}, "model.name"),
        ({"model": {"name": {"a": 1}, "layers": []}}, "model.name"),
        ({"model": {"depth": [[[[]]] * 3] * 70}}, "model.depth"),
        ({"loss": {"name": "\ud800"}}, "surrogate"),
        ({"training": {"epochs": float("nan")}}, "training.epochs"),
    ],
)
def test_a_value_that_nobody_can_keep_is_named(tables: dict[str, Any], where: str) -> None:
    with pytest.raises(FirstlightError, match=re.escape(where)) as told:
        Experiment.of({"data": {"source": "digits"}, **tables})
    assert len(str(told.value)) < 1000


def test_of_a_file_with_a_thousand_faults_some_are_named() -> None:
    with pytest.raises(FirstlightError, match="and 981 more") as told:
        Experiment.of({f"k{i}": "x" * 5000 for i in range(1000)})
    assert len(str(told.value)) < 20_000


@pytest.mark.parametrize(
    ("text", "why"),
    [("seed=" + "9" * 5000, "digits"), ("seed=" + "9" * 30, "64 bits"), ("a=" + "[" * 3000, "deep"), ("a=nan", "nan")],
)
def test_a_setting_that_nobody_can_keep_is_an_error(text: str, why: str) -> None:
    with pytest.raises(FirstlightError, match=rf"--set (seed|a): .*{why}"):
        parse_setting(text)


def test_a_path_that_no_file_has_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    for place in ("a" * 300, "a/" * 3000, "\0", "\ud800", str(tmp_path), str(tmp_path / "pipe.toml"), "/dev/zero"):
        with pytest.raises(FirstlightError) as told:
            read(Path(place))
        assert len(str(told.value)) < 1000
        str(told.value).encode()  # it can be printed


ODD = (True, 3, -1, 1.5, math.inf, "x", "", [], [1], ["a"], {}, {"a": 1}, "3.5", 10**30)


def keys() -> list[str]:
    """Every key of the experiment file that the schema knows."""
    sections = Experiment.model_json_schema()["$defs"]
    found = list(Experiment.model_fields)
    for name in Experiment.model_fields:
        found += [f"{name}.{key}" for key in sections.get(name.capitalize(), {}).get("properties", {})]
    return found


@pytest.mark.parametrize("key", keys())
def test_what_a_value_must_be_is_said_in_words_of_ours(key: str) -> None:
    for value in ODD:
        tables: dict[str, Any] = {"data": {"source": "digits"}}
        put(tables, key, value)
        text = told(tables)
        assert not re.search(r"Input should|unable to|valid \w+|String should|instance of|match pattern", text)
        assert text.count("\n") < 3


def told(tables: dict[str, Any]) -> str:
    try:
        Experiment.of(tables, "e.toml")
    except FirstlightError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("seed", "x", "seed: must be an integer; received 'x'."),
        ("seed", 1.5, "seed: must be an integer; received 1.5."),
        ("optimizer.lr", -1, "optimizer.lr: must be above 0; received -1."),
        ("data.validation", 1, "data.validation: must be below 1; received 1."),
        (
            "training.monitor",
            "val_los",
            "must be val_accuracy, val_loss, or val_ and the name of a metric (did you mean val_loss",
        ),
        ("prepare.scale", 3, "prepare.scale: must be true or false; received 3."),
        (
            "model.units",
            ["a"],
            "or a list of integers from 1; received ['a']. The default is (128, 64).",
        ),
    ],
)
def test_a_wrong_value_is_told_with_what_is_right(key: str, value: Any, said: str) -> None:
    tables: dict[str, Any] = {"data": {"source": "digits"}, "model": {"name": "mlp-128-64"}}
    put(tables, key, value)
    with pytest.raises(FirstlightError, match=re.escape(said)):
        Experiment.of(tables, "e.toml")


def test_names_may_be_written_in_capitals() -> None:
    named = {"optimizer": {"name": "Adam"}, "schedule": {"name": "One_Cycle"}, "model": {"name": "LeNet5"}}
    experiment = Experiment.of({"data": {"source": "digits"}, **named})
    assert (experiment.optimizer.name, experiment.schedule.name, experiment.model.name) == (
        "adam",
        "one-cycle",
        "lenet5",
    )
    own = Experiment.of({"data": {"source": "digits"}, "model": {"name": "Mine", "layers": [{"type": "Flatten"}]}})
    assert own.model.name == "Mine"
    options = merged({"optimizer": {"name": "sgd", "momentum": 0.9}}, {"optimizer": {"name": "SGD"}})
    assert options["optimizer"]["momentum"] == 0.9


def test_a_file_of_another_kind_is_answered_with_its_command(tmp_path: Path) -> None:
    experiment = {"data": {"source": "digits"}}
    assert only_experiment({**experiment, "tune": {}, "space": {"lr": [1, 2]}}, "e.toml") == experiment
    with pytest.raises(FirstlightError, match=r"s\.toml is a study file: firstlight study s\.toml"):
        only_experiment({"title": "x", "defaults": experiment, "run": []}, "s.toml")
    file = tmp_path / "e.toml"
    for text, command in (("", "run"), ("[space]\nlr = [1e-3]\n", "tune")):
        file.write_text(f'[data]\nsource = "digits"\n{text}')
        with pytest.raises(FirstlightError, match=f"firstlight {command} {re.escape(str(file))}"):
            read_plan(file)
    file.write_text('title = "x"\n[matrix]\nseed = [1]\n')
    with pytest.raises(FirstlightError, match=f"firstlight study {re.escape(str(file))}"):
        read_search(file)
