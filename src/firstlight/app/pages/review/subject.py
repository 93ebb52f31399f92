"""What is reviewed: the images of a run, what nets that were not trained on them say of them, and the doubts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from firstlight.app.index import Index, Kept
from firstlight.app.pages.review.nearest import NearestImages
from firstlight.app.server.errors import UnknownError
from firstlight.app.summary import Entry, fingerprint
from firstlight.errors import FirstlightError, RunError
from firstlight.records import label_issues, out_of_fold
from firstlight.records.explanation import EXPLANATION, Explanation
from firstlight.records.label_issues import LABEL_ISSUES, LabelIssues
from firstlight.records.out_of_fold import OUT_OF_FOLD, OutOfFold
from firstlight.types import Array, Dataset, Images, Predictions

READY = 4  # subjects that are kept
NOTE_OF_FOLDS = "Suspected label errors among all images, each by the model of the fold that was not trained on it."
SECONDED = 0.5  # the share of neighbours from which on no other class has more of them


@dataclass(frozen=True)
class Doubt:
    """A label that may be wrong.

    row               into the subject's predictions
    given, suggested  the label, and the class that the image seems to be
    margin            the probability of `suggested` less that of `given`
    neighbours_agree  the share of the nearest images that are labelled `suggested`; None where that is not known
    nearest           ids and labels of these images, the nearest first, where the record of the doubt has them
    """

    row: int
    given: int
    suggested: int
    margin: float
    neighbours_agree: float | None = None
    nearest: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Subject:
    """A run under review, or the folds of a split.

    key, name    its id, and what it is called
    run          the id of the run from which images are had again: of folds, the first one
    classes      of the net, which predictions and doubts number
    labels       the classes that an image can be given: those of the images as they were loaded
    predictions  of images that the net was not trained on, and `splits` str (N,) the split, or the fold, of each
    doubts       the most doubtful first
    folds        how many there are; None of a run
    note         what is to be said of where the doubts come from
    """

    key: str
    name: str
    run: str
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    predictions: Predictions
    splits: Array
    doubts: tuple[Doubt, ...]
    folds: int | None
    note: str

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Where the predictions of each image are, by its id."""
        return {sample: row for row, sample in enumerate(self.predictions.ids.tolist())}

    @cached_property
    def doubted(self) -> Mapping[int, Doubt]:
        """The doubt about the image of a row."""
        return {doubt.row: doubt for doubt in self.doubts}


@dataclass(frozen=True, eq=False)
class Everything:
    """All images of a run as it learnt them: ids and splits str (N,), labels int64 (N,); `rows` of their predictions.

    A row of -1 is of an image that the net was trained on.
    """

    ids: Array
    splits: Array
    labels: Array
    rows: Array


@dataclass(frozen=True, eq=False)
class Located:
    """One image as it was loaded, with its owner's label."""

    images: Images

    @property
    def label(self) -> str:
        return self.images.class_names[int(self.images.labels[0])]

    @property
    def pixels(self) -> Array:
        found: Array = self.images.pixels[0]
        return found


class Subjects:
    """The runs under review, each read once; `corrections` is where the user wants decisions to go, if anywhere."""

    def __init__(self, index: Index, corrections: Path | None = None) -> None:
        self.index, self.corrections = index, corrections
        self._subjects: Kept[Subject] = Kept(READY)
        self._everything: Kept[Everything] = Kept(READY)
        self.nearest = NearestImages(index)
        self._places: Kept[Mapping[str, tuple[str, int]]] = Kept(1)

    def get(self, key: str) -> Subject:
        """The run, or the folds, with an id.

        Raises UnknownError where there is none, RunError where it has no predictions yet.
        """
        entry = self.index.any_entry(key)
        if entry.kind == "folds":
            return self._subjects.get(
                key, _times(entry.path, OUT_OF_FOLD, LABEL_ISSUES), lambda: _of_folds(self.index, entry)
            )
        return self._subjects.get(key, self._mark(key), lambda: _of_run(self.index, key))

    def everything(self, subject: Subject) -> Everything:
        """All its images. Raises RunError where they cannot be had any more."""

        def found() -> Everything:
            return _all_tested(subject) if subject.folds else _everything(self.index, subject)

        return self._everything.get(subject.key, subject, found)

    def image(self, subject: Subject, sample: str) -> Located:
        """An image by its id. Raises UnknownError where there is none, RunError where images cannot be had any more."""
        dataset = self.index.dataset(subject.run)
        places = self._places.get(subject.run, dataset, lambda: _places(dataset))
        if sample not in places:
            raise UnknownError(f"There is no image {sample[:200]!r} among those of {subject.name}.")
        split, i = places[sample]
        return Located(dataset.splits[split].take(np.array([i])))

    def _mark(self, key: str) -> object:
        path = self.index.entry(key).path
        return fingerprint(path, all_files=True), _times(path, EXPLANATION)


def _times(folder: Path, *names: str) -> tuple[int, ...]:
    """When files were last changed; 0 where there is none."""
    return tuple((folder / name).stat().st_mtime_ns if (folder / name).is_file() else 0 for name in names)


