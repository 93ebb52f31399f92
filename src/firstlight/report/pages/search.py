"""The report of a search: its folder in, a document out."""

from __future__ import annotations

from firstlight.evaluation.metrics import in_words
from firstlight.records.search_folder import Tuned, TuneFolder
from firstlight.report.document import Block, Code, Document, Number, Numbers, Section, Table, Text
from firstlight.report.format import UNDEFINED, count, counted, date, percent, seconds
from firstlight.report.pages import contents
from firstlight.report.sections import best_trials
from firstlight.report.trials import ended, value_text


def document(search: TuneFolder) -> Document:
    """The report of a search. Raises RunError where none of its trials is complete."""
    tuned = search.result
    _ = tuned.best
    return Document(
        kind_of="Report of a search",
        title=f"{tuned.model} on {tuned.data}: {counted(len(tuned.space), 'setting')} searched",
        subtitle=" · ".join(filter(None, [f"search {search.name}", date(tuned.environment.started)])),
        verdict=best_trials.verdict(tuned),
        numbers=_numbers(tuned),
        sections=(
            *contents.sections(contents.SEARCH, tuned),
            Section("The best file", "file", _file(search)),
            Section("How to reproduce it", "reproduce", _reproduce(search)),
        ),
        source="the folder of the search",
    )


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
                f"best {in_words(tuned.monitor)}",
                value_text(tuned.monitor, best.value),
                f"trial {best.number}, epoch {best.best}",
            ),
            Number("trials", count(len(done)), ", ".join(fates) or "all complete"),
            Number("epochs trained", count(trained), f"at most {count(whole)}" if whole > trained else ""),
            Number(
                "most important",
                top[0] if top else UNDEFINED,
                percent(top[1]) if top else "not estimated: too few trials",
            ),
            Number("training time", seconds(sum(trial.seconds for trial in done)), "all trials together"),
        )
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
            "With one worker, the same file gives the same trials with bit-identical weights on the same machine, "
            "however often the search is interrupted. With several workers, what TPE samples and what is stopped "
            "early depends on which trial ends first.",
            tone="note",
        ),
        Table(rows, caption="How it was searched, and where"),
    )
