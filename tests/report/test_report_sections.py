"""What a report says of a run: its notes, its captions, its pictures, and the errors of runs that have none."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.report.page_checks import Page, assert_sound
from tests.report.run_folders import MakeRun

import firstlight as fl
from firstlight import report
from firstlight.errors import RunError
from firstlight.evaluation import Evaluation, measure
from firstlight.models import Model
from firstlight.records import run_folder
from firstlight.records.run import Layer, read
from firstlight.report import captions, pictures, reasons
from firstlight.report.document import Beside, Chart, Document, ImageGrid, Text
from firstlight.report.notes import notes
from firstlight.report.pages import run as page
from firstlight.types import Predictions


def certain(pairs: dict[tuple[int, int], int], classes: int) -> Evaluation:
    """The evaluation of answers counted by (true, predicted)."""
    labels = np.repeat([true for true, _ in pairs], list(pairs.values()))
    predicted = np.repeat([answer for _, answer in pairs], list(pairs.values()))
    p = np.eye(classes, dtype=np.float32)[predicted]
    return measure(Predictions(np.arange(len(labels)).astype(str), labels, p), [f"c{k}" for k in range(classes)], 1.0)


def section(document: Document, anchor: str) -> tuple[object, ...]:
    return next(s.blocks for s in document.sections if s.anchor == anchor)


def test_verdict_names_the_trivial_answer(make_run: MakeRun) -> None:
    record = read(make_run(skill=99.0))
    assert captions.verdict(record) == (
        "lenet5 is right on all 60 test images. It had never seen them; always answering “cat”, the most frequent "
        "class, would be right on 33.3\u202f%."
    )


def test_verdict_does_not_call_leaked_images_unseen(make_run: MakeRun) -> None:
    record = read(make_run(data={"checks": {"duplicates_across": {"train-test": 12}}}))
    assert "never seen" not in captions.verdict(record)
    assert "12 of them are also among its training images" in captions.verdict(record)


def test_warnings_come_first_with_their_counts(make_run: MakeRun) -> None:
    found = {
        "checks": {
            "duplicates_within": {"train": 3, "test": 0},
            "duplicates_across": {"train-test": 12, "train-validation": 1, "validation-test": 0},
            "conflicting_labels": 2,
            "missing_classes": {"test": ["dog"]},
        },
        "verified": False,
        "files": [{"name": "t10k.gz", "verified": False}, {"name": "train.gz", "verified": True}],
        "set_aside": {f"{k}.png": "truncated" for k in range(5)},
    }
    texts = notes(read(make_run(data=found, status="interrupted", epochs=3)))
    warnings = [text.text for text in texts if text.tone == "warning"]
    assert [text.tone for text in texts] == ["warning"] * len(warnings) + ["note"] * (len(texts) - len(warnings))
    assert warnings == [
        "The run was interrupted after 3 epochs of 10. The numbers are those of what it had learnt by then.",
        "12 images of the test split are also in the train split, pixel for pixel. The test accuracy may be flattered.",
        "1 image of the validation split is also in the train split, pixel for pixel. Selection may be flattered.",
        "Some images occur more than once in their own split: 3 in train.",
        "2 images have an exact copy with another label.",
        "The test split has no images of dog: nothing here tells how these are recognized.",
        "Not verified: t10k.gz. The checksum is not the published one, so these may not be the images that others mean "
        "by this name.",
        "5 files could not be read and had to be set aside: 0.png (truncated), 1.png (truncated), 2.png (truncated) "
        "and 2 others.",
    ]


def test_a_clean_run_has_notes_but_no_warnings(make_run: MakeRun) -> None:
    texts = notes(read(make_run(status="stopped early")))
    assert {text.tone for text in texts} == {"note"}
    said = " ".join(text.text for text in texts)
    assert "Selection was by validation: the weights are those of epoch 3, the best by validation loss." in said
    assert "The test images were measured once, after that choice." in said
    assert "Training stopped early, after 4 epochs of 10" in said


def test_unequal_classes_are_noted(make_run: MakeRun) -> None:
    record = read(make_run())
    uneven = replace(record, test=certain({(0, 0): 90, (1, 1): 8, (1, 0): 2}, classes=2))
    assert any("The classes are unequal: from 10 to 90 test images" in text.text for text in notes(uneven))


def said_of(blocks: tuple[object, ...]) -> str:
    """The headings and captions of a section."""
    return " ".join(getattr(block, "text", "") or getattr(block, "caption", "") for block in blocks)


def test_the_classes_are_drawn_once_where_nothing_changed_them(make_run: MakeRun) -> None:
    record = read(make_run())
    (beside,) = [block for block in section(page.document(record), "images") if isinstance(block, Beside)]
    assert [chart.description for chart in beside.blocks if isinstance(chart, Chart)] == [
        f"Images per class of the {split} split." for split in ("train", "validation", "test")
    ]
    assert "Sampling" not in " ".join(text.text for text in notes(record))
    assert "weight of its class" not in " ".join(text.text for text in notes(record))


BEFORE = {
    "class_names": ["cat", "dog", "bird", "fish"],
    "counts": {"train": [40, 40, 40, 9], "validation": [10, 10, 10, 2], "test": [20, 20, 20, 4]},
}


def test_classes_that_were_left_out_are_shown_before_and_after(make_run: MakeRun) -> None:
    record = read(make_run(data={"before": BEFORE}))
    blocks = section(page.document(record), "images")
    before, after = [block for block in blocks if isinstance(block, Beside)]
    assert [len(row.blocks) for row in (before, after)] == [3, 3]
    texts = said_of(blocks)
    assert "Before: the classes as they came" in texts
    assert "After: the classes as they are used" in texts
    assert "4 classes became 3; 15 of 225 images were left out." in texts
    assert "fish" in json.dumps(before.blocks[0].spec)  # type: ignore[union-attr]
    assert "fish" not in json.dumps(after.blocks[0].spec)  # type: ignore[union-attr]


def test_balanced_sampling_and_class_weights_are_told(make_run: MakeRun) -> None:
    counts = {
        split: {"images": sum(each), "counts": each, "ids": [f"{split}/{i}" for i in range(sum(each))]}
        for split, each in {"train": [90, 24, 6], "test": [20, 20, 20]}.items()
    }
    record = read(make_run("drawn", data={"splits": counts, "drawn": [40, 40, 40]}))
    blocks = section(page.document(record), "images")
    texts = said_of(blocks)
    assert "After balanced sampling: what an epoch draws" in texts
    assert "each image of bird, the rarest class, 6.7 times, and 44\u202f% of those of cat" in texts
    pair = [block for block in blocks if isinstance(block, Beside)][-1].blocks
    domains = [chart.spec["encoding"]["x"]["scale"]["domain"] for chart in pair]  # type: ignore[union-attr]
    assert domains == [[0, 90], [0, 90]], "on one scale"
    assert "Sampling was balanced." in " ".join(text.text for text in notes(record))
    weighted = read(make_run("weighted", data={"class_weights": [0.5, 1.0, 3.25]}))
    said = " ".join(text.text for text in notes(weighted))
    assert "the weight of its class: cat 0.5, dog 1 and bird 3.25." in said
    assert "Validation and test loss are not weighted" in said
    for each in (record, weighted):
        assert_sound(report.write(each.run).read_text())


def test_pictures_show_the_answer_of_the_same_id(make_run: MakeRun) -> None:
    run = make_run()
    record = read(run)
    grid = pictures.answers(record)
    assert isinstance(grid, ImageGrid)
    assert len(grid.pictures) == 25
    for picture, pixels, name in zip(grid.pictures, run.samples["test"].pixels, run.samples["test"].ids, strict=False):
        row = list(record.predictions.ids).index(name)
        np.testing.assert_array_equal(picture.pixels, pixels)
        assert picture.text == record.class_names[record.predictions.predicted[row]]
        assert picture.right == record.predictions.correct[row]
        assert picture.right or f"true: {record.class_names[record.predictions.labels[row]]}" in picture.detail


def test_mistakes_are_wrong_and_unknown_samples_are_left_out(make_run: MakeRun) -> None:
    record = read(make_run(skill=0.5))
    grid = pictures.mistakes(record)
    assert isinstance(grid, ImageGrid)
    assert len(grid.pictures) == pictures.MISTAKES
    assert not any(picture.right for picture in grid.pictures)
    p = record.predictions
    others = replace(record, predictions=Predictions(np.char.add(p.ids, "?"), p.labels, p.probabilities))
    assert isinstance(pictures.mistakes(others), Text)
    assert isinstance(pictures.answers(others), Text)


def test_no_mistakes_are_said_in_words(make_run: MakeRun) -> None:
    said = pictures.mistakes(read(make_run(skill=99.0)))
    assert isinstance(said, Text)
    assert "no mistakes" in said.text


def test_samples_spread_over_the_classes(make_run: MakeRun) -> None:
    record = read(make_run(class_names=tuple("abcdefgh")))
    for grid in pictures.samples(record):
        assert {picture.text for picture in grid.pictures} == set("abcdefgh")
        assert [p.text for p in grid.pictures] == sorted(p.text for p in grid.pictures)


def test_without_validation_the_last_epoch_is_measured_and_none_is_best(make_run: MakeRun) -> None:
    run = make_run(validation=False)
    document = page.document(read(run))
    said = " ".join(text.text for text in section(document, "notes") if isinstance(text, Text))
    assert (
        "Measured were the weights of the last epoch (4). The test images were measured once, after training." in said
    )
    shown = Page(report.render_html(run)).text
    shown = shown[: shown.rindex("How to reproduce it")]  # there the experiment file says what it says
    assert "Weights kept last epoch" in shown
    assert "weights of the last" in shown
    for absent in ("best by", "best: ", "Early stopping", "validation loss", "Selection was"):
        assert absent not in shown


def test_the_last_weights_are_not_called_the_best(make_run: MakeRun) -> None:
    run = make_run(restore_best=False)
    record = read(run)
    assert captions.verdict(record).endswith(
        "Measured were the weights of the last epoch (4); the best by validation loss was epoch 3."
    )
    assert captions.epochs(record) == "4 of 10, best 3, weights of 4"
    said = " ".join(text.text for text in notes(record))
    assert "Measured were the weights of the last epoch (4); the best by validation loss was epoch 3." in said
    assert "Selection was by validation" not in said
    text = report.render_html(run)
    assert "best: epoch 3 (not kept)" in text
    assert "best: 3, kept: 4" in Page(text).text


def test_a_diverged_run_says_so(make_run: MakeRun) -> None:
    because = "The validation loss became nan after epoch 5. Try a tenth of the learning rate."
    record = read(make_run(status="diverged", result={"stopped_because": because}))
    assert captions.verdict(record).startswith("Training broke off, as its loss was no longer finite. ")
    assert captions.verdict(record).endswith("Measured were the weights of epoch 3, the best by validation loss.")
    assert notes(record)[0] == Text(
        f"Training diverged after 4 epochs of 10: its loss was no longer finite. {because} The numbers are those of "
        "the weights of epoch 3, the best by validation loss: what was learnt before, not what was asked for.",
        tone="warning",
    )
    assert captions.epochs(record) == "4 of 10, best 3, diverged"


def test_a_run_without_a_complete_epoch_has_no_curves(make_run: MakeRun) -> None:
    record = read(make_run(status="interrupted", epochs=0))
    document = page.document(record)
    (said,) = section(document, "learning")
    assert isinstance(said, Text)
    assert said.text == "Training ended within the first epoch, so there are no curves."
    assert notes(record)[0].text.startswith("The run was interrupted in its first epoch of 10.")
    assert captions.verdict(record).endswith("Measured were the weights that a part of the first epoch had made.")
    assert any("the weights that a part of the first epoch had made" in text.text for text in notes(record))


@pytest.mark.parametrize("losses", [(np.nan,) * 4, (1.0, 0.5, np.inf, np.nan), (0.9, 0.5, 2.0**101, 3.6e30)])
@pytest.mark.parametrize("validation", [True, False])
def test_odd_losses_are_drawn(make_run: MakeRun, losses: tuple[float, ...], validation: bool) -> None:
    run = make_run(losses=losses, validation=validation)
    page = assert_sound(report.render_html(run))
    wide = bool(np.nanmax([0, *losses]) == 3.6e30)
    assert ("its axis is logarithmic" in page.text) == wide


def test_every_chart_has_a_description(make_run: MakeRun) -> None:
    document = page.document(read(make_run()))
    charts = [b for s in document.sections for b in s.blocks if isinstance(b, Chart)]
    assert charts
    assert all(chart.description and chart.caption for chart in charts)


def test_a_run_without_a_result_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    (run.path / run_folder.RESULT).unlink()
    with pytest.raises(RunError, match="still training, or it was cut off"):
        read(run)


def test_a_run_without_predictions_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    (run.path / run_folder.PREDICTIONS).unlink()
    with pytest.raises(RunError, match=r"has no predictions\.npz"):
        read(run)


def test_a_run_without_test_predictions_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    run_folder.write_predictions(run.path, {"validation": run.predictions["validation"]})
    with pytest.raises(RunError, match="no evaluation of test images"):
        read(run_folder.RunFolder.open(run.path))


def test_a_damaged_result_is_an_error(make_run: MakeRun) -> None:
    with pytest.raises(RunError, match=r"result\.json is damaged: it has no 'test\.images'"):
        read(make_run(result={"test": {"accuracy": 0.5}}))


def break_json(run: run_folder.RunFolder, name: str, changes: dict[str, Any]) -> run_folder.RunFolder:
    """Change keys of a record, or remove those that become None."""
    record = json.loads((run.path / name).read_text()) | changes
    (run.path / name).write_text(json.dumps({key: value for key, value in record.items() if value is not None}))
    return run_folder.RunFolder.open(run.path)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        (run_folder.DATA, {"name": None}, r"data\.json is damaged: it has no 'name'"),
        (run_folder.DATA, {"splits": 5}, r"data\.json is damaged: splits: .*dictionary; received 5"),
        (run_folder.DATA, {"splits": {"train": {}}}, r"data\.json is damaged: it has no 'splits\.train\.images'"),
        (
            run_folder.DATA,
            {"splits": {"train": {"images": 1, "counts": [1], "ids": ["a"]}}},
            r"splits\.train\.counts has 1 numbers for 3 classes",
        ),
        (run_folder.DATA, {"drawn": [1, 2]}, r"data\.json is damaged: drawn has 2 numbers for 3 classes"),
        (run_folder.DATA, {"class_weights": 2}, r"data\.json is damaged: class_weights: .*list; received 2"),
        (
            run_folder.DATA,
            {"before": {"class_names": ["a"], "counts": {"train": [1, 2]}}},
            r"before: counts\.train has 2 numbers for 1 classes",
        ),
        (run_folder.DATA, {"before": {"counts": {}}}, r"data\.json is damaged: it has no 'before\.class_names'"),
        (run_folder.MODEL, {"class_names": None}, r"model\.json is damaged: it has no 'class_names'"),
        (
            run_folder.MODEL,
            {"class_names": ["a", "b", "c"]},
            r"class_names of model\.json are not those of result\.json",
        ),
        (run_folder.MODEL, {"summary": None}, r"model\.json is damaged: it has no 'summary'"),
    ],
)
def test_a_record_that_lacks_something_is_an_error(
    make_run: MakeRun, name: str, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(RunError, match=says):
        read(break_json(make_run(), name, changes))


def test_an_empty_record_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    (run.path / run_folder.DATA).write_text('{"format": 1}')
    with pytest.raises(RunError, match=r"data\.json is damaged: it has no '"):
        read(run)


@pytest.mark.parametrize("name", [run_folder.SAMPLES, run_folder.PREDICTIONS])
def test_other_arrays_are_an_error(make_run: MakeRun, name: str) -> None:
    run = make_run()
    np.savez(run.path / name, **{"test.other": np.zeros(3)})
    with pytest.raises(RunError, match=rf"{name} is damaged: it has no "):
        read(run)


def test_samples_of_other_classes_are_an_error(make_run: MakeRun) -> None:
    run = make_run()
    arrays = {"pixels": np.zeros((1, 8, 8, 1), np.uint8), "labels": np.array([9]), "ids": np.array(["a"])}
    np.savez(run.path / run_folder.SAMPLES, **{f"test.{key}": array for key, array in arrays.items()})
    with pytest.raises(RunError, match=r"samples\.npz is damaged\. Labels must lie in 0\.\.2"):
        read(run)


def test_a_history_without_validation_of_a_validated_run_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    run_folder.write_history(run.path, ["epoch", "loss", "accuracy"], [{"epoch": 1, "loss": 1, "accuracy": 1}])
    with pytest.raises(RunError, match=r"history\.csv is damaged: it has no column 'val_loss'"):
        read(run)


def test_files_of_different_runs_are_an_error(make_run: MakeRun) -> None:
    other = make_run("other", test=30)
    with pytest.raises(RunError, match="belong to different runs"):
        read(make_run(result={"test": other.result["test"]}))


def test_the_questions_are_answered_for_the_net_of_the_run() -> None:
    def said(model: Model) -> str:
        return reasons.by_size([Layer(**vars(row)) for row in model.summary()])

    lenet = said(fl.models.lenet5((28, 28, 1), 10))
    assert lenet.startswith("Yes: dense1, with ")
    assert "conv1, conv2 and conv3 use one kernel everywhere" in lenet
    assert said(fl.models.mlp_128((28, 28, 1), 10)).startswith("Yes: dense1, ")
    assert said(fl.models.resnet20((32, 32, 3), 10)).startswith("No: ")


def test_what_changes_with_the_size_is_what_is_named() -> None:
    for build in (fl.models.lenet5, fl.models.mlp_128, fl.models.softmax_regression):
        small, large = (build((side, side, 1), 10).summary() for side in (28, 36))
        changed = [a.name for a, b in zip(small, large, strict=True) if a.parameters != b.parameters]
        said = reasons.by_size([Layer(**vars(row)) for row in small])
        assert changed
        assert all(name in said.partition(", with")[0] for name in changed)
