"""The tables of an experiment: from Python values, as `fit` and the estimator are given, and some over others."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from firstlight import losses, optimizers, schedules
from firstlight.components import Registry, values_of
from firstlight.errors import ExperimentError
from firstlight.experiments.config import NAMED, Experiment, spelt
from firstlight.experiments.setup import model_tables
from firstlight.layers import Layer
from firstlight.models import Model


def tables(
    data: Mapping[str, Any],
    model: Model | str | Sequence[Layer | Mapping[str, Any]],
    *,
    epochs: int,
    batch_size: int,
    optimizer: str | optimizers.Optimizer,
    lr: float | None,
    schedule: str | schedules.Schedule,
    loss: str | losses.Loss,
    seed: int,
) -> dict[str, Any]:
    """The experiment's tables, to be completed by `put` and checked by `Experiment.of`.

    data   the `[data]` table
    model  a Model, the name of an architecture, or layers, each a Layer or its table
    Raises ExperimentError for a value that no table describes.
    """
    described: dict[str, Any] = {
        "seed": seed,
        "data": dict(data),
        "model": _model_table(model),
        "loss": _table(loss, losses.LOSSES),
        "optimizer": _optimizer_table(optimizer) | ({} if lr is None else {"lr": lr}),
        "schedule": _table(schedule, schedules.SCHEDULES),
        "training": {"epochs": epochs, "batch_size": batch_size},
    }
    if isinstance(model, Model) and model.frozen:
        described["weights"] = {"freeze": model.frozen}
    return described


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of one experiment over those of another; options of what is no longer named are dropped.

    They are new all the way down: to change them changes neither of the two. Raises ExperimentError where a table
    would go over a plain value.
    """
    found = copy.deepcopy(dict(under))
    for key, value in copy.deepcopy(dict(over)).items():
        below = found.get(key)
        if not isinstance(value, Mapping) or below is None:
            found[key] = value
        elif not isinstance(below, Mapping):
            raise ExperimentError(f"{key} is {below!r}, not a table.")
        else:
            found[key] = value if _names_another(key, below, value) else {**below, **value}
    return found


def _names_another(section: str, below: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    """Whether a table names something else than the table below it, which may name nothing and so the default."""
    if section not in NAMED:  # options are of what a table names: where another one is named, they do not apply
        return False
    if "layers" in value:
        return True
    unnamed = None if "layers" in below else Experiment.model_fields[section].default.name
    return "name" in value and spelt(value["name"]) != spelt(below.get("name", unnamed))


def _model_table(model: Any) -> dict[str, Any]:
    if isinstance(model, Model):
        return model_tables(model)
    if isinstance(model, str):
        return {"name": model}
    if isinstance(model, Sequence) and model:
        return {"layers": [layer.to_json() if isinstance(layer, Layer) else layer for layer in model]}
    raise ExperimentError(
        f"model is the name of an architecture, a Model, or a list of layers; received {model!r}. "
        'As in "lenet5" or [fl.layers.Flatten(), fl.layers.Dense(10, name="head")].'
    )


def _optimizer_table(optimizer: str | optimizers.Optimizer) -> dict[str, Any]:
    if isinstance(optimizer, optimizers.Lagged):
        return {**_optimizer_table(optimizer.inner), "lag": optimizer.alpha}
    if isinstance(optimizer, optimizers.Lookahead):
        lookahead = {"lookahead": optimizer.steps, "lookahead_share": optimizer.alpha}
        return {**_optimizer_table(optimizer.inner), **lookahead}
    return _table(optimizer, optimizers.OPTIMIZERS)


def _table(value: Any, registry: Registry[Any]) -> dict[str, Any]:
    """The experiment file's table for a name or for a value such as SGD(momentum=0.9)."""
    if isinstance(value, str):
        return {"name": value}
    if (name := registry.name_of(type(value))) is not None:
        return {"name": name, **values_of(value)}
    hint = f" Did you mean {value.__name__}(…)?" if isinstance(value, type) else ""
    raise ExperimentError(f"{value!r} is none of {', '.join(registry)}.{hint}")
