"""The explanation of a run: with and without its parts, sound, safe, small and in time."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.report.explanations import chapters_of, explained_run, explanation_of, page_of, real
from tests.report.page_checks import Page, assert_sound
from tests.report.run_folders import HOSTILE, MakeRun

from firstlight import report
from firstlight.errors import RunError
from firstlight.records.explanation import EXPLANATION
from firstlight.records.run_folder import RunFolder

ANCHORS = ["layers", "looks", "neighbourhoods", "nearest"]


ODD: dict[str, dict[str, Any]] = {
    "plain": {},
    "two classes": {"class_names": ("no", "yes")},
    "a hundred classes": {"class_names": tuple(f"species {k}" for k in range(100)), "test": 300, "points": 300},
    "colour": {"channels": 3, "side": 32},
    "large images": {"channels": 3, "side": 200},
    "dense net": {"dense": True},
    "no mistakes": {"skill": 99.0},
    "hostile names": {"class_names": HOSTILE},
    "one point": {"points": 1},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_every_page_with_an_explanation_is_sound(make_run: MakeRun, odd: dict[str, Any]) -> None:
    page = assert_sound(page_of(explained_run(make_run, **odd)))
    assert [attributes["id"] for attributes in page.all("section")] == ANCHORS


def test_the_sections_stand_in_the_report(make_run: MakeRun) -> None:
    page = assert_sound(report.render_html(explained_run(make_run)))
    anchors = [attributes["id"] for attributes in page.all("section")]
    assert anchors[-6:] == [*ANCHORS, "reproduce", "questions"]
    assert "firstlight explain" not in page.text


ABSENT: dict[str, Any] = {
    "activity": (),
    "feature_maps": (),
    "filters": None,
    "attributions": (),
    "maximizing_images": (),
    "embeddings": (),
    "mistakes": (),
    "label_issues": (),
}


@pytest.mark.parametrize("name", ABSENT)
def test_every_part_may_be_absent(make_run: MakeRun, name: str) -> None:
    run = explained_run(make_run, changes={name: ABSENT[name]})
    missing = {"embeddings": "neighbourhoods"}.get(name)
    assert list(chapters_of(run)) == [anchor for anchor in ANCHORS if anchor != missing]


def test_without_any_part_a_section_is_left_out(make_run: MakeRun) -> None:
    run = explained_run(make_run, changes=ABSENT)
    assert list(chapters_of(run)) == ["nearest"], "the run's own samples hold images of confused pairs"
    changes = {**ABSENT, "attributions": explanation_of(run).attributions}
    assert list(chapters_of(explained_run(make_run, "attributions", changes=changes))) == ["looks", "nearest"]


def test_without_an_explanation_the_command_is_told(make_run: MakeRun) -> None:
    run = make_run("it's a run")
    assert chapters_of(run) == {}
    assert "firstlight explain 'it'\"'\"'s a run'" in Page(report.render_html(run)).text


def test_hostile_names_stay_text(make_run: MakeRun) -> None:
    text = page_of(explained_run(make_run, class_names=HOSTILE))
    for name in HOSTILE[:2]:
        assert name not in text
    page = Page(text)
    assert "alert(1)" not in "".join(code for attributes, code in page.scripts if "type" not in attributes)
    assert not any("onerror" in attributes for _, attributes in page.elements)


@pytest.mark.slow
def test_a_whole_page_is_small_and_quick(make_run: MakeRun) -> None:
    """10,000 test images in ten classes, 2,000 points on each of three maps, and noise, which no PNG makes smaller."""
    names = tuple(f"class {k}" for k in range(10))
    run = make_run(class_names=names, test=10_000, side=28)
    found = explanation_of(run, points=2000, methods=("pca", "t-sne", "umap"))
    pixels = np.random.default_rng(1).integers(0, 256, (2000, 28, 28, 1), dtype=np.uint8)
    replace(found, embeddings=tuple(replace(plane, thumbnails=pixels) for plane in found.embeddings)).write(run)
    run = RunFolder.open(run.path)
    began = time.process_time()  # the suite shares its machine
    text = report.render_html(run)
    assert time.process_time() - began < 10
    assert len(text.encode()) < 5_000_000


def test_an_explanation_of_other_classes_is_refused(make_run: MakeRun) -> None:
    run = make_run()
    found = explanation_of(run)
    plane, look = found.embeddings[0], found.attributions[0]
    for changed in (
        {"embeddings": (replace(plane, labels=plane.labels + 1),)},
        {"embeddings": (replace(plane, in_map=replace(plane.in_map, by_class=(0.5,))),)},
        {"attributions": (replace(look, probabilities=real([0.5, 0.5])),)},
        {"attributions": (replace(look, target=3),)},
        {"label_issues": (replace(found.label_issues[0], suggested=-1),)},
        {"class_names": ("cat", "dog")},
    ):
        replace(found, **changed).write(run)
        with pytest.raises(RunError, match=r"(class|classes).*firstlight explain"):
            report.render_html(RunFolder.open(run.path))
    (run.path / EXPLANATION).write_bytes(b"no archive")
    with pytest.raises(RunError, match="damaged"):
        report.render_html(RunFolder.open(run.path))
