"""What a report says of an explanation: every section with and without its parts, sound, safe, small and in time."""

from __future__ import annotations

import base64
import io
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright
from tests.report.explanations import explained_run, explanation_of, real
from tests.report.page_checks import Page, assert_sound
from tests.report.run_folders import HOSTILE, MakeRun

from firstlight import report
from firstlight.errors import RunError
from firstlight.image_encoding import sprite
from firstlight.records.explanation import (
    EXPLANATION,
    Explanation,
    Filters,
    LayerMaps,
    LayerStatistics,
    Neighbours,
)
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.report import attribution, embedding, explained, feature_maps, neighbours
from firstlight.report.document import Beside, Block, Chart, Document, ImageGrid, Numbers, Section, Table, Text
from firstlight.report.format import UNDEFINED
from firstlight.report.render import colours, html
from firstlight.text import text_width

ANCHORS = ["layers", "looks", "neighbourhoods", "nearest"]


def sections_of(run: RunFolder) -> dict[str, Section]:
    return {section.anchor: section for section in explained.sections(read(run))}


def every(blocks: tuple[Block, ...]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Beside):
            yield from every(block.blocks)


def texts(section: Section) -> str:
    """All that a section says."""
    said = []
    for block in every(section.blocks):
        said += [getattr(block, name) for name in ("text", "caption") if getattr(block, name, "")]
        if isinstance(block, ImageGrid):
            said += [f"{picture.text} {picture.detail}" for picture in block.pictures]
        if isinstance(block, Table):
            said += [" ".join(map(str, row)) for row in block.rows]
    return "\n".join(said)


def grids(section: Section) -> list[ImageGrid]:
    return [block for block in section.blocks if isinstance(block, ImageGrid)]


def charts(section: Section) -> list[Chart]:
    return [block for block in section.blocks if isinstance(block, Chart)]


def points(chart: Chart) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = chart.spec["datasets"]["points"]
    return values


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


def page_of(run: RunFolder) -> str:
    """The sections of an explanation alone, as a page: the whole report takes longer."""
    return html.page(Document("Report of a run", "a run", "", "", Numbers(()), explained.sections(read(run))))


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
    assert list(sections_of(run)) == [
        anchor for anchor in ANCHORS if (name, anchor) != ("embeddings", "neighbourhoods")
    ]


def test_without_any_part_a_section_is_left_out(make_run: MakeRun) -> None:
    run = explained_run(make_run, changes=ABSENT)
    assert list(sections_of(run)) == ["nearest"], "the run's own samples hold images of confused pairs"
    changes = {**ABSENT, "attributions": explanation_of(run).attributions}
    assert list(sections_of(explained_run(make_run, "attributions", changes=changes))) == ["looks", "nearest"]


def test_a_run_without_mistakes_says_so(make_run: MakeRun) -> None:
    section = sections_of(explained_run(make_run, skill=99.0))["nearest"]
    assert texts(section) == "No test image was mistaken."


def test_without_an_explanation_the_command_is_told(make_run: MakeRun) -> None:
    run = make_run("it's a run")
    assert explained.sections(read(run)) == ()
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


# --- what the layers see


def test_feature_maps_are_grids_with_their_dead_channels_named(make_run: MakeRun) -> None:
    section = sections_of(explained_run(make_run))["layers"]
    image, maps, flat, filters = grids(section)
    assert image.pictures[0].text in ("cat", "dog", "bird")
    assert [(picture.text, picture.detail) for picture in maps.pictures] == [
        ("0", ""),
        ("1", "dead"),
        ("2", ""),
        ("3", "dead"),
    ]
    assert "conv1 (Conv2D): 4 maps of 8\u00a0×\u00a08" in maps.caption
    assert flat.pictures[0].text == "dense1"
    assert flat.pictures[0].pixels.shape == (2, 20, 3)
    assert len(filters.pictures) == 4
    assert filters.pictures[0].pixels.shape == (3, 3, 3)


