"""The embedding: a point is an image, of which the page shows the pixels."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser
from tests.report.explanations import chapters_of, charts, explained_run, explanation_of, page_of, points
from tests.report.page_checks import Page
from tests.report.run_folders import HOSTILE, MakeRun

from firstlight.report.document import Beside, Table
from firstlight.report.sections import embedding, separation
from firstlight.text import text_width


def test_a_point_knows_its_picture_and_its_classes(make_run: MakeRun) -> None:
    run = explained_run(make_run)
    found = explanation_of(run)
    t_sne, pca = charts(chapters_of(run)["neighbourhoods"])
    assert t_sne.description.startswith("t-SNE of 60 images")
    rows = points(t_sne)
    assert len(rows) == 60
    for row in rows:
        n = row["picture"]
        assert row["class"] == run.class_names[found.embeddings[1].labels[n]]
        assert row["predicted"] == run.class_names[found.embeddings[1].predicted[n]]
        assert row["id"] == found.embeddings[1].ids[n]
        assert all(0 <= row[axis] <= 1000 for axis in "xy")
    assert t_sne.pictures is not None
    np.testing.assert_array_equal(t_sne.pictures, found.embeddings[1].thumbnails)
    page = Page(page_of(run))
    held = page.json("sprites")
    place = next(
        n for n, spec in enumerate(page.json("specs")) if len(spec.get("datasets", {}).get("points", ())) == 60
    )
    assert held["of"] == {str(place): 0, str(place + 1): 0}, "both maps are of the same images, and share their sprite"
    assert len(held["sheets"]) == 1
    assert pca.description.startswith("PCA")


def test_of_many_points_some_are_drawn_and_of_many_classes_some_have_a_colour(make_run: MakeRun) -> None:
    names = tuple(f"species {k}" for k in range(30))
    run = explained_run(make_run, class_names=names, test=90, points=5000)
    section = chapters_of(run)["neighbourhoods"]
    [t_sne, _] = charts(section)
    assert len(points(t_sne)) == embedding.POINTS
    assert "evenly taken from 5,000" in t_sne.caption
    assert "Only the 8 of 30 classes that are misclassified most" in t_sne.caption
    groups = {row["group"] for row in points(t_sne)}
    assert len(groups) == 9
    assert embedding.OTHER in groups
    [beside] = [block for block in section.blocks if isinstance(block, Beside)]
    by_class = beside.blocks[1]
    assert isinstance(by_class, Table)
    assert len(by_class.rows) == separation.ROWS
    assert "18 classes with higher ones are left out" in by_class.caption


def test_names_are_shortened_on_the_plane_as_in_the_legend(make_run: MakeRun) -> None:
    spec = charts(chapters_of(explained_run(make_run, class_names=("no", "long" * 30)))["neighbourhoods"])[0].spec
    [labels] = [one["value"] for one in spec["params"] if "value" in one]
    assert labels[0] == "no"
    assert labels[1].startswith("longlong")
    assert labels[1].endswith("…")
    assert text_width(labels[1], embedding.LETTERS) < embedding.NAME
    rows = [row for values in spec["datasets"].values() for row in values]
    assert {row["name"] for row in rows if "name" in row} == set(labels)


def test_hovering_a_point_shows_its_image_and_a_click_a_class_alone(
    make_run: MakeRun, tmp_path: Path, browser: Browser
) -> None:
    run = explained_run(make_run, class_names=HOSTILE, points=12)
    [chart, _] = charts(chapters_of(run)["neighbourhoods"])
    path = tmp_path / "page.html"
    path.write_text(page_of(run), encoding="utf-8")
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("#neighbourhoods .vega-embed path")
    point = page.query_selector_all('#neighbourhoods .vega-embed path[opacity="0.9"]')[-1]
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible img")
    shown = page.get_attribute("#vg-tooltip-element img", "src")
    said = page.inner_text("#vg-tooltip-element")
    rows = [row for row in points(chart) if row["id"] in said]
    name = page.locator("#neighbourhoods .role-legend text").first
    name.scroll_into_view_if_needed()
    place = name.bounding_box()
    assert place is not None
    page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.wait_for_selector('#neighbourhoods .vega-embed path[opacity="0.06"]')
    alone = len(page.query_selector_all('#neighbourhoods .vega-embed path[opacity="0.9"]'))
    page.close()
    assert errors == []
    assert alone == 12 + sum(row["class"] == HOSTILE[0] for row in points(chart)), "the other map has all of its 12"
    [row] = rows
    assert row["class"] in said
    assert row["predicted"] in said
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode((shown or "").split(",")[1]))).convert("L"))
    assert chart.pictures is not None
    np.testing.assert_array_equal(pixels, chart.pictures[row["picture"], :, :, 0])
