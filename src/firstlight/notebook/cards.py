"""What a notebook shows of a run, a model, images, a study, a search or a check: a card in the report's own style.

The way of a card: anything that is `Shown` -> `card` (a document: the first section open, the others folded) -> HTML
without any script, in light and dark, of about 200 KB at most. Links lead from the folder in which the code runs, which
is where the notebook lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import singledispatch
from pathlib import Path

from firstlight import report
from firstlight.errors import FirstlightError
from firstlight.locks import is_locked
from firstlight.models import Model
from firstlight.notebook import step_cards
from firstlight.notebook.html import render
from firstlight.notebook_display import ReportPath
from firstlight.records import run_folder
from firstlight.records.explanation import Attribution, Explanation, FeatureMaps, MaximizingImage, Mistakes
from firstlight.records.parity import Parity
from firstlight.records.run_folder import RunFolder
from firstlight.records.search_folder import TuneFolder
from firstlight.records.study_folder import StudyFolder
from firstlight.report.document import (
    Beside,
    Block,
    Document,
    ImageGrid,
    Number,
    Numbers,
    Picture,
    Section,
    Table,
    Text,
)
from firstlight.report.format import count, counted, decimal, percent, shape
from firstlight.report.pages import contents
from firstlight.report.sections import (
    activation_maximization,
    attribution,
    class_counts,
    feature_maps,
    layers,
    learning,
    neighbours,
)
from firstlight.report.sections.answers import LIKELIEST
from firstlight.report.sections.samples import spread
from firstlight.text import display_names, listed
from firstlight.training_step import LayerStep, LossStep, Step, WeightStep, Working
from firstlight.types import Array, Dataset, Images

SAMPLES = 10  # images of a split
TITLES = {"loss": "loss", "accuracy": "accuracy", "val_loss": "validation loss", "val_accuracy": "validation accuracy"}


def html(thing: object) -> str:
    """The card of anything that is `Shown`. What cannot be read or drawn says why; nothing is raised for that."""
    try:
        return render(card(thing))
    except FirstlightError as error:
        why = str(error)
    except Exception as error:  # a notebook would show a traceback in the place of a card
        if card.dispatch(type(thing)) is card.dispatch(object):
            raise
        why = f"This cannot be shown: {type(error).__name__}: {error}."
    kind = type(thing).__name__.removesuffix("Folder").lower()
    return render(Document(kind, str(getattr(thing, "name", kind)), "", why, Numbers(()), ()))


def _some(document: Document, anchors: Sequence[str]) -> Document:
    """The document with only the sections of these anchors, in their order here."""
    found = {section.anchor: section for section in document.sections}
    return replace(document, sections=tuple(found[anchor] for anchor in anchors if anchor in found))


@singledispatch
def card(thing: object) -> Document:
    """What is shown of a thing. Raises a FirstlightError where it cannot be read."""
    raise TypeError(f"A {type(thing).__name__} has no notebook display.")


@card.register
def _(document: Document) -> Document:
    return document


@card.register
def _(path: ReportPath) -> Document:
    assert isinstance(path.subject, RunFolder), "reports are of runs"
    return report.build_document(path.subject, Path())


@card.register
def _(run: RunFolder) -> Document:
    if not run.finished:
        return _unfinished(run)
    return _some(report.build_document(run, Path()), contents.RUN_CARD)


@card.register
def _(folder: StudyFolder) -> Document:
    return _some(report.build_document(folder, Path()), contents.STUDY_CARD)


@card.register
def _(folder: TuneFolder) -> Document:
    return _some(report.build_document(folder, Path()), contents.SEARCH_CARD)


@card.register
def _(check: Parity) -> Document:
    return _some(report.build_document(check, Path()), contents.PARITY_CARD)


@card.register
def _(found: Explanation) -> Document:
    """Where the net looks and what its layers see; a map of many points is left to the report."""
    classes = max((len(look.probabilities) for look in found.attributions), default=0)
    names = display_names(found.class_names) or tuple(f"class {k}" for k in range(classes))
    return Document(
        kind_of="Explanation",
        title="What the net sees",
        subtitle=f"measured on {counted(found.looked, 'test image')}, images compared by {found.layer}",
        verdict="",
        numbers=Numbers(
            (
                Number("layers", count(len(found.activity))),
                Number("dead units", count(sum(len(layer.dead) for layer in found.activity))),
                Number("confident mistakes", count(len(found.mistakes))),
                Number("suspected labels", count(len(found.label_issues))),
            )
        ),
        sections=contents.explanation_card(found, names),
    )


@card.register
def _(one: Attribution) -> Document:
    """One image and the pixels that its answer rests on."""
    names = display_names(one.class_names) or tuple(f"class {k}" for k in range(len(one.probabilities)))
    likeliest = one.probabilities.argsort()[::-1][:LIKELIEST]
    rows = tuple((names[k], percent(float(one.probabilities[k]))) for k in likeliest)
    table = Table(rows, caption="The likeliest classes")
    return _of_one("Attribution", one.id, *attribution.blocks([one], names), table)


@card.register
def _(one: MaximizingImage) -> Document:
    return _of_one("Activation maximization", f"{one.layer}, unit {one.unit}", *activation_maximization.blocks([one]))


@card.register
def _(found: FeatureMaps) -> Document:
    return _of_one("Feature maps", "", *feature_maps.blocks(feature_maps.ImageMaps(found)))


@card.register
def _(found: Mistakes) -> Document:
    made = neighbours.blocks(neighbours.NearestToMistakes(found, found.layer), display_names(found.class_names))
    none = Text("There are no mistakes of this kind.", tone="note")
    return _of_one("Mistakes", counted(len(found), "mistake"), *(made or (none,)))


def _of_one(kind: str, title: str, *blocks: Block) -> Document:
    return Document(kind, title, "", "", Numbers(()), (Section(kind, "shown", blocks),))


@card.register
def _(model: Model) -> Document:
    """The layers with what they cost."""
    found = model.summary()
    frozen = model.frozen_parameters
    shown = layers.Layers(
        model.name, model.input_shape, found, model.parameters, model.trainable, frozen, model.multiply_adds
    )
    numbers = Numbers(
        (
            Number("parameters", count(model.parameters), f"{count(model.trainable)} trainable"),
            Number("multiply-adds", count(model.multiply_adds), "an image"),
            Number("layers", count(len(found)), f"{count(frozen)} parameters frozen" if frozen else ""),
            Number("classes", count(model.classes)),
        )
    )
    options = ", ".join(f"{key} {value}" for key, value in model.options.items())
    return Document(
        kind_of="Model",
        title=model.name,
        subtitle=" · ".join(filter(None, [f"images of {shape(model.input_shape)}", options])),
        verdict="",
        numbers=numbers,
        sections=(Section("Layers", "layers", layers.blocks(shown)),),
    )


@card.register
def _(images: Images) -> Document:
    """A row of the images, and how many there are of each class."""
    return _pictured("Images", "", "", {"images": images})


@card.register
def _(data: Dataset) -> Document:
    """A row of images of each split, how many there are of each class, and where they come from."""
    made = _pictured("Data", data.name, data.origin if data.origin != data.name else "", data.splits)
    rows = [
        ("Licence", data.licence),
        ("Home page", data.homepage),
        ("Files", counted(len(data.files), "file") if data.files else ""),
        ("Not read", listed([f"{path}: {why}" for path, why in list(data.set_aside.items())[:10]])),
    ]
    known = tuple((name, value) for name, value in rows if value)
    more = (Section("Where they come from", "source", (Table(known),)),) if known else ()
    warnings: list[Block] = []
    if not data.verified:
        wrong = listed([file.name for file in data.files if not file.verified][:3])
        warnings.append(Text(f"Not the published files: the checksum of {wrong} differs.", tone="warning"))
    if data.set_aside:
        warnings.append(Text(f"{counted(len(data.set_aside), 'file')} could not be read.", tone="warning"))
    first, *others = made.sections
    return replace(made, sections=(replace(first, blocks=(*warnings, *first.blocks)), *others, *more))


def _pictured(kind: str, title: str, subtitle: str, splits: Mapping[str, Images]) -> Document:
    first = next(iter(splits.values()))
    names, counts = (
        display_names(first.class_names),
        {split: images.counts.tolist() for split, images in splits.items()},
    )
    numbers = [Number(f"{split} images" if len(splits) > 1 else "images", count(len(i))) for split, i in splits.items()]
    numbers += [Number("size", shape(first.shape)), Number("classes", count(len(names)))]
    grids = tuple(
        ImageGrid(
            tuple(Picture(images.pixels[i], names[images.labels[i]]) for i in spread(images, SAMPLES)),
            columns=10,
            caption=split.capitalize() if len(splits) > 1 else "",
        )
        for split, images in splits.items()
        if len(images)
    )
    bars = class_counts.histograms(names, counts)
    return Document(
        kind_of=kind,
        title=title,
        subtitle=subtitle,
        verdict="",
        numbers=Numbers(tuple(numbers)),
        sections=(
            Section("A sample", "sample", grids or (Text("There is no image.", tone="note"),)),
            Section("Images per class", "classes", (Beside(bars, caption=class_counts.caption(names, counts)),)),
        ),
    )


# Of a step of training.
card.register(Step, step_cards.step_card)
card.register(LayerStep, step_cards.layer_card)
card.register(LossStep, step_cards.loss_card)
card.register(WeightStep, step_cards.weight_card)
card.register(Working, step_cards.working_card)


def _unfinished(run: RunFolder) -> Document:
    """A run that trains, or was cut off: how far it got."""
    held = is_locked(run.path)
    asked = run.experiment.training.epochs
    history = run.history if (run.path / run_folder.HISTORY).is_file() else {}
    done = len(history.get("epoch", ()))
    said = "It is training." if held else f"It was cut off. Resume it: firstlight resume {run.path}"
    return Document(
        kind_of="Run without a result",
        title=run.name,
        subtitle="",
        verdict=said,
        numbers=Numbers((Number("epochs", count(done), f"of {asked}" if asked else ""), *latest(history))),
        sections=(Section("Learning", "learning", (curves(history),)),) if done else (),
    )


def latest(history: Mapping[str, Sequence[float] | Array]) -> tuple[Number, ...]:
    """The losses and accuracies of the last epoch so far; nothing before the first."""
    last = {name: float(history[name][-1]) for name in TITLES if name in history and len(history[name])}
    return tuple(
        Number(TITLES[name], percent(value) if name.endswith("accuracy") else decimal(value))
        for name, value in last.items()
    )


def curves(history: Mapping[str, Array], best: int | None = None) -> Beside:
    """Loss and accuracy over the epochs so far, of which there is at least one."""
    return Beside(learning.of_run(learning.of_history(history, best=best)))
