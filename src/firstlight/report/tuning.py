"""The report of a search: its folder in, a document out."""

from __future__ import annotations

import math

from firstlight.records.search_folder import ENDED, TrialRecord, Tuned, TuneFolder, shown
from firstlight.report import tuning_charts as charts
from firstlight.report.document import (
    Beside,
    Block,
    Chart,
    Code,
    Document,
    Number,
    Numbers,
    Section,
    Table,
    Text,
)
from firstlight.report.format import (
    DASH,
    UNDEFINED,
    count,
    counted,
    date,
    decimal,
    listed,
    percent,
    points,
    seconds,
)

BEST = 10  # trials in the table of the best
REASONS = 5  # reasons of failing that are told one by one
WORDS = {"val_accuracy": "validation accuracy", "val_loss": "validation loss"}


def document(search: TuneFolder) -> Document:
    """The report of a search. Raises RunError where none of its trials is complete."""
    tuned = search.result
    _ = tuned.best
    return Document(
        kind_of="Report of a search",
        title=f"{tuned.model} on {tuned.data}: {counted(len(tuned.space), 'setting')} searched",
        subtitle=" · ".join(filter(None, [f"search {search.name}", date(tuned.environment.get("started"))])),
        verdict=_verdict(tuned),
        numbers=_numbers(tuned),
        sections=(
            Section("Before you trust it", "notes", _notes(tuned)),
            Section("The course of the search", "history", _history(tuned)),
            Section("Setting by setting", "settings", _settings(tuned)),
            Section("The best trials", "best", _table(tuned)),
            Section("The best file", "file", _file(search)),
            Section("How to reproduce it", "reproduce", _reproduce(search)),
        ),
        source="the folder of the search",
    )


def value(tuned: Tuned, number: float | None) -> str:
    """What a trial is judged by, as shown: an accuracy as a percentage, a loss as a number."""
    if number is None:
        return UNDEFINED
    return percent(number) if tuned.monitor == "val_accuracy" else decimal(number)


