"""How well scores tell images that are of none of a net's classes: docs/why/novelty.md.

    python -m benchmarks.novelty [--nets mlp-128 lenet5] [--data mnist fashion-mnist] [--seeds 3] [--out docs/why]

A net is trained for a few epochs, and each score is taken of its test images and of strange ones. AUROC is the
probability that a strange image scores higher than a test image; caught is the share of the strange images beyond the
threshold that the validation images give for 5 % of false alarms, and false alarms the share of the test images beyond
it. Features and distances are those of firstlight; the other scores stand here.

Strange are the test images of the other set, letters, inverted test images, noise of single pixels, noise of large
patches, shuffled pixels, and blank images. Letters are those of the fonts of the machine (DejaVu), turned by up to 12
degrees and brought into the form of the digits as the dashboard's drawings are; those that look like a digit are left
out. --runs keeps the runs, and takes those that are there.
"""

from __future__ import annotations

import argparse
import statistics
import string
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from scipy.special import logsumexp
from sklearn.cluster import KMeans
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import firstlight as fl
from firstlight import experiments, weights
from firstlight.evaluation.novelty import ClassDistances, threshold
from firstlight.experiments import Experiment, set_up
from firstlight.experiments.novelty import SAMPLE, assess, feature_session
from firstlight.files import write_text
from firstlight.prepare.strokes import fitted
from firstlight.randomness import generator
from firstlight.report.format import counted
from firstlight.types import Array, unlabelled

RATE = 0.05
EPOCHS, BATCH = 4, 64
IMAGES = 2000  # strange ones of a kind
FONTS = Path("/usr/share/fonts/truetype/dejavu")
LIKE_DIGITS = "OoIlZzSsBbgqiDQ"
OTHER = {"mnist": "fashion-mnist", "fashion-mnist": "mnist", "cifar-10": "svhn", "svhn": "cifar-10"}
CHOSEN = "distance"

