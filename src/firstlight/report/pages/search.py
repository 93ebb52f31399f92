"""The report of a search: its folder in, a document out."""

from __future__ import annotations

from firstlight.records.search_folder import Tuned, TuneFolder, shown
from firstlight.report.document import Block, Code, Document, Number, Numbers, Section, Table, Text
from firstlight.report.format import UNDEFINED, count, counted, date, percent, points, seconds
from firstlight.report.sections import best_trials, search_history, setting_importance, setting_values
from firstlight.report.trials import QUANTITIES, ended, value_text
from firstlight.text import listed

REASONS = 5  # reasons of failing that are told one by one


def document(search: TuneFolder) -> Document:
    """The report of a search. Raises RunError where none of its trials is complete."""
    tuned = search.result
    _ = tuned.best
    return Document(
        kind_of="Report of a search",
        title=f"{tuned.model} on {tuned.data}: {counted(len(tuned.space), 'setting')} searched",
        subtitle=" · ".join(filter(None, [f"search {search.name}", date(tuned.environment.started)])),
        verdict=_verdict(tuned),
        numbers=_numbers(tuned),
        sections=(
            Section("Before you trust it", "notes", _notes(tuned)),
            search_history.section(tuned),
            setting_importance.section(tuned),
            setting_values.section(tuned),
            best_trials.section(tuned),
            Section("The best file", "file", _file(search)),
            Section("How to reproduce it", "reproduce", _reproduce(search)),
        ),
        source="the folder of the search",
    )


def _verdict(tuned: Tuned) -> str:
    best, complete, quantity = tuned.best, tuned.complete, QUANTITIES[tuned.monitor]
    values = listed([f"{key} {shown(number)}" for key, number in best.values.items()])
    reached = [value_text(tuned.monitor, trial.value) for trial in complete]
    text = f"Trial {best.number} of {len(ended(tuned))} was the best: {quantity} {reached[0]}, with {values}."
    if len(complete) > 1:
        text += f" The median of the complete trials reached {reached[len(complete) // 2]}, the worst {reached[-1]}."
    return text


def _numbers(tuned: Tuned) -> Numbers:
    best = tuned.best
    done = ended(tuned)
    stopped, failed = len(tuned.ended("pruned")), len(tuned.ended("failed"))
    fates = [f"{count(n)} {word}" for n, word in ((stopped, "stopped early"), (failed, "failed")) if n]
    trained = sum(trial.epochs for trial in done)
    whole = len(done) * tuned.epochs
    top = next(iter(tuned.importance.items()), None)
    return Numbers(
        (
            Number(
                f"best {QUANTITIES[tuned.monitor]}",
                value_text(tuned.monitor, best.value),
                f"trial {best.number}, epoch {best.best}",
            ),
            Number("trials", count(len(done)), ", ".join(fates) or "all complete"),
            Number("epochs trained", count(trained), f"at most {count(whole)}" if whole > trained else ""),
            Number("most important", top[0] if top else UNDEFINED, percent(top[1]) if top else "too few to tell"),
            Number("training time", seconds(sum(trial.seconds for trial in done)), "all trials together"),
        )
    )


def _notes(tuned: Tuned) -> tuple[Block, ...]:
    done = ended(tuned)
    warnings = [
        f"The {QUANTITIES[tuned.monitor]} of the best trial is optimistic: it is the best of "
        f"{counted(len(done), 'trial')}, chosen by that same number, on one seed. "
        "Measure it on several seeds: firstlight run best.toml --seed 1 (2, 3, …) "
        "reads the test images, which no trial has seen."
    ]
    missing = tuned.asked - len(done)
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
    edges = setting_values.at_an_end(tuned)
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


def _file(search: TuneFolder) -> tuple[Block, ...]:
    return (
        Code("firstlight run best.toml", title="From the folder of the search, in a shell:"),
        Code(search.best_text.rstrip("\n"), title="best.toml"),
    )


def _reproduce(search: TuneFolder) -> tuple[Block, ...]:
    tuned = search.result
    environment = tuned.environment
    rows = (
        ("Sampler", {"tpe": "TPE", "random": "random", "grid": "grid"}[tuned.sampler]),
        (
            "Stopped early by",
            {"none": "nothing", "halving": "successive halving", "hyperband": "Hyperband"}[tuned.pruner],
        ),
        ("Seed of the search", str(tuned.seed)),
        ("firstlight", environment.firstlight or UNDEFINED),
        ("Python", environment.python or UNDEFINED),
        ("Packages", ", ".join(f"{name} {version}" for name, version in environment.packages.items()) or UNDEFINED),
        ("Machine", environment.machine.name or UNDEFINED),
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