def _of_folds(index: Index, entry: Entry) -> Subject:
    tested = out_of_fold.read(entry.path)
    runs = {each.path: each.id for each in index.entries() if each.kind == "run"}
    first = runs.get(entry.path / tested.runs[0].folder) if tested else None
    if tested is None or first is None:
        raise RunError(f"{entry.path} has no folds whose images could be reviewed: train them again.")
    record, note = index.run(first).data, NOTE_OF_FOLDS
    try:
        issues = label_issues.read(entry.path)
    except FirstlightError as error:
        issues, note = None, f"{note} {error}"
    else:
        note += "" if issues else f" To have their nearest images asked too: firstlight labels {entry.path}"
    return Subject(
        key=entry.id,
        name=entry.name,
        run=first,
        classes=tested.class_names,
        labels=(record.before or record).class_names,
        predictions=tested.predictions,
        splits=np.array([f"fold {fold}" for fold in tested.folds.tolist()]),
        doubts=_by_probabilities(tested.predictions) if issues is None else _recorded(issues, tested),
        folds=len(tested.runs),
        note=note,
    )


def _by_probabilities(predictions: Predictions) -> tuple[Doubt, ...]:
    from firstlight.explain.label_errors import find_label_issues

    found = find_label_issues(predictions)
    return tuple(Doubt(doubt.index, doubt.given, doubt.suggested, doubt.margin) for doubt in found)


def _recorded(issues: LabelIssues, tested: OutOfFold) -> tuple[Doubt, ...]:
    """The doubts of the record, in its order, but for images that were not tested, as a damaged one may have them."""
    rows = {sample: row for row, sample in enumerate(tested.ids.tolist())}
    return tuple(
        Doubt(
            row=rows[one.id],
            given=one.given,
            suggested=one.suggested,
            margin=one.probabilities[1] - one.probabilities[0],
            neighbours_agree=one.labels.count(one.suggested) / len(one.labels) if one.labels else None,
            nearest=tuple(zip(one.nearest, one.labels, strict=True)),
        )
        for one in issues
        if one.id in rows
    )


def _of_run(index: Index, key: str) -> Subject:
    folder = index.run(key)
    _ = folder.result  # which says what an unfinished run lacks
    parts = {split: found for split, found in folder.predictions.items() if len(found)}
    fields = ((found.ids, found.labels, found.probabilities) for found in parts.values())
    pooled = Predictions(*(np.concatenate(arrays) for arrays in zip(*fields, strict=True)))
    agree = _agreeing(index, key)
    found = [
        replace(doubt, neighbours_agree=agree.get((str(pooled.ids[doubt.row]), doubt.suggested)))
        for doubt in _by_probabilities(pooled)
    ]
    # Those that the neighbours second go first.
    found.sort(key=lambda doubt: ((doubt.neighbours_agree or 0) <= SECONDED, -doubt.margin))
    splits = " and ".join(parts)
    return Subject(
        key=key,
        name=index.entry(key).name,
        run=key,
        classes=folder.class_names,
        labels=(folder.data.before or folder.data).class_names,
        predictions=pooled,
        splits=np.repeat([*parts], [len(found) for found in parts.values()]),
        doubts=tuple(found),
        folds=None,
        note=f"Suspected label errors among the {splits} images, on which the model was not trained. In its training "
        "images it would have fitted wrong labels too.",
    )


def _agreeing(index: Index, key: str) -> dict[tuple[str, int], float]:
    """The share of the nearest training images that bear the suggested class, where the run is explained."""
    try:
        explanation: Explanation | None = index.explanation(key)
    except FirstlightError:  # the run's page says what is wrong with it
        return {}
    found = explanation.label_issues if explanation else ()
    return {(issue.id, issue.suggested): issue.neighbours_agree for issue in found}


def _all_tested(subject: Subject) -> Everything:
    """Of folds, the images are those that were tested."""
    predictions = subject.predictions
    return Everything(predictions.ids, subject.splits, predictions.labels, np.arange(len(predictions)))


def _everything(index: Index, subject: Subject) -> Everything:
    record = index.run(subject.run).data
    splits = {split: index.images(subject.run, split) for split in record.splits}
    dropped = [row for row in (record.corrections.rows if record.corrections else ()) if row.kind == "dropped"]
    dropped = [row for row in dropped if row.old in subject.classes]
    ids = np.concatenate([*(images.ids for images in splits.values()), np.array([row.id for row in dropped], str)])
    where = [split for split, images in splits.items() for _ in range(len(images))]
    labels = [np.array([subject.classes.index(row.old) for row in dropped], np.int64)]
    return Everything(
        ids=ids,
        splits=np.array([*where, *(row.split for row in dropped)]),
        labels=np.concatenate([*(images.labels for images in splits.values()), *labels]),
        rows=np.array([subject.rows.get(sample, -1) for sample in ids.tolist()]),
    )


def _places(dataset: Dataset) -> dict[str, tuple[str, int]]:
    return {
        sample: (split, i) for split, images in dataset.splits.items() for i, sample in enumerate(images.ids.tolist())
    }
