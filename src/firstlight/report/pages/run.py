"""The report of one run: a record in, a document out, in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Sequence

from firstlight.records.environment import continuations
from firstlight.records.group import of_runs
from firstlight.records.run import Layer, RunRecord
from firstlight.report import augmentation, captions, explained, reasons
from firstlight.report.document import (
    Beside,
    Block,
    Code,
    Document,
    Heading,
    Number,
    Numbers,
    Section,
    Table,
    Text,
    chapter,
)
from firstlight.report.format import (
    DASH,
    THIN,
    UNDEFINED,
    count,
    counted,
    date,
    decimal,
    interval,
    percent,
    seconds,
    shape,
)
from firstlight.report.notes import notes
from firstlight.report.pictures import answers, missed, mistakes, panels, samples
from firstlight.report.sections import calibration, class_counts, confusion, learning, per_class, step_loss
from firstlight.report.settings import engine, settings


def document(record: RunRecord) -> Document:
    """The report of a run."""
    explained_sections = explained.sections(record)
    groups = of_runs([record])
    sections = (
        Section("Summary", "asked", _asked(record)),
        Section("Before you trust it", "notes", notes(record)),
        chapter(
            "The images",
            "images",
            Section("The images", "images", (*samples(record), *augmentation.pictures(record))),
            class_counts.section(groups),
        ),
        Section("The model", "model", (_model(record),)),
        chapter("Learning", "learning", learning.section(groups), step_loss.section(groups)),
        chapter("Right and wrong", "results", confusion.section(groups), per_class.section(groups)),
        calibration.section(groups),
        Section(
            "Test images",
            "answers",
            (
                Heading("A sample"),
                answers(record),
                *panels(record),
                Heading("The most confident mistakes"),
                mistakes(record),
                *missed(record),
                *(() if explained_sections else (explained.command(record),)),
            ),
        ),
        *explained_sections,
        Section("How to reproduce it", "reproduce", _reproduce(record)),
        Section("Questions and terms", "questions", reasons.blocks(record)),
    )
    return Document(
        kind_of="Report of a run",
        title=f"{record.model} on {record.data}",
        subtitle=" · ".join(filter(None, [f"run {record.name}", date(record.environment.get("started"))])),
        verdict=captions.verdict(record),
        numbers=_numbers(record),
        sections=tuple(section for section in sections if section is not None),
    )


def _numbers(record: RunRecord) -> Numbers:
    trainable = record.parameters("trainable")
    return Numbers(
        (
            Number(
                "test accuracy",
                percent(record.test.accuracy),
                f"95{THIN}% interval {interval(record.test.accuracy_interval)}",
            ),
            Number("test images", count(record.test.images), counted(len(record.class_names), "class")),
            Number("parameters", count(record.parameters()), f"{count(trainable)} trainable"),
            Number("epochs", count(record.epochs_run), _best(record)),
            Number("training time", seconds(record.seconds("train")), _speed(record)),
        )
    )


def _best(record: RunRecord) -> str:
    if record.best_epoch is None:
        return "weights of the last" if record.weights_epoch else record.status
    kept = "" if record.kept_best else f", kept: {record.weights_epoch}"
    return f"best: {record.best_epoch}{kept}"


def _speed(record: RunRecord) -> str:
    speed = record.images_per_second
    return "" if speed is None else f"{count(round(speed))} images/s"


def _asked(record: RunRecord) -> tuple[Block, ...]:
    test, validation = record.test, record.validation
    rows = [
        ("Test accuracy", percent(test.accuracy)),
        (f"95{THIN}% interval", interval(test.accuracy_interval)),
        ("Test loss", decimal(test.loss)),
        ("Validation accuracy", percent(validation.accuracy) if validation else UNDEFINED),
        ("Validation loss", decimal(validation.loss) if validation else UNDEFINED),
        *((f"Top-{k} accuracy", percent(share)) for k, share in test.top_k.items() if k > 1),
        ("Calibration error", percent(test.calibration_error)),
        ("Macro F1", decimal(test.macro.f1, 3)),
        ("Epochs", captions.epochs(record)),
        ("Parameters", count(record.parameters())),
        ("Multiply-adds an image", count(record.multiply_adds)),
        ("Training time", seconds(record.seconds("train"))),
        ("Speed", _speed(record) or UNDEFINED),
    ]
    asked = Table(tuple(settings(record)), caption="Settings")
    answered = Table(tuple(rows), caption="Results")
    return (Beside((asked, answered)),)


def _model(record: RunRecord) -> Table:
    total, trainable, frozen = (record.parameters(which) for which in ("total", "trainable", "frozen"))
    return layer_table(record.layers, total, trainable, frozen, record.multiply_adds, captions.model(record))


def layer_table(
    layers: Sequence[Layer], total: int, trainable: int, frozen: int, multiply_adds: int, caption: str = ""
) -> Table:
    """The layers of a model in the order of the data, with what they cost, and the sums."""
    rows: list[tuple[str, ...]] = [
        (layer.name, layer.type, shape(layer.output_shape), _or_dash(layer.parameters), _or_dash(layer.multiply_adds))
        for layer in layers
    ]
    rows.append(("Total", "", "", count(total), count(multiply_adds)))
    rows.append(("of which trainable", "", "", count(trainable), ""))
    if frozen:
        rows.append(("of which frozen", "", "", count(frozen), ""))
    rows.append(("of which running statistics", "", "", count(total - trainable - frozen), ""))
    return Table(
        titles=("layer", "type", "output shape", "parameters", "multiply-adds"),
        rows=tuple(rows),
        right=frozenset({3, 4}),
        strong=frozenset({len(layers)}),
        caption=caption,
    )


def _or_dash(value: int) -> str:
    return count(value) if value else DASH


def _reproduce(record: RunRecord) -> tuple[Block, ...]:
    environment, machine = record.environment, record.machine
    packages = environment.get("packages") or {}
    memory = machine.get("memory_gb")
    rows = [
        ("firstlight", str(environment.get("firstlight", UNDEFINED))),
        ("Git commit", str(environment.get("git") or UNDEFINED)),
        ("Python", str(environment.get("python", UNDEFINED))),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items()) or UNDEFINED),
        ("Engine", engine(record) or UNDEFINED),
        ("Threads", str(environment.get("threads", UNDEFINED))),
        *([("Resumed", "; ".join(resumed))] if (resumed := continuations(environment)) else []),
        ("Machine", ", ".join(str(machine[k]) for k in ("processor", "system") if machine.get(k)) or UNDEFINED),
        ("Cores and memory", f"{machine.get('cores', UNDEFINED)} cores, {memory:.0f} GB" if memory else UNDEFINED),
        ("Seed", str(record.experiment.get("seed", UNDEFINED))),
        (
            "Data",
            " · ".join(dict.fromkeys(filter(None, [record.data, record.source, record.homepage, record.licence]))),
        ),
    ]
    if record.source.startswith("in memory: "):
        how = Text("The images were given as arrays: load them again in Python, and fit with the settings below.")
        return (how, *_recorded(record, rows))
    return (
        Code("firstlight run experiment.toml", title="With the file below, in a shell:"),
        *_recorded(record, rows),
    )


def _recorded(record: RunRecord, rows: list[tuple[str, str]]) -> tuple[Block, ...]:
    return (
        Code(record.experiment_text.rstrip("\n"), title="experiment.toml"),
        Text(captions.REPRODUCE, tone="note"),
        Table(tuple(rows), caption="Where it ran"),
    )
