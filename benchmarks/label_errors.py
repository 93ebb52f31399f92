"""Wrong labels found again, and the accuracy that this regains: `firstlight labels` beside cleanlab.

    FIRSTLIGHT_DATA=… python -m benchmarks.label_errors [--images 20000] [--seeds 5] [--epochs 5] [--out docs/why]

One label of twenty is turned: to any other class, or to the one that its class is most like. Five nets are trained on
folds, and all orders are given the same out-of-fold probabilities; firstlight's asks the nets' neighbours besides.
Precision at 60 is the share of wrong labels among the 60 first, recall at 5 % the share of all wrong ones among the
first 5 % of the images. Then the same net is trained again on all these images: as they are, without the first 5 %,
with these as each order suggests, and with the true labels; it is measured on the same test images, whose labels are
true.

Means ± standard deviations over seeds, which draw images, noise, folds and weights. cleanlab is left out where it is
not installed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import firstlight as fl
from firstlight import experiments, training
from firstlight.console import TrainingProgress
from firstlight.data.folds import assign_folds
from firstlight.engines import Session
from firstlight.experiments import Experiment, Setup
from firstlight.explain.label_errors import find_label_issues
from firstlight.explain.net import Net
from firstlight.explain.out_of_fold_labels import label_issues_out_of_fold
from firstlight.files import write_text
from firstlight.randomness import generator
from firstlight.records.out_of_fold import FoldRun, OutOfFold
from firstlight.types import Array, Dataset, Images

FOLDS, WRONG, FIRST = 5, 0.05, 60
NOISES = ("at random", "by class pairs")
Found = dict[tuple[str, str], list[tuple[float, float]]]  # precision and recall by noise and order
Regained = dict[tuple[str, str], list[float]]  # accuracies by noise and labels
PREFACE = """\
# Wrong labels, found again