def test_maps_of_a_layer_share_one_scale() -> None:
    quiet = np.stack([np.full((4, 4), value, np.float32) for value in (1, 100)])
    [grid] = [
        b
        for b in feature_maps.maps(bare(feature_maps=(LayerMaps("relu", "ReLU", 2, quiet),)), None)
        if isinstance(b, ImageGrid)
    ]
    dark, bright = (picture.pixels[0, 0].tolist() for picture in grid.pictures)
    assert bright == list(bytes.fromhex(colours.VIRIDIS[-1]))
    assert np.abs(np.array(dark) - list(bytes.fromhex(colours.VIRIDIS[0]))).max() < 10


def bare(**changes: Any) -> Explanation:
    """An explanation with nothing in it."""
    return replace(Explanation("dense1", 50, "test/0", (), (), None, (), (), (), (), (), 1.0), **changes)


def layer(
    name: str = "relu1",
    kind: str = "ReLU",
    units: int = 32,
    dead: int = 0,
    std: float = 1.0,
    saturated: float | None = None,
) -> LayerStatistics:
    return LayerStatistics(name, kind, (units,), 0.5, std, 0.0, 3.5, units, 0.25, tuple(range(dead)), saturated)


def test_the_caption_names_what_is_unusual() -> None:
    assert feature_maps.unusual([layer(dead=12)]) == "12 of 32 units of relu1 are dead."
    assert feature_maps.unusual([layer(dead=1)]) == "1 of 32 units of relu1 is dead."
    assert feature_maps.unusual([layer(saturated=0.9)]).startswith("Nothing is unusual"), "half of a ReLU is flat"
    assert "tanh1 (60\u202f%)" in feature_maps.unusual([layer("tanh1", "Tanh", saturated=0.6)])
    assert feature_maps.unusual([layer(), layer("dense9", "Dense", std=0.005)]) == (
        "The values spread 200 times as far in relu1 as in dense9."
    )
    many = [layer(f"relu{k}", dead=k) for k in range(10, 16)]
    assert feature_maps.unusual(many).endswith("So are units of 3 other layers.")
    [_, table] = feature_maps.table(bare(activity=tuple(many)))
    assert isinstance(table, Table)
    assert table.rows[0][8] == "10 of 32"


def test_saturated_units_are_counted_where_they_are_known(make_run: MakeRun) -> None:
    [table] = [
        block
        for block in sections_of(explained_run(make_run))["layers"].blocks
        if isinstance(block, Table) and block.titles[0] == "layer"
    ]
    assert table.titles[-1] == "saturated units"
    assert [row[-1] for row in table.rows] == [UNDEFINED, "2 of 4"]


def test_maps_of_one_row_are_shown_as_maps() -> None:
    row, flat = np.ones((3, 1, 6), np.float32), np.ones((1, 1, 6), np.float32)
    blocks = feature_maps.maps(
        bare(
            feature_maps=(
                LayerMaps("conv1", "Conv2D", 3, row),
                LayerMaps("conv2", "Conv2D", 1, flat),
                LayerMaps("dense1", "Dense", 6, flat),
            )
        ),
        None,
    )
    texts = [[picture.text for picture in block.pictures] for block in blocks if isinstance(block, ImageGrid)]
    assert texts == [["0", "1", "2"], ["0"], ["dense1"]]


def test_of_a_deep_net_layers_are_chosen_evenly() -> None:
    many = tuple(layer(f"conv{k}", "Conv2D") for k in range(100))
    deep = bare(
        activity=many,
        feature_maps=tuple(LayerMaps(f"conv{k}", "Conv2D", 90, np.ones((20, 4, 4), np.float32)) for k in range(100)),
    )
    [_, table] = feature_maps.table(deep)
    assert isinstance(table, Table)
    assert (len(table.rows), table.rows[0][0], table.rows[-1][0]) == (feature_maps.ROWS, "conv0", "conv99")
    assert "60 layers between these are left out" in table.caption
    shown = [block for block in feature_maps.maps(deep, None) if isinstance(block, ImageGrid)]
    assert [len(grid.pictures) for grid in shown] == [feature_maps.MAPS] * feature_maps.LAYERS
    assert "the first 16 of 90 maps" in shown[0].caption