Row = dict[str, tuple[float, float]]  # AUROC, and the share beyond the threshold, by kind of image
Score = Callable[[Array, Array], Array]  # of features (N, F) and outputs (N, K)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=["mlp-128", "lenet5", "slim-cnn"])
    parser.add_argument("--data", nargs="+", choices=OTHER, default=["mnist", "fashion-mnist"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cost", action="store_true", help="measure what it adds to the time of a run instead")
    parser.add_argument("--runs", type=Path, help="where runs are kept")
    parser.add_argument("--out", type=Path, help="the folder to write novelty.md to; it is printed otherwise")
    asked = parser.parse_args()
    if asked.cost:
        print(cost(asked.nets, asked.data[0]))
        return
    parts = [PREFACE]
    with tempfile.TemporaryDirectory() as temporary:
        for data in asked.data:
            found = []
            for net in asked.nets:
                for seed in range(asked.seeds):
                    run = trained(asked.runs or Path(temporary), data, net, seed)
                    found.append((net, run.accuracy, measured(run, data)))
                    print(f"{data}, {net}, seed {seed}: accuracy {run.accuracy:.4f}", flush=True)
            parts.append(section(data, asked.seeds, found))
    text = "\n\n".join(parts) + "\n"
    if asked.out is None:
        print(text)
    else:
        write_text(asked.out / "novelty.md", text)


def trained(root: Path, data: str, net: str, seed: int) -> fl.Run:
    folder = root / f"{data}-{net}-{seed}"
    if not (folder / "result.json").exists():
        quiet = Console(quiet=True)
        fl.fit(net, data, epochs=EPOCHS, batch_size=BATCH, seed=seed, out=folder, console=quiet)
    return fl.Run(folder)


def measured(run: fl.Run, data: str) -> dict[str, Row]:
    """AUROC and the share beyond the threshold by score and kind of image; of "test", the rate of false alarms."""
    vector = weights.of_run(run.folder, run.task.model.layout)
    session = feature_session(run.task, run.experiment, vector)
    own = run._own
    train = own["train"].take(generator(0, "benchmark").permutation(len(own["train"]))[:SAMPLE])

    def values(pixels: Array) -> tuple[Array, Array]:
        parts = [session.features_and_outputs(unlabelled(pixels[at : at + 2000])) for at in range(0, len(pixels), 2000)]
        return np.concatenate([f for f, _ in parts]), np.concatenate([y for _, y in parts])

    sets = strange(data, own["test"].pixels)
    usual, validation = values(own["test"].pixels), values(own["validation"].pixels)
    kinds = {kind: values(pixels) for kind, pixels in sets.items()}
    found: dict[str, Row] = {}
    for name, score in scores(*values(train.pixels), train.labels, validation).items():
        bound = threshold(score(*validation), RATE)
        assert bound is not None, "thousands of validation images are enough"
        of_test = score(*usual)
        row = {"test": (0.5, float((of_test > bound).mean()))}
        for kind, images in kinds.items():
            of_strange = score(*images)
            strangers = np.concatenate([np.zeros(len(of_test)), np.ones(len(of_strange))])
            auroc = roc_auc_score(strangers, np.concatenate([of_test, of_strange]))
            row[kind] = (float(auroc), float((of_strange > bound).mean()))
        found[name] = row
    return found


def scores(f: Array, y: Array, labels: Array, validation: tuple[Array, Array]) -> dict[str, Score]:
    """Scores that grow with strangeness, fitted to features and outputs of training images."""
    ours, raw = ClassDistances.fit(f, labels), mahalanobis(f, labels)
    assert ours is not None, "features that vary"

    def distance(f: Array, y: Array) -> Array:
        return ours.distances(f)

    def scaled(score: Score) -> Score:
        usual = score(*validation)
        return lambda f, y: score(f, y) / (np.quantile(usual, 0.95) - np.median(usual))

    of_distance, of_energy = scaled(distance), scaled(energy)
    background = mahalanobis(f, np.zeros(len(f), int))
    neighbours = nearest(length_one(f), 5)
    centres = [KMeans(10, n_init=1, random_state=0).fit(length_one(f[labels == k])) for k in np.unique(labels)]
    prototypes = nearest(np.concatenate([one.cluster_centers_ for one in centres]), 1)
    return {
        "softmax": lambda _, y: 1 - np.exp(y.max(axis=1) - logsumexp(y, axis=1)),
        "energy": energy,
        "5th neighbour": lambda f, _: neighbours(length_one(f)),
        "10 prototypes a class": lambda f, _: prototypes(length_one(f)),
        "Mahalanobis": lambda f, _: raw(f),
        "relative Mahalanobis": lambda f, _: raw(f) ** 2 - background(f) ** 2,
        CHOSEN: distance,
        "distance + energy": lambda f, y: of_distance(f, y) + of_energy(f, y),
    }


def energy(f: Array, y: Array) -> Array:
    """−log Σₖ exp yₖ (Liu et al. 2020)."""
    found: Array = -logsumexp(y, axis=1)
    return found


def mahalanobis(f: Array, labels: Array) -> Callable[[Array], Array]:
    """The distance from the nearest class mean, by one covariance for all classes (Lee et al. 2018)."""
    means = np.stack([f[labels == k].mean(axis=0) for k in np.unique(labels)]).astype(np.float64)
    apart = f - means[np.unique(labels, return_inverse=True)[1]]
    covariance = apart.T @ apart / len(f)
    covariance += 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    W = np.linalg.cholesky(np.linalg.inv(covariance))
    return lambda q: np.min([np.linalg.norm((q - mean) @ W, axis=1) for mean in means], axis=0)


def nearest(rows: Array, k: int) -> Callable[[Array], Array]:
    """The distance to the k-th nearest of some rows (Sun et al. 2022)."""
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows)
    return lambda q: search.kneighbors(q)[0][:, -1]


def length_one(f: Array) -> Array:
    return f / np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-12)


def strange(data: str, test: Array) -> dict[str, Array]:
    """Images that are of none of the classes, by kind, uint8 (N, H, W, C)."""
    random, (height, width, channels) = np.random.default_rng(0), test.shape[1:]
    some = test[:IMAGES]
    coarse = random.integers(0, 256, (IMAGES, 7, 7, channels), np.uint8)
    flat = some.reshape(len(some), -1, channels)
    found = {OTHER[data]: fl.load(OTHER[data]).splits["test"].pixels[:IMAGES]}
    if channels == 1 and FONTS.is_dir():
        found["letters"] = letters(random)
    return found | {
        "inverted": 255 - some,
        "noise": random.integers(0, 256, some.shape, np.uint8),
        "patches": np.stack([resized(one, (width, height)) for one in coarse]),
        "shuffled": np.stack([one[random.permutation(len(one))] for one in flat]).reshape(some.shape),
        "blank": np.tile(np.arange(256, dtype=np.uint8)[:, None, None, None], (1, height, width, channels)),
    }


def resized(pixels: Array, size: tuple[int, int]) -> Array:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC)).reshape(size[1], size[0], -1)


