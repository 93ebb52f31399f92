"""Synthetic run folders, as odd as a user may make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.evaluation import measure, most_confident_mistakes
from firstlight.records import run_folder
from firstlight.records.record_files import write_record
from firstlight.records.study_folder import FoldKey, RunKey, StudyEntry, StudyFolder
from firstlight.types import Array, Images, Predictions

HOSTILE = ("<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", '"it\'s" & {{ 7*7 }} \\1 $&')

MakeRun = Callable[..., run_folder.RunFolder]
MakeStudy = Callable[..., StudyFolder]
Odd = dict[str, Any]

WEAK: Odd = {"skill": 0.5, "model": "softmax-regression", "parameters": 650}
STRONG: Odd = {"skill": 3.0, "model": "lenet5"}


def write_run(
    path: Path,
    *,
    class_names: Sequence[str] = ("cat", "dog", "bird"),
    channels: int = 1,
    side: int = 8,
    epochs: int = 4,
    test: int = 60,
    skill: float = 2.0,
    seed: int = 0,
    status: str = "finished",
    model: str = "lenet5",
    parameters: int = 61_706,
    validation: bool = True,
    restore_best: bool = True,
    losses: Sequence[float] | None = None,
    augment: str = "",
    fold: tuple[int, int] | None = None,
    data: dict[str, Any] | None = None,
    result: dict[str, Any] | None = None,
) -> None:
    """A run of a model of some `skill` (large: no mistakes); `data` and `result` replace keys of their records.

    fold  of how many folds it is which; the test images of another fold are others

    Without validation its last epoch counts as the best, and within the first epoch none does, as in a real run.
    """
    draw = np.random.default_rng(seed if fold is None else (seed, fold[1]))
    names = tuple(class_names)
    sizes = {"train": 2 * test, "validation": test // 2, "test": test}
    splits = {split: _images(split, n, names, (side, side, channels)) for split, n in sizes.items()}
    if fold is not None:
        splits["test"] = replace(splits["test"], ids=np.char.add(f"{fold[1]}-", splits["test"].ids))
    answered = ("validation", "test") if validation else ("test",)
    predictions = {split: _predictions(splits[split], skill, draw) for split in answered}
    kept = np.concatenate([np.arange(min(25, test)), most_confident_mistakes(predictions["test"], 15)])
    shown = np.array(list(dict.fromkeys(kept.tolist())))
    evaluations = {split: measure(p, names, loss=0.4321).to_json() for split, p in predictions.items()}

    (path / "experiment.toml").write_text(
        f'seed = {seed}\nengine = "numpy"\n[data]\nsource = "animals"\n'
        + (f"folds = {fold[0]}\nfold = {fold[1]}\n" if fold else "")
        + '[prepare]\nscale = true\nstandardise = "pixel"\n'
        f'[model]\nname = "{model}"\n[optimizer]\nname = "adam"\nlr = 0.001\n'
        f'[training]\nepochs = 10\nbatch_size = 32\nmonitor = "val_loss"\nearly_stopping = 3\n'
        f"restore_best = {str(restore_best).lower()}\n" + (f"[augment]\n{augment}\n" if augment else "")
    )
    run_folder.write_predictions(path, predictions)
    run_folder.write_samples(
        path, {s: i.take(shown if s == "test" else np.arange(min(12, len(i)))) for s, i in splits.items()}
    )
    _write_history(path, epochs, validation, losses)
    _write_environment(path)
    _write_model(path, names, model, parameters, (side, side, channels))
    record = {
        "name": "animals",
        "source": "animals",
        "licence": "CC0",
        "shape": [side, side, channels],
        "class_names": list(names),
        "verified": True,
        "splits": {
            s: {"images": len(i), "counts": i.counts.tolist(), "ids": i.ids.tolist()} for s, i in splits.items()
        },
        "how_split": "20% of the images were held out for the test, by class and seed.",
    }
    write_record(path, run_folder.DATA, record | (data or {}))
    best = min(epochs, max(1, epochs - 1)) if validation else epochs
    record = {
        "status": status,
        "model": model,
        "epochs": {"run": epochs, "best": best, "weights": best if restore_best else epochs, "asked": 10},
        "parameters": {"total": parameters, "trainable": parameters - 6, "non_trainable": 6},
        "multiply_adds": 416_520,
        "images_per_second": 12_345.6,
        "seconds": {"train": 83.2, "total": 90.1},
        **evaluations,
    }
    write_record(path, run_folder.RESULT, record | (result or {}))


def _images(split: str, n: int, names: tuple[str, ...], shape: tuple[int, int, int]) -> Images:
    draw = np.random.default_rng(n)
    ids = np.array([f"{split}/{i:05d}" for i in range(n)])
    labels = np.arange(n, dtype=np.int64) % len(names)
    return Images(draw.integers(0, 256, (n, *shape), dtype=np.uint8), labels, ids, names)


def _predictions(images: Images, skill: float, draw: np.random.Generator) -> Predictions:
    logits: Array = draw.normal(size=(len(images), len(images.class_names)))
    logits[np.arange(len(images)), images.labels] += skill
    p = np.exp(logits)
    return Predictions(images.ids, images.labels, (p / p.sum(axis=1, keepdims=True)).astype(np.float32))


def _write_history(path: Path, epochs: int, validation: bool, losses: Sequence[float] | None) -> None:
    columns = ["epoch", "loss", "accuracy", "learning_rate", "seconds"]
    columns[3:3] = ["val_loss", "val_accuracy"] if validation else []
    rows = [
        {"epoch": e, "loss": 1 / e, "accuracy": 1 - 0.5 / e, "val_loss": 1.1 / e, "val_accuracy": 1 - 0.6 / e}
        | {"learning_rate": 1e-3, "seconds": 0.5}
        for e in range(1, epochs + 1)
    ]
    for row, loss in zip(rows, losses or (), strict=False):
        row |= {"loss": loss, "val_loss": loss}
    run_folder.write_history(path, columns, rows)


def _write_environment(path: Path) -> None:
    machine = {"system": "Linux", "processor": "A processor", "cores": 2, "memory_gb": 8.1}
    packages = {"numpy": "2.4.6"}
    write_record(path, run_folder.ENVIRONMENT, {"firstlight": "0.1.0", "packages": packages, "machine": machine})


def _write_model(path: Path, names: tuple[str, ...], model: str, parameters: int, shape: tuple[int, int, int]) -> None:
    layer: dict[str, Any] = {"name": "conv1", "type": "Conv2D", "output_shape": [8, 8, 6], "inputs": [""]}
    layer |= {"parameters": parameters - 100, "trainable": parameters - 106, "multiply_adds": 416_136}
    dense: dict[str, Any] = {
        "name": "dense",
        "type": "Dense",
        "output_shape": [len(names)],
        "parameters": 100,
        "multiply_adds": 384,
    }
    dense["inputs"] = ["conv1"]
    height, width, channels = shape
    unit = np.ones((channels, 1, 1)).tolist()
    preparation = {"input_shape": [channels, height, width], "standardise": "none", "scale": unit, "shift": unit}
    record: dict[str, Any] = {"name": model, "input_shape": list(shape), "class_names": list(names), "layers": []}
    record["preparation"] = preparation
    summary = [layer, dense]
    write_record(path, run_folder.MODEL, {**record, "summary": summary})


def entry(name: str, seeds: int = 5, **numbers: Any) -> StudyEntry:
    """An entry of a study with the seeds from 0."""
    return StudyEntry(name, tuple(range(seeds)), **numbers)


def write_study(
    path: Path,
    *entries: tuple[StudyEntry, Odd],
    title: str = "Nets compared",
    missing: frozenset[tuple[str, RunKey]] = frozenset(),
    folds: int | None = None,
) -> StudyFolder:
    """A study of synthetic runs: by entry, what is odd about its runs; `missing` are (name, seed or FoldKey)."""
    path.mkdir()
    about = {"name": path.name, "title": title, "about": "What it shows.", "runs": [asdict(e) for e, _ in entries]}
    write_record(path, run_folder.STUDY, about if folds is None else {**about, "folds": folds})
    folder = StudyFolder.open(path)
    for of, odd in entries:
        for key in folder.keys(of):
            if (of.name, key) not in missing:
                place = folder.place(of, key)
                place.mkdir(parents=True)
                one = {"seed": key.seed, "fold": (folds, key.fold)} if isinstance(key, FoldKey) else {"seed": key}
                write_run(place, **{**one, **odd})
    folder.file.write_text(f'title = "{path.name}"\nseeds = 5\n')
    return folder
