"""The parts of docs/why/benchmarks.md: a heading, a sentence where it needs one, and the numbers of one section."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.contestants import KERAS, OUR_TORCH, RUNTIMES, TORCH
from benchmarks.goals import ACCURACY, step_alone
from benchmarks.plots import PLOTS
from benchmarks.record import figures, label, ms, seconds, times_faster
from benchmarks.rounds import summary
from benchmarks.sections.records import GOALS as FASTEST
from benchmarks.sections.records import is_current
from firstlight.types import Json

Lines = list[str]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> Lines:
    """A table whose first `left` columns are text."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]


def _plot(name: str) -> Lines:
    alt = PLOTS[name].caption
    return [f"![{alt}](images/benchmarks-{name}.svg)"]


def _slower_first(cases: Sequence[Json]) -> list[Json]:
    """The cases, first those in which a peer is faster than firstlight, by how much; the others as they stand."""

    def place(case: Json) -> float:
        found = times_faster(case, [name for name in case["turns"] if name != "firstlight"])
        return min(found[1], 1.0) if found else 1.0

    return sorted(cases, key=place)


def _side_by_side(section: Json, unit: str) -> Lines:
    """Milliseconds of all contestants, a row a case."""
    names = list(dict.fromkeys(name for case in section["cases"] for name in (*case["turns"], *case["left_out"])))
    rows = [
        (case["name"], *(ms(case["turns"][name]) if name in case["turns"] else "–" for name in names))
        for case in _slower_first(section["cases"])
    ]
    lines = table((unit, *map(label, names)), rows)
    left_out = {(name, why) for case in section["cases"] for name, why in case["left_out"].items()}
    return lines + [line for name, why in sorted(left_out) for line in ("", f"Left out, {label(name)}: {why}.")]


def _faster(section: Json) -> Lines:
    rows = []
    for case in _slower_first(section["cases"]):
        cells = []
        for peers in (TORCH, KERAS, ("keras-jax",), ("jax",), RUNTIMES):
            found = times_faster(case, peers)
            cells.append(f"{figures(found[1])} ({figures(found[2])})" if found else "–")
        rows.append((case["name"], *cells))
    head = ("firstlight is times faster than", "PyTorch's fastest", "Keras, TensorFlow", "Keras, JAX", "plain JAX")
    titles = (*head, "ONNX Runtime, OpenVINO")
    shown = [place for place in range(len(titles)) if place < len(head) or any(row[place] != "–" for row in rows)]
    return table([titles[place] for place in shown], [[row[place] for place in shown] for row in rows])


def _chosen(section: Json) -> Lines:
    """What was kept after trials, folded away."""
    rows = [
        (case["name"], label(name), ", ".join(f"{key} {_plain(value)}" for key, value in chosen.items() if value != {}))
        for case in section["cases"]
        for name, chosen in case["chosen"].items()
        if chosen
    ]
    return [
        "<details><summary>What the trials chose</summary>",
        "",
        *table(("", "", ""), rows, left=3),
        "",
        "</details>",
    ]


def _plain(value: object) -> str:
    return "; ".join(f"{key}: {item}" for key, item in value.items()) if isinstance(value, dict) else str(value)


def _steps(section: Json) -> Lines:
    return [
        *_side_by_side(section, "ms a step"),
        "",
        *_faster(section),
        "",
        "In brackets: the median of the rounds' own ratios.",
        "",
        *_plot("steps"),
        "",
        *_chosen(section),
    ]


def _large(section: Json) -> Lines:
    return [
        "Nets that the peers here do not build, beside firstlight's own PyTorch engine, whose layers are PyTorch's.",
        "",
        *_side_by_side(section, "ms a step"),
        "",
        *table(
            ("firstlight is times faster than", "its PyTorch engine"),
            [
                (case["name"], f"{figures(found[1])} ({figures(found[2])})")
                for case in _slower_first(section["cases"])
                if (found := times_faster(case, [OUR_TORCH]))
            ],
        ),
        "",
        *_chosen(section),
    ]


def _prediction(section: Json) -> Lines:
    return [
        "ONNX Runtime and OpenVINO begin with bytes and end with probabilities; of threads, and of images at a time, "
        "what is faster is kept.",
        "",
        *_side_by_side(section, "ms a call"),
        "",
        *_faster(section),
        "",
        *_chosen(section),
    ]