Made by `python -m benchmarks.label_errors --out docs/why`, whose first lines say what is measured; no number was \
typed. One label of twenty is turned, and all orders are given the same out-of-fold probabilities of five nets. \
Precision at 60: the share of wrong labels among the 60 first. Recall at 5 %: the share of all wrong ones among the \
first 5 % of the images. Means ± standard deviations over seeds, which draw images, noise, folds and weights. The \
second table: the test accuracy of the same net trained again on all of these images, with the first 5 % of each order \
dropped, or relabelled as it suggests without anyone looking, which \
the command is not meant for: it lists what to look at."""
QUIET = TrainingProgress(Console(quiet=True))
OURS, ALONE = "firstlight labels", "firstlight, without neighbours"
CLEANLAB = {"cleanlab, self-confidence": "self_confidence", "cleanlab, normalized margin": "normalized_margin"}


@dataclass(frozen=True)
class Case:
    """A set of images, the net for it, and the class that each class is most like."""

    source: str
    model: str
    epochs: int
    images: int
    like: tuple[int, ...]


CASES = {
    "digits": Case("digits", "mlp-128", 20, 1437, (2, 7, 0, 8, 9, 6, 5, 1, 3, 4)),
    "fashion-mnist": Case("fashion-mnist", "lenet5", 5, 20_000, (6, 3, 4, 1, 2, 7, 0, 5, 9, 8)),
}


@dataclass(frozen=True)
class Order:
    """Images by how doubtful their labels are, the most doubtful first, and the class that each seems to be, (N,)."""

    rows: Array
    suggested: Array


def main() -> None:
    """Measure, and print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, help="of Fashion-MNIST to learn from; 20,000 otherwise")
    parser.add_argument("--epochs", type=int, help="of lenet5; 5 otherwise")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--out", type=Path, help="the folder to write label_errors.md to; it is printed otherwise")
    asked = parser.parse_args()
    began, parts = time.perf_counter(), [PREFACE]
    for name, case in CASES.items():
        if asked.only in (None, name):
            if name == "fashion-mnist":
                case = replace(case, images=asked.images or case.images, epochs=asked.epochs or case.epochs)
            found: Found = defaultdict(list)
            regained: Regained = defaultdict(list)
            for noise in NOISES:
                for seed in range(asked.seeds):
                    _measure(case, noise, seed, found, regained)
                    print(f"{name}, {noise}, seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)
            parts.append(section(case, asked.seeds, found, regained))
    text = "\n\n".join(parts) + "\n"
    if asked.out is None:
        print(text)
    else:
        write_text(asked.out / "label_errors.md", text)


def section(case: Case, seeds: int, found: Found, regained: Regained) -> str:
    """The tables of a set of images."""
    what = f"{case.model}, {case.epochs} epochs, {case.images:,} images, n = {seeds} seeds"
    lines = [f"## {case.source}", f"{what}.", ""]
    columns = [f"{noise}: {measure}" for noise in NOISES for measure in ("precision at 60", "recall at 5 %")]
    lines += [f"| order | {' | '.join(columns)} |", f"|---|{len(columns) * '--:|'}"]
    for order in dict.fromkeys(order for _, order in found):
        cells = (_spread([pair[i] for pair in found[noise, order]]) for noise in NOISES for i in (0, 1))
        lines.append(f"| {order} | {' | '.join(cells)} |")
    lines += ["", f"| accuracy, trained on | {' | '.join(NOISES)} |", "|---|--:|--:|"]
    for labels in dict.fromkeys(labels for _, labels in regained):
        lines.append(f"| {labels} | {' | '.join(_spread(regained[noise, labels]) for noise in NOISES)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def _measure(
    case: Case,
    noise: str,
    seed: int,
    found: Found,
    regained: Regained,
) -> None:
    clean, test = _images(case, seed)
    noisy = replace(clean, labels=_turned(clean.labels, noise, case.like, seed))
    wrong = noisy.labels != clean.labels
    first = round(WRONG * len(noisy))
    orders = _orders(case, noisy, seed)
    for order, of in orders.items():
        precision = float(wrong[of.rows[:FIRST]].mean())
        found[noise, order].append((precision, float(wrong[of.rows[:first]].sum() / wrong.sum())))
    regained[noise, "the labels as they are"].append(_accuracy(case, noisy, test, seed))
    for order in (OURS, *CLEANLAB):
        if order in orders:
            chosen = orders[order].rows[:first]
            kept = np.setdiff1d(np.arange(len(noisy)), chosen)
            regained[noise, f"{order}: dropped"].append(_accuracy(case, noisy.take(kept), test, seed))
            labels = noisy.labels.copy()
            labels[chosen] = orders[order].suggested[chosen]
            regained[noise, f"{order}: relabelled"].append(_accuracy(case, replace(noisy, labels=labels), test, seed))
    regained[noise, "the true labels"].append(_accuracy(case, clean, test, seed))


def _images(case: Case, seed: int) -> tuple[Images, Images]:
    """Images to learn from, drawn by the seed, and test images: those that were published, or all others."""
    dataset = fl.load(case.source)
    train = dataset.splits["train"]
    order = generator(seed, "images").permutation(len(train))
    learnt = train.take(np.sort(order[: case.images]))
    return learnt, dataset.splits.get("test") or train.take(np.sort(order[case.images :]))


def _turned(labels: Array, noise: str, like: Sequence[int], seed: int) -> Array:
    """The labels, of which one in twenty is of another class."""
    draw = generator(seed, "noise")
    chosen = draw.permutation(len(labels))[: round(WRONG * len(labels))]
    turned = labels.copy()
    if noise == "at random":
        turned[chosen] = (labels[chosen] + draw.integers(1, len(like), len(chosen))) % len(like)
    else:
        turned[chosen] = np.array(like)[labels[chosen]]
    return turned


def _trained(case: Case, train: Images, test: Images, seed: int) -> tuple[Setup, Session]:
    """The net with the weights of the best epoch by validation, a tenth of the images with their labels as they are."""
    tables: dict[str, Any] = {
        "data": {"source": "in memory"},
        "model": {"name": case.model},
        "training": {"epochs": case.epochs},
        "seed": seed,
    }
    setup = experiments.set_up(Experiment.of(tables), Dataset(case.source, {"train": train, "test": test}))
    outcome = experiments.learn(setup, QUIET)
    return setup, setup.engine.session(setup.task, vector=outcome.vector)


def _accuracy(case: Case, train: Images, test: Images, seed: int) -> float:
    setup, session = _trained(case, train, test, seed)
    _, probabilities = training.evaluate(session, setup.task.loss, setup.splits["test"])
    return float((probabilities.argmax(axis=1) == test.labels).mean())


def _orders(case: Case, noisy: Images, seed: int) -> dict[str, Order]:
    """Each order of the images, all from the same nets."""
    folds = assign_folds(noisy, FOLDS, seed)
    nets, parts = [], []
    for fold in range(FOLDS):
        held = noisy.take(folds == fold)
        setup, session = _trained(case, noisy.take(folds != fold), held, seed)
        nets.append((Net(session, setup.task), setup.task.preparation.apply(noisy)))
        parts.append(training.evaluate(session, setup.task.loss, setup.splits["test"])[1])
    back = np.argsort(np.argsort(folds, kind="stable"), kind="stable")  # from the order of the folds to the images'
    probabilities = np.concatenate(parts)[back].astype(np.float32)
    runs = tuple(FoldRun(f"fold-{fold}") for fold in range(1, FOLDS + 1))
    asked = OutOfFold(noisy.ids, noisy.labels, probabilities, folds + 1, noisy.class_names, runs)
    doubts = label_issues_out_of_fold(asked, nets, Dataset(case.source, {"train": noisy}), seed=seed)
    place = {sample: row for row, sample in enumerate(noisy.ids.tolist())}
    alone = find_label_issues(asked.predictions)
    orders = {
        OURS: _order([place[sample] for sample in doubts.ids.tolist()], doubts.suggested, probabilities),
        ALONE: _order([one.index for one in alone], np.array([one.suggested for one in alone]), probabilities),
    }
    if find_spec("cleanlab") is None:
        return orders
    quality = import_module("cleanlab.rank").get_label_quality_scores
    for title, method in CLEANLAB.items():
        scores = quality(noisy.labels, probabilities.astype(np.float64), method=method)
        orders[title] = Order(np.argsort(scores, kind="stable"), probabilities.argmax(axis=1))
    return orders


def _order(rows: Sequence[int], suggested: Array, probabilities: Array) -> Order:
    classes = probabilities.argmax(axis=1)
    classes[list(rows)] = suggested
    return Order(np.array(rows), classes)


if __name__ == "__main__":
    main()
