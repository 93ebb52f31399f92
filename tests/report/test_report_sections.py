"""What a report says of a run: its notes, its captions, its pictures, and the errors of runs that have none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from run_folders import MakeRun

from firstlight import runs
from firstlight.errors import RunError
from firstlight.evaluation import Evaluation, measure
from firstlight.report import captions, pictures, sections
from firstlight.report.content import Chart, Document, ImageGrid, Text
from firstlight.report.notes import notes
from firstlight.report.record import read
from firstlight.types import Predictions


def certain(pairs: dict[tuple[int, int], int], classes: int) -> Evaluation:
    """The evaluation of answers counted by (true, predicted)."""
    labels = np.repeat([true for true, _ in pairs], list(pairs.values()))
    predicted = np.repeat([answer for _, answer in pairs], list(pairs.values()))
    p = np.eye(classes, dtype=np.float32)[predicted]
    return measure(Predictions(np.arange(len(labels)).astype(str), labels, p), [f"c{k}" for k in range(classes)], 1.0)


def section(document: Document, anchor: str) -> tuple[object, ...]:
    return next(s.blocks for s in document.sections if s.anchor == anchor)


def test_confusion_caption_names_true_then_predicted() -> None:
    said = captions.most_confused(certain({(0, 0): 7, (0, 1): 3, (1, 1): 9, (1, 0): 1}, classes=2))
    assert said == "c0 is most often taken for c1: 3 of 10."
    assert captions.most_confused(certain({(0, 0): 7, (1, 1): 3}, classes=2)) == "No test image was mistaken."


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


def test_calibration_caption_tells_boldness() -> None:
    assert "overconfident" in captions.reliability(certain({(0, 0): 7, (0, 1): 3, (1, 1): 5}, classes=2))
    assert "about as sure as it is right" in captions.reliability(certain({(0, 0): 7, (1, 1): 5}, classes=2))


def test_warnings_come_first_with_their_counts(make_run: MakeRun) -> None:
    found = {
        "checks": {
            "duplicates_within": {"train": 3, "test": 0},
            "duplicates_across": {"train-test": 12, "train-validation": 1, "validation-test": 0},
            "conflicting_labels": 1,
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
        "1 image occurs again with a different label.",
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
    assert "The test images were read once, after that choice." in said
    assert "Training stopped early, after 4 epochs of 10" in said


def test_unequal_classes_are_noted(make_run: MakeRun) -> None:
    record = read(make_run())
    uneven = replace(record, test=certain({(0, 0): 90, (1, 1): 8, (1, 0): 2}, classes=2))
    assert any("The classes are unequal: from 10 to 90 test images" in text.text for text in notes(uneven))


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


def test_without_validation_train_stands_alone(make_run: MakeRun) -> None:
    document = sections.document(read(make_run(validation=False)))
    said = " ".join(text.text for text in section(document, "notes") if isinstance(text, Text))
    assert "The weights are those of the last epoch" in said


def test_every_chart_has_a_description(make_run: MakeRun) -> None:
    document = sections.document(read(make_run()))
    charts = [b for s in document.sections for b in s.blocks if isinstance(b, Chart)]
    assert charts
    assert all(chart.description and chart.caption for chart in charts)


def test_a_run_without_a_result_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    (run.path / runs.RESULT).unlink()
    with pytest.raises(RunError, match="still training, or it was cut off"):
        read(run)


def test_a_run_without_predictions_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    (run.path / runs.PREDICTIONS).unlink()
    with pytest.raises(RunError, match=r"has no predictions\.npz"):
        read(run)


def test_a_run_without_test_predictions_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    runs.write_predictions(run.path, {"validation": run.predictions["validation"]})
    with pytest.raises(RunError, match="no evaluation of test images"):
        read(runs.RunFolder.open(run.path))


def test_a_damaged_result_is_an_error(make_run: MakeRun) -> None:
    with pytest.raises(RunError, match=r"result\.json is damaged\. This is no evaluation"):
        read(make_run(result={"test": {"accuracy": 0.5}}))


def test_files_of_different_runs_are_an_error(make_run: MakeRun) -> None:
    other = make_run("other", test=30)
    with pytest.raises(RunError, match="belong to different runs"):
        read(make_run(result={"test": other.result["test"]}))