def _single(section: Json) -> Lines:
    [case] = section["cases"]
    rows = []
    for name, turns in case["turns"].items():
        low, middle, high = np.percentile(np.array(turns) * 1e6, (25, 50, 75)).tolist()
        rows.append((label(name), figures(middle), f"{figures(low, like=middle)} to {figures(high, like=middle)}"))
    return [
        "lenet5 on one image of 28×28, again and again from Python, in microseconds a call. *firstlight* is "
        "`Session.outputs`, from the bytes of an image to the raw outputs; `run.predict` checks what it is given, and "
        "ends with the probabilities, as ONNX Runtime and OpenVINO do with the exported net, by one thread or two, "
        "whichever is faster. PyTorch has the image as a normalized tensor, and ends with the raw outputs.",
        "",
        *table(("", "µs", "quartiles"), rows),
        *[line for name, why in case["left_out"].items() for line in ("", f"Left out, {label(name)}: {why}.")],
        "",
        *_chosen(section),
    ]


def _run(section: Json) -> Lines:
    details = section["details"]
    rows = []
    for run in details["firstlight"]:
        parts = ", ".join(f"{name} {run['parts'][name]:.1f}" for name in ("data", "compile", "train", "evaluate"))
        rows.append(
            ("`firstlight run`", f"{run['seconds']:.1f}", f"{run['accuracy']:.4f}", f"{run['memory'] / 1e6:.0f}", parts)
        )
    for run in details.get(KERAS[0], []):
        parts = f"fit {run['fit']:.1f}, evaluate {run['evaluate']:.1f}"
        rows.append(
            ("Keras on TensorFlow", f"{run['fit'] + run['evaluate']:.1f}", f"{run['accuracy']:.4f}", "–", parts)
        )
    left = [f"Left out, {label(name)}: {why}." for name, why in section["left_out"].items()]
    return [
        f"lenet5 on Fashion-MNIST, {section['epochs']} epochs, batch 32, Adam; 54,000 images to learn from, 6,000 to "
        "validate on after every epoch. Of firstlight: the whole process, with starting Python, reading, checking "
        "for duplicates, preparing, shuffling, training, validating, checkpoints, evaluating and the report. Of Keras: "
        "`fit` with its tracing, and `evaluate`, on the same images read by the same loader; not its imports, its "
        "reading, or the trials that chose its fastest way. In turns.",
        "",
        *table(("", "s", "test accuracy", "peak MB", "of which, in s"), rows),
        *[line for text in left for line in ("", text)],
    ]


def _epoch(section: Json) -> Lines:
    turns = section["turns"]
    alone, whole = step_alone(section), summary(turns["epoch"]).median
    return [
        f"*The epoch* is what `history.csv` of `firstlight run --set data.validation=0` says (lenet5, batch "
        f"{section['batch']}, {section['images']:,} images; the mean of the second and third epoch), a step's share of "
        "it: drawing the order, gathering each batch from all over the set, the steps, progress, the check for Ctrl-C, "
        "loss and accuracy, and a look at 256 images for weights that are not finite. Validation is left out. *Its "
        "steps* are forward, backward and optimizer alone: the same loop over 64 batches that lie in the cache, less "
        "what the kernels take to gather one of these.",
        "",
        *table(
            ("ms a step", "median ± spread"),
            [
                ("the epoch", ms(turns["epoch"])),
                ("the loop over ready batches", ms(turns["ready"])),
                ("of which, gathering a ready batch", ms(turns["gather"])),
                ("drawing the order, a step's share", ms(turns["order"])),
                ("forward, backward, optimizer", figures(alone * 1e3)),
                ("**the epoch, in its steps**", f"**{figures(whole / alone)}**"),
            ],
        ),
    ]


def _startup(section: Json) -> Lines:
    rows = [(f"`{name}`" if " and " not in name else name, seconds(turns)) for name, turns in section["turns"].items()]
    rows += [(f"compiling for lenet5, {name}", seconds(turns)) for name, turns in section["compile"].items()]
    runs = len(section["compile"]["first run"])
    return [
        *table(("fresh processes", "wall time"), rows),
        "",
        "The first run on a machine compiles the kernels and keeps them on the disk; the command says that it does, "
        f"and `result.json` has the seconds. Here with an empty cache of their own each time, n = {runs}.",
    ]