def _verdict(tuned: Tuned) -> str:
    best, complete = tuned.best, tuned.complete
    values = listed([f"{key} {shown(number)}" for key, number in best.values.items()])
    text = (
        f"Trial {best.number} of {len(_ended(tuned))} was the best: {WORDS[tuned.monitor]} {value(tuned, best.value)}, "
        f"with {values}."
    )
    if len(complete) > 1 and best.value is not None and complete[-1].value is not None:
        middle = complete[len(complete) // 2]
        text += f" The trial in the middle of the complete ones reached {value(tuned, middle.value)}"
        text += f", and the last of them {value(tuned, complete[-1].value)}."
    return text


def _ended(tuned: Tuned) -> list[TrialRecord]:
    return [trial for trial in tuned.trials if trial.state in ENDED]


def _numbers(tuned: Tuned) -> Numbers:
    best = tuned.best
    ended = _ended(tuned)
    stopped, failed = len(tuned.ended("pruned")), len(tuned.ended("failed"))
    fates = [f"{count(n)} {word}" for n, word in ((stopped, "stopped early"), (failed, "failed")) if n]
    trained = sum(trial.epochs for trial in ended)
    whole = len(ended) * tuned.epochs
    top = next(iter(tuned.importance.items()), None)
    return Numbers(
        (
            Number(f"best {WORDS[tuned.monitor]}", value(tuned, best.value), f"trial {best.number}, epoch {best.best}"),
            Number("trials", count(len(ended)), ", ".join(fates) or "all complete"),
            Number("epochs trained", count(trained), f"at most {count(whole)}" if whole > trained else ""),
            Number("most important", top[0] if top else UNDEFINED, percent(top[1]) if top else "too few to tell"),
            Number("training time", seconds(sum(trial.seconds for trial in ended)), "all trials together"),
        )
    )


def _notes(tuned: Tuned) -> tuple[Block, ...]:
    ended = _ended(tuned)
    warnings = [
        f"The winner’s {WORDS[tuned.monitor]} is flattered: it is the best of {counted(len(ended), 'trial')}, chosen "
        "by that same number, on one seed. Measure it on several seeds: firstlight run best.toml --seed 1 (2, 3, …) "
        "reads the test images, which no trial has seen."
    ]
    missing = tuned.asked - len(ended)
    if missing > 0:
        warnings.append(
            f"The search is not complete: {counted(missing, 'trial')} of {count(tuned.asked)} missing. The same "
            "command goes on."
        )
    failed = tuned.ended("failed")
    for reason in list(dict.fromkeys(trial.reason for trial in failed))[:REASONS]:
        numbers = [str(trial.number) for trial in failed if trial.reason == reason]
        noun = "Trial" if len(numbers) == 1 else "Trials"
        warnings.append(f"{noun} {listed(numbers)} failed. {reason}")
    notes = [
        "The test images were left aside before the first trial and were never read: every trial was trained on the "
        "training images and judged on the validation images alone."
    ]
    if close := _close(tuned):
        notes.append(close)
    edges = _edges(tuned)
    if edges:
        notes.append(
            f"The best value of {listed(edges)} lies at an end of its range: better ones may lie beyond. Widen the "
            "range and search again."
        )
    return (*(Text(text, tone="warning") for text in warnings), *(Text(text, tone="note") for text in notes))


def _close(tuned: Tuned) -> str:
    """Whether the runner-up is as good as the winner."""
    if len(tuned.complete) < 2 or tuned.monitor != "val_accuracy":
        return ""
    first, second = tuned.complete[:2]
    if first.value is None or second.value is None:
        return ""
    between = "reached the same" if first.value == second.value else f"is {points(first.value - second.value)} behind"
    return (
        f"The second best, trial {second.number}, {between}: such a difference is easily a matter of the seed. Prefer "
        "what is simpler or quicker among the best."
    )


def _edges(tuned: Tuned) -> list[str]:
    """Keys whose best value lies within a twentieth of an end of their range."""
    edges = []
    for key, domain in tuned.space.items():
        scale = charts.scale_of(domain)
        if scale is None or not isinstance(tuned.best.values[key], int | float):
            continue
        low, high, logarithmic = scale
        place = math.log if logarithmic else float
        at = (place(tuned.best.values[key]) - place(low)) / (place(high) - place(low))
        if not 0.05 < at < 0.95:
            edges.append(key)
    return edges


def _history(tuned: Tuned) -> tuple[Block, ...]:
    blocks: list[Block] = [
        Chart(
            spec=charts.history(tuned),
            description=f"The {WORDS[tuned.monitor]} of each trial, and the best so far.",
            caption=_history_caption(tuned),
            width=720,
        )
    ]
    if tuned.importance:
        blocks.append(
            Chart(
                spec=charts.importance(tuned.importance),
                description="The importance of each searched setting.",
                caption="How much of the spread of the complete trials’ values each setting explains by itself or with "
                f"others (fANOVA, a forest fitted to {counted(len(tuned.complete), 'complete trial')}; the shares add "
                "up to one). An unimportant setting can be left alone the next time. With few trials it is a hint.",
                width=560,
            )
        )
    else:
        blocks.append(
            Text("Too few trials are complete, or all are equal: which setting matters cannot be told.", tone="note")
        )
    return tuple(blocks)


def _history_caption(tuned: Tuned) -> str:
    marks = "A dot is a trial that trained to its end; the line is the best of them so far."
    if tuned.ended("pruned"):
        marks += " A cross was stopped early: its value is that of the epoch at which it was stopped."
    if any(trial.value is None or trial.state == "failed" for trial in _ended(tuned)):
        marks += " Trials that failed are left out."
    ways = {
        "tpe": "TPE drew the first ten evenly, then where earlier ones did well: the dots should drift to the better.",
        "random": "Every trial was drawn evenly, without regard to the others.",
        "grid": "The points of the grid were taken in an order drawn by seed.",
    }
    return f"{marks} {ways[tuned.sampler]}"


def _settings(tuned: Tuned) -> tuple[Block, ...]:
    keys = sorted(tuned.space, key=lambda key: -tuned.importance.get(key, 0.0))
    blocks = tuple(
        Chart(
            spec=charts.against(tuned, key, shown),
            description=f"The {WORDS[tuned.monitor]} of the trials against {key}.",
            width=440,
        )
        for key in keys
    )
    caption = (
        f"The {WORDS[tuned.monitor]} of each trial against each setting, the most important first; the best trial is "
        f"ringed. Other settings differ from dot to dot: read the {'upper' if tuned.maximise else 'lower'} edge of the "
        "cloud, not its middle."
    )
    return (Beside(blocks, caption=caption),)


def _table(tuned: Tuned) -> tuple[Block, ...]:
    titles = ("trial", WORDS[tuned.monitor], *tuned.space, "epochs (best)", "time")
    numeric = [n for n, key in enumerate(tuned.space, 2) if charts.scale_of(tuned.space[key]) is not None]
    return (
        Table(
            titles=titles,
            rows=tuple(_row(tuned, trial, place == 0) for place, trial in enumerate(tuned.complete[:BEST])),
            right=frozenset({1, *numeric, len(titles) - 2, len(titles) - 1}),
            strong=frozenset({0}),
            caption=f"★ The best. All {counted(len(_ended(tuned)), 'trial')} stand in trials.csv; the curves and the "
            "experiment of each in trials/.",
        ),
    )


def _row(tuned: Tuned, trial: TrialRecord, best: bool) -> tuple[str, ...]:
    return (
        str(trial.number),
        f"{'★ ' if best else ''}{value(tuned, trial.value)}",
        *(shown(trial.values[key]) for key in tuned.space),
        f"{trial.epochs} ({trial.best or DASH})",
        seconds(trial.seconds),
    )


def _file(search: TuneFolder) -> tuple[Block, ...]:
    return (
        Code("firstlight run best.toml", title="From the folder of the search, in a shell:"),
        Code(search.best_text.rstrip("\n"), title="best.toml"),
    )


def _reproduce(search: TuneFolder) -> tuple[Block, ...]:
    tuned = search.result
    environment = tuned.environment
    packages = environment.get("packages") or {}
    machine = environment.get("machine") or {}
    rows = (
        ("Sampler", {"tpe": "TPE", "random": "random", "grid": "grid"}[tuned.sampler]),
        (
            "Stopped early by",
            {"none": "nothing", "halving": "successive halving", "hyperband": "Hyperband"}[tuned.pruner],
        ),
        ("Seed of the search", str(tuned.seed)),
        ("firstlight", str(environment.get("firstlight", UNDEFINED))),
        ("Python", str(environment.get("python", UNDEFINED))),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items()) or UNDEFINED),
        ("Machine", ", ".join(str(machine[key]) for key in ("processor", "system") if machine.get(key)) or UNDEFINED),
    )
    return (
        Code("firstlight tune tune.toml", title="With the file below, in a shell:"),
        Code(search.text.rstrip("\n"), title="tune.toml", folded=True),
        Text(
            "With one worker, the same file draws the same trials and the same machine trains them to the same bits, "
            "however often the search is interrupted. With several, what TPE draws and what is stopped early depends "
            "on which trial ends first.",
            tone="note",
        ),
        Table(rows, caption="How it was searched, and where"),
    )