def letters(random: np.random.Generator) -> Array:
    """Letters of several fonts, light on dark, 28×28, of the size of MNIST's digits and centred as they are."""
    fonts = [ImageFont.truetype(str(path), 120) for path in sorted(FONTS.glob("*.ttf"))]
    shown = [letter for letter in string.ascii_letters if letter not in LIKE_DIGITS]
    found = []
    for _ in range(IMAGES):
        sheet = Image.new("L", (280, 280))
        letter, font = shown[random.integers(len(shown))], fonts[random.integers(len(fonts))]
        ImageDraw.Draw(sheet).text((140, 140), letter, font=font, fill=255, anchor="mm")
        turned = sheet.rotate(random.uniform(-12, 12), resample=Image.Resampling.BILINEAR)
        found.append(fitted(np.asarray(turned)[..., None], 20.0, (28, 28)))
    return np.stack(found)


def cost(nets: list[str], data: str) -> str:
    """What takes how long, net by net."""
    lines = ["| net | an epoch, s | evaluation, s | novelty, s |", "|---|--:|--:|--:|"]
    return "\n".join(
        lines + [f"| {net} | {' | '.join(f'{each:.2f}' for each in seconds(net, data))} |" for net in nets]
    )


def seconds(net: str, data: str) -> list[float]:
    """Medians of five turns: an epoch, the evaluation at the end of a run, and what is measured of novelty after it."""
    tables = {"data": {"source": data}, "model": {"name": net}, "training": {"epochs": 1, "batch_size": BATCH}}
    setup = set_up(Experiment.of(tables))
    session = setup.engine.session(setup.task, setup.train)
    session.warm_up(BATCH, 1)
    rates = np.full(-(-len(setup.train) // BATCH), 1e-3)

    def evaluate() -> None:
        for name in ("validation", "test"):
            experiments.measure(session, setup.task.loss, setup.splits[name])

    works: list[Callable[[], object]] = [
        lambda: session.train_epoch(0, BATCH, rates, lambda done, loss: None),
        evaluate,
        lambda: assess(setup, session.vector()),
    ]
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(5):
        for work, times in zip(works, taken, strict=True):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in taken]


def section(data: str, seeds: int, found: list[tuple[str, float, dict[str, Row]]]) -> str:
    """Two tables: the scores over all nets, and the chosen one net by net."""
    rows = [row for _, _, row in found]
    kinds = [kind for kind in next(iter(rows[0].values())) if kind != "test"]
    by_score = {name: [row[name] for row in rows] for name in rows[0]}
    nets = dict.fromkeys(net for net, _, _ in found)
    lines = [
        f"## A net of {data}",
        f"{counted(len(nets), 'net')}, {counted(seeds, 'seed')} each: AUROC in percent / caught in percent.",
        "",
    ]
    lines += table("score", kinds, by_score)
    lines += ["", f"The {CHOSEN} net by net, with the test accuracy in percent:", ""]
    of_net: dict[str, list[Row]] = {}
    for net in nets:
        accuracy = np.mean([share for name, share, _ in found if name == net])
        of_net[f"{net} ({100 * accuracy:.1f})"] = [row[CHOSEN] for name, _, row in found if name == net]
    return "\n".join(lines + table("net", kinds, of_net))


def table(first: str, kinds: list[str], rows: Mapping[str, list[Row]]) -> list[str]:
    """A row a name: means over the runs, and the least that was caught of any kind by any run."""
    lines = [
        f"| {first} | false alarms | {' | '.join(kinds)} | mean | least caught |",
        f"|---|{'--:|' * (len(kinds) + 3)}",
    ]
    for name, runs in rows.items():
        cells = [np.mean([run[kind] for run in runs], axis=0) for kind in kinds]
        alarms = np.mean([run["test"][1] for run in runs])
        least = min(run[kind][1] for run in runs for kind in kinds)
        shown = [f"{100 * auroc:.1f} / {100 * caught:.0f}" for auroc, caught in [*cells, np.mean(cells, axis=0)]]
        title = f"**{name}**" if name == CHOSEN else name
        lines.append(f"| {title} | {100 * alarms:.1f} | {' | '.join(shown)} | {100 * least:.0f} |")
    return lines


PREFACE = f"""\
# None of these, measured

Made by `python -m benchmarks.novelty --out docs/why`, whose first lines say what each kind of image is; no number was \
typed. Nets are trained for {EPOCHS} epochs. The threshold is that of the validation images for {RATE:.0%} of false \
alarms; the false alarms are those among the test images. *Distance* is what firstlight uses: Mahalanobis' distance to \
the nearest class mean in the last hidden features, scaled to length 1 \
([why](decisions/0023-none-of-these.md))."""


if __name__ == "__main__":
    main()