def _recipes(section: Json) -> Lines:
    ours = section["firstlight"]
    rows = [
        (f"firstlight, seed {run['seed']}", f"{run['seconds']:.1f}", f"{run['accuracy']:.4f}", str(len(run["epochs"])))
        for run in ours
    ]
    rows.append(
        (
            f"**firstlight, n = {len(ours)}**",
            f"**{statistics.median(run['seconds'] for run in ours):.1f}**",
            f"**{statistics.mean(run['accuracy'] for run in ours):.4f}**",
            "",
        )
    )
    for run in section[KERAS[0]]:
        rows.append(
            (
                "Keras on TensorFlow, the notebook's recipe",
                f"{run['fit'] + run['evaluate']:.1f}",
                f"{run['accuracy']:.4f}",
                "10",
            )
        )
    return [
        f"To {ACCURACY} on the test images in the least wall time: `firstlight run` of the study fashion-fast as a "
        "whole process, beside Keras's `fit` and `evaluate` of fashion-cnn, with augmentation by Keras's own layers "
        "within tf.data (horizontal flip, rotation by up to 5 degrees, a patch cut out), 10 epochs, batch 32, n = 1. "
        "In bold: median seconds, mean accuracy.",
        "",
        *table(("", "s", "test accuracy", "epochs"), rows),
        *[line for name, why in section["left_out"].items() for line in ("", f"Left out, {label(name)}: {why}.")],
    ]


def _record(section: Json) -> Lines:
    least, most = FASTEST[section["study"]]
    rows = []
    for contestant, runs in section["runs"].items():
        took, trained = (summary([run[key] for run in runs]) for key in ("seconds", "train"))
        accuracies = [run["accuracy"] for run in runs]
        rows.append(
            (
                contestant,
                f"{took.median:.1f} ± {took.spread:.1f}",
                f"{trained.median:.1f}",
                f"{statistics.mean(accuracies):.4f}",
                f"{min(accuracies):.4f}",
                str(took.n),
            )
        )
    return [
        f"The goal: {least:.2f} within {most:g} s. `firstlight run` of the study's file as a whole process, with "
        f"start, reading, measuring and report, on {section['threads']} threads; PyTorch is our engine torch, which "
        "does the same recipe. In turns, a seed a round; median seconds ± half the interquartile range, and the mean "
        "and the least accuracy on the test images.",
        "",
        *table(("", "s", "of these training", "accuracy", "least", "n"), rows),
        *(line for who, why in section.get("left_out", {}).items() for line in ("", f"Left out, {who}: {why}.")),
        *(() if is_current(section) else ("", "The study's file has changed since then.")),
    ]


def _batches(section: Json) -> Lines:
    return [*_plot("batches"), "", *_rates(section)]


def _rates(section: Json) -> Lines:
    """Images a second."""
    rows = []
    for case in section["cases"]:
        cells = [f"{case['batch'] / summary(turns).median:,.0f}" for turns in case["turns"].values()]
        rows.append((case["name"], *cells))
    names = section["cases"][0]["turns"]
    return [
        "<details><summary>Images a second, lenet5</summary>",
        "",
        *table(("", *map(label, names)), rows),
        "",
        "</details>",
    ]


def _threads(section: Json) -> Lines:
    return [*_side_by_side(section, "ms a step"), "", *_plot("threads")]


def _pair(section: Json) -> Lines:
    if not section["cases"]:
        return [f"Left out: {section['left_out']}."]
    turns = section["cases"][0]["turns"]
    times = summary(turns["one after the other"]).median / summary(turns["at once"]).median
    rows = [(f"{name}", ms(found)) for name, found in turns.items()]
    return [
        "Two trainings of lenet5, batch 32: at once, each held to one core, and one after the other on both cores; "
        f"milliseconds of wall time for each step of the two. At once is {figures(times)} times as fast.",
        "",
        *table(("", "ms a step"), rows),
        "",
        *_plot("pair"),
    ]


def _sizes(section: Json) -> Lines:
    return [*_plot("sides"), "", *_plot("widths"), "", *_side_by_side(section, "ms a step, batch 32")]


def _augment(section: Json) -> Lines:
    asked, alone, case = section["asked"], section["alone"], section["cases"][0]
    rates = [
        (label(name), f"{1 / summary(turns).median:,.0f}", ms([1e3 * each for each in turns]))
        for name, turns in alone["turns"].items()
    ]
    return [
        f"Each image turned by up to {asked['rotate']} degrees, shifted by up to {asked['shift']:.0%} of each side, "
        f"zoomed by up to {asked['zoom']:.0%} and flipped half the time, again in every epoch. An epoch of lenet5, "
        f"batch {case['batch']}, {case['steps']} steps, with and without it, in turns; the draws are part of it.",
        "",
        *_side_by_side(section, "ms a step"),
        "",
        f"The same for {alone['images']:,} images of 28×28 without a net, in batches of 32. firstlight and Keras's "
        "layers use both cores. OpenCV and ImageDataGenerator are called from Python for each image. Keras's layers "
        "interpolate three times, the others once, all bilinear.",
        "",
        *table(("augmentation alone", "images per second", "µs an image"), rates),
        *[line for name, why in alone["left_out"].items() for line in ("", f"Left out, {label(name)}: {why}.")],
    ]


