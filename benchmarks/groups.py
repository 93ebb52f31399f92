"""What a split that divides groups hides, and how even splits by groups are.

    python -m benchmarks.groups [--seeds 5]

First, "films": each of some handwritten digits (scikit-learn's) becomes a group of twelve frames, moved by up to half a
pixel, brightened and noisy. A net is trained on them with frames split one by one, and with whole films split; beside
its test accuracy stands that on a frame of each digit that was in no film. Second, folds by groups beside those of
scikit-learn's StratifiedGroupKFold, on drawn groups of uneven size: Σ (images − share)² / share over folds and classes.
Prints tables in Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from scipy.ndimage import shift
from sklearn.model_selection import StratifiedGroupKFold

import firstlight as fl
from firstlight.data.folds import assign_folds
from firstlight.types import Array, Images, unlabelled

FILMS, FRAMES = 15, 12  # films of each class, and frames of each film
FOLDS, DRAWS = 5, 20
SETTINGS = {  # groups, classes, and whether a group is of one class
    "40 groups of several of 3 classes": (40, 3, False),
    "40 groups, each of one of 3 classes": (40, 3, True),
    "100 groups of several of 10 classes": (100, 10, False),
    "100 groups, each of one of 10 classes": (100, 10, True),
    "1000 groups of several of 10 classes": (1000, 10, False),
}


def frame(image: Array, draw: np.random.Generator) -> Array:
    """A frame of a film of an image uint8 (H, W, 1)."""
    moved = shift(image[..., 0].astype(float), draw.uniform(-0.5, 0.5, 2), order=1, mode="nearest")
    lit = moved * draw.uniform(0.9, 1.1) + draw.normal(0, 12, moved.shape)
    return np.clip(lit, 0, 255).astype(np.uint8)[..., None]


def films(seed: int) -> tuple[Images, Images]:
    """Frames with their films as groups, and a frame of each digit that is in no film."""
    digits = fl.load("digits").splits["train"]
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(digits))
    chosen = np.concatenate([order[digits.labels[order] == k][:FILMS] for k in range(10)])
    of_film = digits.take(np.repeat(chosen, FRAMES))
    pixels = np.stack([frame(image, draw) for image in of_film.pixels])
    ids = np.array([f"{sample}-{i % FRAMES}" for i, sample in enumerate(of_film.ids.tolist())])
    others = digits.take(np.setdiff1d(order, chosen))
    new = replace(others, pixels=np.stack([frame(image, draw) for image in others.pixels]))
    return replace(of_film, pixels=pixels, ids=ids, groups=of_film.ids), new


def accuracies(images: Images, new: Images, seed: int) -> tuple[float, float]:
    """On the test images of a run, and on new ones."""
    data = fl.types.Dataset("films", {"train": images})
    with tempfile.TemporaryDirectory() as folder:
        run = fl.fit("mlp-128", data, epochs=20, seed=seed, out=Path(folder) / "run", console=Console(quiet=True))
        said = run.predict(unlabelled(new.pixels, new.class_names)).argmax(axis=1)
        return run.folder.result.test.evaluation.accuracy, float((said == new.labels).mean())


def unevenness(images: Images, folds: Array) -> float:
    counts = np.array([images.take(folds == fold).counts for fold in range(FOLDS)])
    counts = np.column_stack([counts, counts.sum(axis=1)])
    targets = counts.sum(axis=0) / FOLDS
    return float(((counts - targets) ** 2 / targets).sum())


def drawn(groups: int, classes: int, pure: bool, seed: int) -> Images:
    """Images without anything on them, in groups of 1 to about 100, most of them small."""
    draw = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), np.clip(10 * draw.pareto(1.5, groups) + 1, 1, 100).astype(int))
    of_group = draw.dirichlet(np.ones(classes), groups)
    labels = group % classes if pure else np.array([draw.choice(classes, p=of_group[g]) for g in group])
    names = tuple(map(str, range(classes)))
    ids = np.arange(len(group)).astype(np.str_)
    return Images(np.zeros((len(group), 1, 1, 1), np.uint8), labels, ids, names, group.astype(np.str_))


def scikit_learn(images: Images, folds: int, seed: int) -> Array:
    found = np.empty(len(images), np.int64)
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(images.ids, images.labels, images.groups)
    for fold, (_, test) in enumerate(split):
        found[test] = fold
    return found


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.groups", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    print("| split | test accuracy | of new digits | n |\n|---|---|---|---|")
    for name in ("frame by frame", "whole films"):
        rows = []
        for seed in range(seeds):
            images, new = films(seed)
            rows.append(accuracies(images if name == "whole films" else replace(images, groups=None), new, seed))
        test, others = (f"{100 * np.mean(x):.1f} ± {100 * np.std(x, ddof=1):.1f}" for x in zip(*rows, strict=True))
        print(f"| {name} | {test} | {others} | {seeds} |")
    print("\n| groups | ours | scikit-learn | even or more even | s | s |\n|---|---|---|---|---|---|")
    for name, setting in SETTINGS.items():
        found, seconds = np.empty((DRAWS, 2)), np.zeros(2)
        for seed in range(DRAWS):
            images = drawn(*setting, seed)
            for who, way in enumerate((assign_folds, scikit_learn)):
                began = time.perf_counter()
                folds = way(images, FOLDS, seed)
                seconds[who] += (time.perf_counter() - began) / DRAWS
                found[seed, who] = unevenness(images, folds)
        ours, theirs = np.median(found, axis=0)
        better = int((found[:, 0] <= found[:, 1] + 1e-9).sum())
        print(f"| {name} | {ours:.3g} | {theirs:.3g} | {better} of {DRAWS} | {seconds[0]:.3f} | {seconds[1]:.3f} |")
    many = replace(drawn(10, 10, False, 0).take(np.zeros(70_000, int)), groups=np.arange(70_000).astype(np.str_))
    many = replace(many, labels=np.arange(70_000) % 10)
    began = time.perf_counter()
    assign_folds(many, FOLDS, 0)
    print(f"\n70,000 groups of one image each: {time.perf_counter() - began:.1f} s.")


if __name__ == "__main__":
    main()