def test_filters_of_colour_images_are_in_colour() -> None:
    weights = np.zeros((2, 3, 5, 5), np.float32)
    weights[0, 0], weights[1, 2] = 2, -2
    [_, grid] = feature_maps.filters(Filters("conv1", weights))
    assert isinstance(grid, ImageGrid)
    assert [picture.pixels[0, 0].tolist() for picture in grid.pictures] == [[255, 128, 128], [128, 128, 0]]
    [_, grid] = feature_maps.filters(Filters("conv1", weights[:, :2]))
    assert isinstance(grid, ImageGrid)
    assert [picture.text for picture in grid.pictures] == [
        "0, channel 0",
        "0, channel 1",
        "1, channel 0",
        "1, channel 1",
    ]


# --- where it looks


def test_a_dense_net_has_no_grad_cam(make_run: MakeRun) -> None:
    [with_cam, *_] = grids(sections_of(explained_run(make_run))["looks"])
    assert [picture.text for picture in with_cam.pictures[1:4]] == ["saliency", "Grad-CAM", "occlusion"]
    assert (with_cam.columns, len(with_cam.pictures)) == (8, 12)
    [dense, *_] = grids(sections_of(explained_run(make_run, "dense", dense=True))["looks"])
    assert (dense.columns, len(dense.pictures)) == (6, 9)
    assert "no Grad-CAM" in dense.caption


def test_a_look_tells_the_answer_the_truth_and_what_was_asked(make_run: MakeRun) -> None:
    found = explanation_of(make_run()).attributions[0]
    p = real([0.125, 0.75, 0.125])
    seen = replace(found, label=2, target=0, probabilities=p, occlusion=real([[-0.5, 0.25]]))
    said = attribution.blocks(bare(attributions=(seen, replace(seen, label=-1))), ("cat", "dog", "bird"))[1]
    assert isinstance(said, ImageGrid)
    image, saliency, _, occlusion, unknown, *_ = said.pictures
    assert (image.text, image.detail, image.right) == ("dog", "75\u202f%, true: bird", False)
    assert (saliency.detail, occlusion.detail) == ("for cat", "for cat, −0.25")
    assert (unknown.detail, unknown.right) == ("75\u202f%", None)


def test_ideals_stand_with_what_they_give_and_what_images_give(make_run: MakeRun) -> None:
    _, *ideals = grids(sections_of(explained_run(make_run))["looks"])
    assert [[(p.text, p.detail) for p in grid.pictures] for grid in ideals] == [
        [("dog", "9.5 (3)")],
        [("unit 7", "9.5 (3)")],
    ]


# --- neighbourhoods


def test_a_point_knows_its_picture_and_its_classes(make_run: MakeRun) -> None:
    run = explained_run(make_run)
    found = explanation_of(run)
    t_sne, pca = charts(sections_of(run)["neighbourhoods"])
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


def test_a_sprite_holds_every_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (501, 8, 8, 1), dtype=np.uint8)
    sheet = sprite(pixels)
    assert sheet["columns"] == 200
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet["source"].split(",")[1]))))
    for n in (0, 199, 200, 500):
        top, left = 8 * (n // 200), 8 * (n % 200)
        np.testing.assert_array_equal(image[top : top + 8, left : left + 8], pixels[n, :, :, 0])
    noise = np.random.default_rng(0).integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8)
    assert sprite(noise)["source"].startswith("data:image/jpeg;base64,")


