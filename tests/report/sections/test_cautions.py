"""What a reader must know of a run before believing its numbers: warnings first, then how they came about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.report.run_folders import MakeRun

from firstlight.evaluation import measure
from firstlight.records.run import RunRecord, read
from firstlight.report.document import Text
from firstlight.report.sections.cautions import of_run
from firstlight.types import Predictions


def said(record: RunRecord) -> str:
    return " ".join(text.text for text in of_run(record))


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
    texts = of_run(read(make_run(data=found, status="interrupted", epochs=3)))
    warnings = [text.text for text in texts if text.tone == "warning"]
    assert [text.tone for text in texts] == ["warning"] * len(warnings) + ["note"] * (len(texts) - len(warnings))
    assert warnings == [
        "The run was interrupted after 3 epochs of 10. The numbers are those of the weights at that point. (FL209)",
        "12 images of the test split are also in the train split, pixel for pixel. The test accuracy may be too high. "
        "(FL103)",
        "1 image of the validation split is also in the train split, pixel for pixel. The selection may be biased. "
        "(FL103)",
        "Some images occur more than once in their own split: 3 in train. (FL104)",
        "2 images have an exact copy with another label. (FL105)",
        "The test split has no images of dog: how well these are classified is not known. (FL113)",
        "Not verified: t10k.gz. The checksum is not the published one, or none is known, so these may not be the "
        "images that are known by this name. (FL101)",
        "5 files could not be read and were set aside: 0.png (truncated), 1.png (truncated), 2.png (truncated) "
        "and 2 others. (FL102)",
    ]


def test_a_clean_run_has_notes_but_no_warnings(make_run: MakeRun) -> None:
    texts = of_run(read(make_run(status="stopped early")))
    assert {text.tone for text in texts} == {"note"}
    said = " ".join(text.text for text in texts)
    assert "Selection was by validation: the weights are those of epoch 3, the best by validation loss." in said
    assert "The test images were evaluated once, after that choice." in said
    assert "Training stopped early, after 4 epochs of 10" in said


def test_unequal_classes_are_noted(make_run: MakeRun) -> None:
    labels = np.repeat([0, 1], [90, 10])
    certain = np.eye(2, dtype=np.float32)[np.repeat([0, 1, 0], [90, 8, 2])]
    answers = Predictions(np.arange(100).astype(str), labels, certain)
    record = read(make_run())
    uneven = replace(record, test=measure(answers, ("a", "b"), 1.0))
    assert any("The classes are unequal: from 10 to 90 test images" in text.text for text in of_run(uneven))


def test_class_weights_and_balanced_sampling_are_told(make_run: MakeRun) -> None:
    assert "Sampling" not in said(plain := read(make_run()))
    assert "weight of its class" not in said(plain)
    assert "Sampling was balanced" in said(read(make_run("drawn", data={"drawn": [40, 40, 40]})))
    weighted = said(read(make_run("weighted", data={"class_weights": [0.5, 1.0, 3.25]})))
    assert "the weight of its class: cat 0.5, dog 1 and bird 3.25." in weighted
    assert "Validation and test loss are not weighted" in weighted


def test_which_weights_were_measured_is_told(make_run: MakeRun) -> None:
    alone = said(read(make_run("alone", validation=False)))
    assert (
        "Evaluated were the weights of the last epoch (4). The test images were evaluated once, after training."
        in alone
    )
    last = said(read(make_run("last", restore_best=False)))
    assert "Evaluated were the weights of the last epoch (4); the best by validation loss was epoch 3." in last
    assert "Selection was by validation" not in last


def test_a_diverged_run_says_so(make_run: MakeRun) -> None:
    because = "The validation loss became nan after epoch 5. Try a tenth of the learning rate."
    record = read(make_run(status="diverged", result={"stopped_because": because}))
    assert of_run(record)[0] == Text(
        f"Training diverged after 4 epochs of 10: its loss was no longer finite. {because} The numbers are those of "
        "the weights of epoch 3, the best by validation loss, from before the divergence. (FL208)",
        tone="warning",
    )


def test_a_run_that_a_function_stopped_or_failed_in_says_so(make_run: MakeRun) -> None:
    stopped = said(read(make_run("stopped", status="stopped by on_epoch")))
    assert "Training was stopped by a user's callback, on_epoch, after 4 epochs of 10." in stopped
    because = "A callback raised LookupError: nothing there"
    failed = said(read(make_run("failed", status="interrupted", result={"stopped_because": because})))
    assert f"interrupted after 4 epochs of 10. {because}." in failed


def test_a_run_without_a_complete_epoch_says_so(make_run: MakeRun) -> None:
    record = read(make_run(status="interrupted", epochs=0))
    assert of_run(record)[0].text.startswith("The run was interrupted in its first epoch of 10.")
    assert "the weights that a part of the first epoch had made" in said(record)
