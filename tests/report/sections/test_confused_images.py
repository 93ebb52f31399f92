"""Images of confused pairs of classes."""

from __future__ import annotations

from tests.report.explanations import chapters_of, explained_run, grids
from tests.report.run_folders import MakeRun

from firstlight.records.run import read


def test_confused_pairs_show_their_images_by_id(make_run: MakeRun) -> None:
    run = explained_run(make_run)
    record = read(run)
    predictions = record.predictions
    row = {str(name): n for n, name in enumerate(predictions.ids)}
    pairs = [grid for grid in grids(chapters_of(run)["nearest"]) if " taken for " in grid.caption]
    assert pairs
    counts = []
    for grid in pairs:
        true, predicted = grid.caption.partition(":")[0].split(" taken for ")
        counts.append(record.test.confusion[run.class_names.index(true), run.class_names.index(predicted)])
        assert f": {counts[-1]} of 20 test images." in grid.caption
        confidences = []
        for picture in grid.pictures:
            assert picture.image is not None
            n = row[picture.image[1]]
            confidences.append(predictions.confidence[n])
            assert run.class_names[predictions.labels[n]] == true
            assert run.class_names[predictions.predicted[n]] == predicted
        assert confidences == sorted(confidences, reverse=True)
    assert counts == sorted(counts, reverse=True)