def _workers(section: Json) -> Lines:
    turns = section["turns"]
    rows = [
        ("one, with both cores", seconds(turns["1"])),
        ("two, a core each", seconds(turns["2"])),
    ]
    return [
        f"`firstlight study benchmarks/study.toml` as a process, from nothing to the report of all: {section['runs']} "
        "runs of four small dense nets on 12,000 images of Fashion-MNIST, each with its own reading, training, "
        "measuring and report. A net whose steps use both cores well gains less from a second worker.",
        "",
        *table(("workers", "seconds"), rows),
    ]


def _embed(section: Json) -> Lines:
    maps = section["maps"]
    rows = [
        (f"{label(name)} ({maps[name]['library']})", seconds(turns), f"{maps[name]['agreement']['after']:.3f}")
        for name, turns in section["turns"].items()
    ]
    before = next(iter(maps.values()))["agreement"]["before"] if maps else float("nan")
    return [
        f"{section['points']:,} images of {section['source']} as {section['features']} features (principal components "
        "of their pixels) on a plane, each in a process of its own, one at a time. Both see the first 50 components, "
        "and finding these is part of it. Agreement is the share of a point's ten nearest that are of its class; in "
        f"the features it is {before:.3f}.",
        "",
        *table(("", "s", "agreement on the map"), rows),
        *[line for name, why in section["left_out"].items() for line in ("", f"Left out, {label(name)}: {why}.")],
    ]


def _serve(section: Json) -> Lines:
    rows = []
    for name, turns in section["turns"].items():
        found = summary([1 / each for each in turns])
        rows.append((label(name), "saturation", f"**{found.median:,.0f} ± {found.spread:,.0f}**", "", ""))
    for load, latencies in section["latencies"].items():
        for name, rounds in latencies.items():
            rate = f"{statistics.median(each['rate'] for each in rounds):,.0f}"
            p50, p99 = (ms([each[key] for each in rounds]) for key in ("p50", "p99"))
            rows.append((label(name), load, rate, p50, p99))
    libraries = ", ".join(f"{name} {number}" for name, number in section["libraries"].items())
    return [
        "`firstlight serve` of lenet5, beside the same net in ONNX Runtime behind starlette, which has no limits, no "
        f"checks and no batches ([its lines](../../benchmarks/contestants/bare_server.py)); both on {libraries}. A PNG "
        f"of 28×28 a request, {section['connections']} connections kept open, asked by wrk on the same cores, in turns "
        f"of {section['of_each_turn']:g} s. At half of a saturation requests come at random (exponential pauses).",
        "",
        *table(("", "load", "images per second", "p50, ms", "p99, ms"), rows, left=2),
    ]


def _engines(section: Json) -> Lines:
    return [*_side_by_side(section, "ms a step"), "", *_chosen(section)]


class Passage(NamedTuple):
    """A part of the page: its heading, and what is written of a section's record."""

    title: str
    write: Callable[[Json], Lines]


PASSAGES = {
    "steps": Passage("A step of training", _steps),
    "large": Passage("A step of training, larger nets", _large),
    "prediction": Passage("Prediction", _prediction),
    "single": Passage("Prediction, one image at a time", _single),
    "run": Passage("A whole run", _run),
    "epoch": Passage("An epoch in its steps", _epoch),
    "startup": Passage("Starting up, and compiling", _startup),
    "recipes": Passage("Fashion-MNIST, from nothing to an accuracy", _recipes),
    "fashion-fast": Passage("fashion-fast: Fashion-MNIST in a few seconds", _record),
    "mnist-fast": Passage("mnist-fast: MNIST in a few seconds", _record),
    "cifar-fast": Passage("cifar-fast: CIFAR-10 in a few minutes", _record),
    "batches": Passage("By batch size", _batches),
    "threads": Passage("One thread, two threads", _threads),
    "pair": Passage("Two runs at once", _pair),
    "sizes": Passage("By the size of an image and the width of a net", _sizes),
    "workers": Passage("A study with two workers", _workers),
    "augment": Passage("Augmentation", _augment),
    "embed": Passage("A map by t-SNE", _embed),
    "serve": Passage("A model behind HTTP", _serve),
    "engines": Passage("firstlight's two engines", _engines),
}