def test_of_many_points_some_are_drawn_and_of_many_classes_some_have_a_colour(make_run: MakeRun) -> None:
    names = tuple(f"species {k}" for k in range(30))
    run = explained_run(make_run, class_names=names, test=90, points=5000)
    section = sections_of(run)["neighbourhoods"]
    [t_sne, _] = charts(section)
    assert len(points(t_sne)) == embedding.POINTS
    assert "evenly taken from 5,000" in t_sne.caption
    assert "The 8 of 30 classes that are missed most" in t_sne.caption
    groups = {row["group"] for row in points(t_sne)}
    assert len(groups) == 9
    assert embedding.OTHER in groups
    [beside] = [block for block in section.blocks if isinstance(block, Beside)]
    by_class = beside.blocks[1]
    assert isinstance(by_class, Table)
    assert len(by_class.rows) == embedding.ROWS
    assert "18 classes with higher ones are left out" in by_class.caption


def test_names_are_shortened_on_the_plane_as_in_the_legend(make_run: MakeRun) -> None:
    spec = charts(sections_of(explained_run(make_run, class_names=("no", "long" * 30)))["neighbourhoods"])[0].spec
    [labels] = [one["value"] for one in spec["params"] if "value" in one]
    assert labels[0] == "no"
    assert labels[1].startswith("longlong")
    assert labels[1].endswith("…")
    assert text_width(labels[1], embedding.LETTERS) < embedding.NAME
    rows = [row for values in spec["datasets"].values() for row in values]
    assert {row["name"] for row in rows if "name" in row} == set(labels)


def test_where_fewer_neighbours_are_asked_it_is_said(make_run: MakeRun) -> None:
    found = explanation_of(run := make_run("few"))
    first = found.embeddings[0]
    few: dict[str, Any] = {"in_features": replace(first.in_features, k=4), "in_map": replace(first.in_map, k=4)}
    replace(found, embeddings=tuple(replace(plane, **few) for plane in found.embeddings)).write(run)
    said = texts(sections_of(RunFolder.open(run.path))["neighbourhoods"])
    assert "of 4 neighbours, of the same class" in said
    assert "No more than 4 are asked, as the smallest class has no more other images here." in said
    assert "No more than" not in texts(sections_of(explained_run(make_run))["neighbourhoods"])


def test_numbers_stand_beside_the_maps_and_a_poor_map_is_called_so(make_run: MakeRun) -> None:
    said = texts(sections_of(explained_run(make_run))["neighbourhoods"])
    assert "silhouette 0.25 −0.12 −0.12" in said
    assert "of 10 neighbours, of the same class 50.0\u202f% 25.0\u202f% 25.0\u202f%" in said
    assert "do not judge dense1 by that picture" in said
    assert "mean little" in said


# --- mistakes and their neighbours


def test_mistakes_stand_beside_their_neighbours(make_run: MakeRun) -> None:
    run = explained_run(make_run)
    found = explanation_of(run).mistakes
    grid = grids(sections_of(run)["nearest"])[0]
    assert (grid.columns, len(grid.pictures)) == (6, 18)
    first, *near = grid.pictures[:6]
    assert (first.text, first.right) == (run.class_names[found[0].predicted], False)
    assert [picture.text for picture in near] == ["cat", "dog", "bird", "cat", "dog"]
    marks = {"as answered": found[0].predicted, "as labelled": found[0].label}
    for picture in near:
        assert marks.get(picture.detail, -1) in (run.class_names.index(picture.text), -1)
    assert "Of 15 neighbours" in grid.caption


def test_a_row_with_fewer_neighbours_is_filled_up(make_run: MakeRun) -> None:
    found = explanation_of(make_run()).mistakes
    near = found[0].nearest
    short = replace(found[1], nearest=Neighbours(near.ids[:2], near.labels[:2], near.distances[:2], near.pixels[:2]))
    [_, grid] = neighbours.mistakes(bare(mistakes=(found[0], short)), ("cat", "dog", "bird"))
    assert isinstance(grid, ImageGrid)
    assert len(grid.pictures) == 12
    assert [picture.text for picture in grid.pictures[9:]] == ["none"] * 3


def test_suspects_tell_both_classes(make_run: MakeRun) -> None:
    run = explained_run(make_run)
    suspect = explanation_of(run).label_issues[0]
    shown = grids(sections_of(run)["nearest"])[1].pictures[0]
    assert shown.text == f"{run.class_names[suspect.given]} → {run.class_names[suspect.suggested]}"
    assert shown.detail == f"lead 0.75, neighbours 50\u202f%, image {suspect.id}"


