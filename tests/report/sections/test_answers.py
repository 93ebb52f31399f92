"""Answers on test images: pictures, bars and words are those of the run's predictions."""

from __future__ import annotations

import numpy as np
from tests.report.page_checks import Page, assert_sound
from tests.report.run_folders import HOSTILE, MakeRun

from firstlight import report
from firstlight.records.group import of_runs
from firstlight.records.run import RunRecord, read
from firstlight.report.format import percent
from firstlight.report.sections.answers import LIKELIEST, PANELS, Answers, numbers, panels_caption


def of(record: RunRecord) -> Answers:
    return numbers(of_runs([record])[0])


def test_half_of_the_sample_and_half_mistakes(make_run: MakeRun) -> None:
    record = read(make_run(class_names=tuple(f"class {k}" for k in range(8)), test=160, skill=1.0))
    shown = of(record).panels
    assert len(shown) == PANELS
    samples = record.samples["test"]
    for panel, pixels in zip(shown[: PANELS // 2], samples.pixels, strict=False):
        assert (panel.pixels == pixels).all()
    wrong = shown[PANELS // 2 :]
    assert not any(panel.right for panel in wrong)
    confidences = [panel.bars[0].share for panel in wrong]
    assert confidences == sorted(confidences)


def test_a_panel_tells_what_the_predictions_say(make_run: MakeRun) -> None:
    record = read(make_run(class_names=tuple(f"class {k}" for k in range(8)), test=160, skill=1.0))
    p, samples, names = record.predictions, record.samples["test"], record.class_names
    row = {str(name): i for i, name in enumerate(p.ids)}
    for panel in of(record).panels:
        [n] = [i for i, pixels in enumerate(samples.pixels) if (pixels == panel.pixels).all()]
        at = row[str(samples.ids[n])]
        likely, true = np.argsort(-p.probabilities[at]), int(p.labels[at])
        answer = int(likely[0])
        assert panel.right == (answer == true)
        assert panel.text == f"{names[answer]}, {percent(float(p.probabilities[at, answer]), 0)}; true: {names[true]}"
        expected = [int(k) for k in likely[:LIKELIEST]]
        if true not in expected:
            expected[-1] = true
        assert [bar.label for bar in panel.bars] == [names[k] for k in expected]
        assert [bar.share for bar in panel.bars] == [float(p.probabilities[at, k]) for k in expected]
        roles = {bar.label: bar.role for bar in panel.bars}
        assert roles[names[true]] == "true"
        assert roles[names[answer]] == ("true" if panel.right else "wrong")
        assert list(roles.values()).count("other") == LIKELIEST - (1 if panel.right else 2)


def test_without_mistakes_the_sample_fills_up(make_run: MakeRun) -> None:
    found = of(read(make_run(skill=99.0)))
    assert len(found.panels) == PANELS
    assert all(panel.right for panel in found.panels)
    assert "mistakes" not in panels_caption(found)
    assert len(of(read(make_run("few", test=3))).panels) == 3


def test_the_page_marks_the_true_class_and_a_wrong_answer_by_more_than_colour(make_run: MakeRun) -> None:
    run = make_run(class_names=HOSTILE)
    page = assert_sound(report.render_html(run))
    shown = of(read(run)).panels
    classes = [attributes.get("class", "").split() for attributes in page.all("li")]
    drawn = [names for names in classes if names[:1] == ["panel"]]
    assert drawn == [["panel", "right" if panel.right else "wrong"] for panel in shown]
    bars = [names[0] for names in classes if names and names[0] in ("true", "wrong", "other")]
    assert bars == [bar.role for panel in shown for bar in panel.bars]
    text = Page(report.render_html(run)).text
    for panel in shown:
        assert " ".join(f"{'✓' if panel.right else '✗'} {panel.text}".split()) in text


def test_a_run_without_images_has_no_panels(make_run: MakeRun) -> None:
    record = read(make_run())
    record.samples.pop("test")  # type: ignore[attr-defined]
    assert of(record).panels == []


def test_pictures_show_the_answer_of_the_same_id(make_run: MakeRun) -> None:
    run = make_run()
    record = read(run)
    sample = numbers(of_runs([record])[0]).sample
    assert len(sample) == 25
    for picture, pixels, name in zip(sample, run.samples["test"].pixels, run.samples["test"].ids, strict=False):
        row = list(record.predictions.ids).index(name)
        np.testing.assert_array_equal(picture.pixels, pixels)
        assert picture.text == record.class_names[record.predictions.predicted[row]]
        assert picture.right == record.predictions.correct[row]
        assert picture.right or f"true: {record.class_names[record.predictions.labels[row]]}" in picture.detail
