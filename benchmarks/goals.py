"""The goals, and whether they were reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.contestants import KERAS, OUR_TORCH, RUNTIMES, TORCH
from benchmarks.record import case, figures, label, times_faster
from benchmarks.rounds import fastest, ratio, summary
from benchmarks.sections.records import GOALS as FASTEST
from benchmarks.sections.records import is_current
from benchmarks.sections.training import GOALS, PREDICTION
from firstlight.types import Json

MEMORY = 300e6  # bytes beside the training set twice
ACCURACY = 0.9133
AUGMENTED = 1.25
RUNTIME = 2.5
WORKERS = 1.6
MAP = 40  # seconds


class Goal(NamedTuple):
    """`reached` is None where nothing was measured."""

    what: str
    goal: str
    found: str
    reached: bool | None


def goals(sections: Json) -> Iterator[Goal]:
    """All of them, in the order of the page."""
    yield from _side_by_side(sections)
    yield _single(sections.get("single"))
    yield from _run(sections.get("run"))
    yield _epoch(sections.get("epoch"))
    yield _augment(sections.get("augment"))
    yield _workers(sections.get("workers"))
    yield _embed(sections.get("embed"))
    yield from _startup(sections.get("startup"))
    yield _recipe(sections.get("recipes"))
    yield from _fastest(sections)
    yield from _serve(sections.get("serve"))


def _side_by_side(sections: Json) -> Iterator[Goal]:
    for name, (torch, keras) in GOALS.items():
        found = next(
            filter(None, (case(sections.get(part, {}), name) for part in ("steps", "large", "prediction"))), None
        )
        keras_does = "`predict`" if name.startswith("prediction") else "`fit`"
        for least, peers, whom in (
            (torch, (*TORCH, OUR_TORCH), "PyTorch's fastest"),
            (keras, KERAS, f"Keras/TF {keras_does}"),
            (RUNTIME if name == PREDICTION.name else None, (*RUNTIMES, *TORCH), "the fastest of these and runtimes"),
        ):
            if least is None:
                continue
            what, goal = f"{name}: times faster than {whom}", f"{least:g}"
            faster = None if found is None else times_faster(found, peers)
            if faster is None:
                yield Goal(what, goal, "not measured", None)
                continue
            peer, of_medians, of_rounds = faster
            shown = f"{figures(of_medians)} ({figures(of_rounds)} by rounds; {label(peer)})"
            yield Goal(what, goal, shown, of_medians >= least)


def _single(section: Json | None) -> Goal:
    what, goal = "prediction, lenet5, one image at a time, in the time of the fastest peer", "at most 1"
    if section is None:
        return Goal(what, goal, "not measured", None)
    turns = section["cases"][0]["turns"]
    peer = fastest(turns, (*RUNTIMES, *TORCH))
    if peer is None:
        return Goal(what, goal, "not measured", None)
    times = ratio(turns["firstlight"], turns[peer])
    shown = f"{figures(times.of_medians)} ({figures(times.of_rounds)} by rounds; {label(peer)})"
    return Goal(what, goal, shown, times.of_medians <= 1)


def _run(section: Json | None) -> Iterator[Goal]:
    what = "`firstlight run` of lenet5, 10 epochs, beside Keras's `fit` and `evaluate`"
    if section is None or section["epochs"] != 10:
        yield Goal(what, "at most 1/5 of its time", "not measured", None)
        yield Goal("its peak memory", "the training set twice + 300 MB", "not measured", None)
        return
    turns, keras = section["turns"], section["turns"].get(KERAS[0])
    if keras is None:
        yield Goal(what, "at most 1/5 of its time", "not measured", None)
    else:
        times = ratio(keras, turns["firstlight"]).of_medians
        yield Goal(what, "at most 1/5 of its time", f"1/{figures(times)}", times >= 5)
    details = section["details"]["firstlight"]
    memory, allowed = max(run["memory"] for run in details), 2 * details[0]["set"] + MEMORY
    yield Goal(
        "its peak memory",
        f"the training set twice + 300 MB: {allowed / 1e6:.0f} MB",
        f"{memory / 1e6:.0f} MB",
        memory <= allowed,
    )


def _epoch(section: Json | None) -> Goal:
    what, goal = "an epoch, in its steps", "at most 1.15"
    if section is None:
        return Goal(what, goal, "not measured", None)
    times = summary(section["turns"]["epoch"]).median / step_alone(section)
    return Goal(what, goal, figures(times), times <= 1.15)


def _augment(section: Json | None) -> Goal:
    what, goal = "an augmented epoch of lenet5, in plain ones", f"at most {AUGMENTED:g}"
    if section is None:
        return Goal(what, goal, "not measured", None)
    turns = section["cases"][0]["turns"]
    times = ratio(turns["firstlight-augmented"], turns["firstlight"])
    shown = f"{figures(times.of_medians)} ({figures(times.of_rounds)} by rounds)"
    return Goal(what, goal, shown, times.of_medians <= AUGMENTED)


def _workers(section: Json | None) -> Goal:
    what, goal = "a study of small nets: times faster with two workers than with one", f"{WORKERS:g}"
    if section is None:
        return Goal(what, goal, "not measured", None)
    times = ratio(section["turns"]["1"], section["turns"]["2"])
    shown = f"{figures(times.of_medians)} ({figures(times.of_rounds)} by rounds)"
    return Goal(what, goal, shown, times.of_medians >= WORKERS)


def _embed(section: Json | None) -> Goal:
    measured = section is not None and section["points"] == 10_000
    found = section["turns"].get("firstlight-map") if section and measured else None
    return _seconds("10,000 images of 128 features on a map by t-SNE", MAP, found)


def step_alone(section: Json) -> float:
    """Seconds of forward, backward and optimizer: a step on ready batches less the gathering of one."""
    return summary(section["turns"]["ready"]).median - summary(section["turns"]["gather"]).median


def _startup(section: Json | None) -> Iterator[Goal]:
    for name, most in (("firstlight --help", 0.25), ("import firstlight", 0.35)):
        yield _seconds(f"`{name}`", most, None if section is None else section["turns"][name])
    yield _seconds("compiling lenet5, first run", 15, None if section is None else section["compile"]["first run"])


def _seconds(what: str, most: float, turns: list[float] | None) -> Goal:
    if turns is None:
        return Goal(what, f"under {most:g} s", "not measured", None)
    found = summary(turns).median
    return Goal(what, f"under {most:g} s", f"{figures(found)} s", found < most)


def _recipe(section: Json | None) -> Goal:
    what, goal = "Fashion-MNIST by our quickest recipe", f"{ACCURACY} on the test images"
    if section is None:
        return Goal(what, goal, "not measured", None)
    mean, _, shown = _accuracy(section["firstlight"])
    return Goal(what, goal, shown, mean >= ACCURACY)


def _fastest(sections: Json) -> Iterator[Goal]:
    for name, (accuracy, most) in FASTEST.items():
        what, goal = f"{name}: accuracy on the test images", f"{accuracy:.2f} within {most:g} s"
        if name not in sections:
            yield Goal(what, goal, "not measured", None)
            continue
        mean, took, shown = _accuracy(sections[name]["runs"]["firstlight"])
        shown += "" if is_current(sections[name]) else ", by the study's file as it was then"
        yield Goal(what, goal, shown, mean >= accuracy and took <= most)


def _accuracy(runs: Sequence[Json]) -> tuple[float, float, str]:
    """The mean accuracy of runs on the test images, their median seconds, and both for the reader."""
    accuracies = [run["accuracy"] for run in runs]
    mean, took = sum(accuracies) / len(accuracies), summary([run["seconds"] for run in runs]).median
    return mean, took, f"{mean:.4f} in {figures(took)} s (least of {len(runs)}: {min(accuracies):.4f})"


def _serve(section: Json | None) -> Iterator[Goal]:
    whom = "a bare server with ONNX Runtime"
    what = f"`firstlight serve`, lenet5: images per second, in those of {whom}"
    if section is None:
        yield Goal(what, "1", "not measured", None)
        return
    times = ratio(section["turns"]["bare-server"], section["turns"]["firstlight-serve"])
    shown = f"{figures(times.of_medians)} ({figures(times.of_rounds)} by rounds)"
    yield Goal(what, "1", shown, times.of_medians >= 1)
    rounds = section["latencies"]["half of the bare server's"]
    for key in ("p50", "p99"):
        theirs, ours = ([each[key] for each in rounds[name]] for name in ("bare-server", "firstlight-serve"))
        share = ratio(ours, theirs)
        shown = f"{figures(share.of_medians)} ({figures(share.of_rounds)} by rounds)"
        yield Goal(
            f"its {key} at half of the saturation of that, in that one's", "at most 1", shown, share.of_medians <= 1
        )