def test_confused_pairs_show_their_images_by_id(make_run: MakeRun) -> None:
    run = explained_run(make_run)
    record = read(run)
    predictions = record.predictions
    row = {str(name): n for n, name in enumerate(predictions.ids)}
    pairs = [grid for grid in grids(sections_of(run)["nearest"]) if " taken for " in grid.caption]
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


# --- explanations that do not fit their run


def test_an_explanation_of_older_weights_is_told(make_run: MakeRun) -> None:
    run = explained_run(make_run)
    assert not any(isinstance(block, Text) and block.tone == "warning" for block in sections_of(run)["layers"].blocks)
    found = explanation_of(run)
    turned = tuple(
        replace(plane, predicted=(plane.predicted + 1) % 3, confidence=plane.confidence / 2)
        for plane in found.embeddings
    )
    replace(found, embeddings=turned, attributions=(), mistakes=()).write(run)
    first = sections_of(RunFolder.open(run.path))["layers"].blocks[0]
    assert isinstance(first, Text)
    assert first.tone == "warning"
    assert "30 test images in both, 30 now have another answer" in first.text
    strange = tuple(replace(plane, ids=np.char.add("other/", plane.ids)) for plane in found.embeddings)
    replace(found, embeddings=strange, attributions=(), mistakes=()).write(run)
    assert "of other test images" in texts(sections_of(RunFolder.open(run.path))["layers"])


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
    ):
        replace(found, **changed).write(run)
        with pytest.raises(RunError, match=r"(class|classes).*firstlight explain"):
            report.render_html(RunFolder.open(run.path))
    (run.path / EXPLANATION).write_bytes(b"no archive")
    with pytest.raises(RunError, match="damaged"):
        report.render_html(RunFolder.open(run.path))


# --- colours


def test_colours_run_from_end_to_end_and_bear_what_is_no_number() -> None:
    ends = [list(bytes.fromhex(name)) for name in (colours.VIRIDIS[0], colours.VIRIDIS[-1])]
    assert colours.amounts(real([[0, 5, 9, np.nan, -1]]), 5)[0].tolist() == [
        ends[0],
        ends[1],
        ends[1],
        ends[0],
        ends[0],
    ]
    middle = list(bytes.fromhex(colours.SIGNED[3]))
    assert colours.signed(real([[-2, 0, np.inf]]), 0)[0, 1].tolist() == middle
    low, high = (list(bytes.fromhex(colours.SIGNED[n])) for n in (0, -1))
    assert colours.signed(real([[-2, 2]]), 2)[0].tolist() == [low, high]


def test_heat_lies_over_the_image() -> None:
    pixels = np.full((1, 2, 3), 100, np.uint8)
    seen = colours.over(pixels, real([[0, 3]]))
    assert seen[0, 0].tolist() == [100, 100, 100]
    assert seen[0, 1, 0] > 200 > seen[0, 1, 2]
    np.testing.assert_array_equal(colours.over(pixels, np.zeros((1, 2), np.float32)), pixels)


# --- in a browser


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the browser chromium")
def test_hovering_a_point_shows_its_image_and_a_click_a_class_alone(make_run: MakeRun, tmp_path: Path) -> None:
    run = explained_run(make_run, class_names=HOSTILE, points=12)
    [chart, _] = charts(sections_of(run)["neighbourhoods"])
    path = tmp_path / "page.html"
    path.write_text(page_of(run), encoding="utf-8")
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
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
        browser.close()
    assert errors == []
    assert alone == 12 + sum(row["class"] == HOSTILE[0] for row in points(chart)), "the other map has all of its 12"
    [row] = rows
    assert row["class"] in said
    assert row["predicted"] in said
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode((shown or "").split(",")[1]))).convert("L"))
    assert chart.pictures is not None
    np.testing.assert_array_equal(pixels, chart.pictures[row["picture"], :, :, 0])
