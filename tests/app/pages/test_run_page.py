"""The page of a run in a browser: what a click on the matrix, on an image, on the map brings."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image
from rich.console import Console

import firstlight as fl
from firstlight import report
from firstlight.app.server import blocks
from firstlight.app.server.processes import ExplainProcess
from firstlight.records import explanation
from firstlight.report.document import Chart, Numbers, Panels, Section
from firstlight.report.format import percent
from firstlight.report.sections.attribution import shifts

pytestmark = pytest.mark.slow  # each draws the page of a run anew, which takes seconds

LONG = ("long" * 30 + " a", "long" * 30 + " b", "Haematopus ostralegus longipes (Eurasian oystercatcher), adult")
MATRIX = "[data-kind=confusion]"
HOSTILE = ("<img src=x onerror=alert(1)>", "\"quoted\" 'name' & more", "</script><b>bold")


@pytest.fixture(scope="module")
def runs(trained_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`cnn` with an explanation, `hostile`, whose class names are markup, and `long`, where they are long."""
    root = tmp_path_factory.mktemp("run-page")
    shutil.copytree(trained_runs / "cnn", root / "cnn")
    fl.open_run(root / "cnn").explain(points=150, method="pca")
    train = fl.load("digits").splits["train"]
    pixels = np.concatenate([train.pixels[train.labels == k][:40] for k in range(3)])
    folder = tmp_path_factory.mktemp("data")
    for name, classes in (("hostile", HOSTILE), ("long", LONG)):
        file = folder / f"{name}.npz"
        np.savez(file, images=pixels[..., 0], labels=np.repeat(np.array(classes), 40))
        fl.fit("mlp-128-64", file, epochs=2, out=root / name, console=Console(quiet=True))
        fl.open_run(root / name).explain(points=30, method="pca")
    return root


@pytest.fixture(scope="module")
def dashboard(runs: Path, open_dashboard: Any) -> Iterator[Any]:
    with open_dashboard(runs) as served:
        yield served


@pytest.fixture
def at_cnn(dashboard: Any, page: Any) -> Any:
    page.goto(f"{dashboard.url}/run/{dashboard.id('cnn')}")
    page.locator("#tiles img").first.wait_for()
    return page


def test_a_cell_shows_its_images(at_cnn: Any, runs: Path) -> None:
    folder = fl.open_run(runs / "cnn").folder
    predictions = folder.predictions["test"]
    answers = predictions.probabilities.argmax(axis=1)
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (predictions.labels, answers), 1)
    wrong = matrix - np.diag(np.diag(matrix))
    for t, p in [divmod(int(wrong.argmax()), 10), (0, 0)]:
        cells = at_cnn.locator(f"{MATRIX} .mark-rect path")
        cells.nth(int((matrix.ravel()[: 10 * t + p] > 0).sum())).click(force=True)  # which its number covers
        at_cnn.wait_for_function(
            "n => document.getElementById('found').textContent.startsWith(n)", arg=f"{matrix[t, p]} "
        )
        assert [at_cnn.locator(name).input_value() for name in ("#true", "#predicted")] == [str(t), str(p)]
        shown = {tile.get_attribute("title") for tile in at_cnn.locator("#tiles button").all()}
        assert shown == set(predictions.ids[(predictions.labels == t) & (answers == p)].tolist())


def test_the_name_of_a_row_or_column_shows_its_images(at_cnn: Any, runs: Path) -> None:
    predictions = fl.open_run(runs / "cnn").folder.predictions["test"]
    for side, values in (("#true", predictions.labels), ("#predicted", predictions.predicted)):
        names = at_cnn.locator(f"{MATRIX} .role-axis-label text", has_text="3")
        names.nth(0 if side == "#predicted" else 1).click()
        at_cnn.wait_for_function(
            "n => document.getElementById('found').textContent.startsWith(n)", arg=f"{int((values == 3).sum())} "
        )
        other = "#predicted" if side == "#true" else "#true"
        assert (at_cnn.locator(side).input_value(), at_cnn.locator(other).input_value()) == ("3", "")


def test_the_matrix_is_shown_where_the_report_cannot_be_made(
    trained_runs: Path, page: Any, tmp_path: Path, open_dashboard: Any
) -> None:
    shutil.copytree(trained_runs / "cnn", tmp_path / "cnn")
    (tmp_path / "cnn" / "environment.json").write_text("{")
    predictions = fl.open_run(trained_runs / "cnn").folder.predictions["test"]
    with open_dashboard(tmp_path) as served:
        page.goto(f"{served.url}/run/{served.id('cnn')}")
        page.locator("#trouble", has_text="environment.json").wait_for()
        page.locator(f"{MATRIX} .role-axis-label text", has_text="3").last.click()
        page.get_by_text(f"{int((predictions.labels == 3).sum())} test images").wait_for()
        page.goto("about:blank")


def test_the_images_are_those_of_their_ids(dashboard: Any, runs: Path) -> None:
    run = fl.open_run(runs / "cnn")
    images = fl.load("digits").splits["train"]
    with httpx.Client(base_url=dashboard.url, trust_env=False, timeout=30) as asking:
        found = asking.get(f"/api/runs/{dashboard.id('cnn')}/images?order=surest&page=1").json()
        assert found["total"] == found["shown"] == len(run.predictions["test"])
        assert found["pages"] == math.ceil(found["total"] / 60)
        assert len(found["images"]) == 60
        for row in found["images"][:5]:
            answer = asking.get(row["src"])
            assert answer.headers["content-type"] == "image/png"
            assert "immutable" in answer.headers["cache-control"]
            pixels = np.asarray(Image.open(io.BytesIO(answer.content)))
            [place] = np.flatnonzero(images.ids == row["id"])
            assert np.array_equal(pixels, images.pixels[place, :, :, 0])
            assert row["label"] == images.labels[place]


def test_filters_and_pages(at_cnn: Any, runs: Path) -> None:
    predictions = fl.open_run(runs / "cnn").predictions["test"]
    right = predictions.probabilities.argmax(axis=1) == predictions.labels
    at_cnn.locator("#answer").select_option("right")
    at_cnn.get_by_text(f"{right.sum()} test images").wait_for()
    assert at_cnn.locator("#tiles li").count() == 60
    first = at_cnn.locator("#tiles button").first.get_attribute("title")
    at_cnn.locator("#on").click()
    at_cnn.locator("#page", has_text="2 of").wait_for()
    assert at_cnn.locator("#tiles button").first.get_attribute("title") != first
    at_cnn.locator("#true").select_option("3")
    at_cnn.get_by_text(f"{(right & (predictions.labels == 3)).sum()} test images").wait_for()


def test_an_image_is_looked_into(at_cnn: Any, runs: Path) -> None:
    run = fl.open_run(runs / "cnn")
    name = at_cnn.locator("#tiles button").first.get_attribute("title")
    look = run.attribution(name)
    at_cnn.locator("#tiles button").first.click()
    dialog = at_cnn.get_by_role("dialog")
    dialog.locator("#views img").first.wait_for()
    assert [view.inner_text() for view in dialog.locator("#views b").all()] == ["Saliency", "Grad-CAM", "Occlusion"]
    best = int(look.probabilities.argmax())
    assert dialog.locator("#bars li").count() == 10
    assert percent(float(look.probabilities[best])) in dialog.locator("#bars li").first.inner_text()
    assert dialog.locator("#bars li.true").count() == 1
    assert dialog.locator("#target").input_value() == str(best)
    fall, rise = shifts(look)
    assert f"falls ({fall}); blue: it rises ({rise})" in dialog.locator("#views li").last.inner_text()
    dialog.locator("#layers img").first.wait_for()
    layers = [layer.inner_text() for layer in dialog.locator("#layers b").all()]
    assert layers == [layer.layer for layer in run.feature_maps(name)]
    before = dialog.locator("#views img").first.get_attribute("src")
    dialog.locator("#target").select_option(str((best + 1) % 10))
    at_cnn.locator(f'#views img:not([src="{before}"])').first.wait_for()
    at_cnn.keyboard.press("Escape")
    dialog.wait_for(state="hidden")


def lassoed(page: Any, share: float = 1.0) -> None:
    """Draw a line round the left part of the map, or round all of it."""
    canvas = page.locator("#points canvas")
    canvas.evaluate("canvas => canvas.scrollIntoView({ behavior: 'instant', block: 'center' })")
    box = canvas.bounding_box()
    left, top, right, bottom = (
        box["x"] + 8,
        box["y"] + 90,
        box["x"] + 6 + share * (box["width"] - 14),
        box["y"] + box["height"] - 8,
    )
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((left, bottom), (right, bottom), (right, top), (left, top)):
        page.mouse.move(x, y, steps=4)
        page.evaluate("new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)))")  # it is heard
    page.mouse.up()
    page.locator("#chosen-tiles li").first.wait_for()
    while page.locator("#more").is_visible():
        page.locator("#more button").click()


def hovered(page: Any) -> str:
    """What stands beside a point that the pointer meets: where the map has a pixel of a strong colour."""
    page.locator("#points canvas").scroll_into_view_if_needed()
    x, y = page.evaluate(
        """() => {
        const canvas = document.querySelector("#points canvas");
        const { data, width } = canvas.getContext("2d").getImageData(0, 100, canvas.width, canvas.height - 100);
        for (let i = 0; i < data.length; i += 4) {
            const [r, g, b, a] = data.subarray(i, i + 4);
            const box = canvas.getBoundingClientRect();
            if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 100)
                return [box.left + ((i / 4) % width), box.top + 100 + Math.floor(i / 4 / width)];
        }
        }"""
    )
    page.mouse.move(x, y)
    page.mouse.move(x + 1, y + 2)
    page.locator("#vg-tooltip-element.visible").wait_for()
    return str(page.locator("#vg-tooltip-element").inner_text())


def test_points_are_hovered_and_lassoed(at_cnn: Any, runs: Path) -> None:
    found = explanation.read(fl.open_run(runs / "cnn").folder)
    assert found is not None
    plane = found.embeddings[-1]
    test = plane.splits == "test"
    at_cnn.locator("#points canvas").wait_for()

    def chosen() -> set[str]:
        return {tile.get_attribute("data-id") for tile in at_cnn.locator("#chosen-tiles button").all()}

    lassoed(at_cnn)
    # a busy browser leaves out places of the pointer, so that a corner of the line may be cut off
    assert chosen() <= set(plane.ids[test].tolist())
    assert len(chosen()) > 0.95 * test.sum()
    lassoed(at_cnn, share=0.5)
    inside = np.isin(plane.ids, [*chosen()])
    assert 0 < inside.sum() < test.sum()
    left, right = plane.points[inside, 0], plane.points[test & ~inside, 0]
    assert np.quantile(left, 0.95) < np.quantile(right, 0.05)
    assert at_cnn.locator("#chosen").inner_text().startswith(f"{inside.sum()} image")
    at_cnn.locator("#chosen-tiles button").first.click()
    at_cnn.locator("#views img").first.wait_for()
    at_cnn.keyboard.press("Escape")
    said = hovered(at_cnn)
    assert any(str(name) in said for name in plane.ids[test])
    assert at_cnn.locator("#vg-tooltip-element img").count() == 1


def test_keys_go_from_point_to_point(at_cnn: Any, runs: Path) -> None:
    found = explanation.read(fl.open_run(runs / "cnn").folder)
    assert found is not None
    plane = found.embeddings[-1]
    at_cnn.locator("#points canvas").wait_for()
    at_cnn.locator("#points").focus()
    said = at_cnn.locator("#at")
    places = []
    for _ in range(3):
        at_cnn.keyboard.press("ArrowRight")
        name = said.inner_text().rpartition(" ")[2]
        places.append(plane.points[plane.ids == name, 0].item())
    assert places == sorted(places)
    assert places[0] < places[-1]
    [place] = np.flatnonzero(plane.ids == name)
    sign = "✓" if plane.predicted[place] == plane.labels[place] else "✗"
    assert said.inner_text().startswith(
        f"{sign} {plane.predicted[place]} ({percent(float(plane.confidence[place]), 0)})"
    )
    at_cnn.keyboard.press("Enter")
    at_cnn.locator("#views img").first.wait_for()
    assert at_cnn.locator("#details-id").inner_text() == f"image {name} (test)"
    at_cnn.keyboard.press("Escape")
    at_cnn.keyboard.press("Escape")
    assert said.inner_text() == ""


def test_points_are_coloured_by_what_is_asked_for(dashboard: Any) -> None:
    with httpx.Client(base_url=dashboard.url, trust_env=False, timeout=30) as asking:
        for query, field in (
            ("", "class"),
            ("?colour=nothing", "class"),
            ("?colour=answer", "answer"),
            ("?colour=predicted&split=train", "predicted"),
        ):
            found = asking.get(f"/api/runs/{dashboard.id('cnn')}/embeddings/0{query}").json()
            layers = found["spec"]["layer"]
            assert {layer["encoding"]["color"]["field"] for layer in layers if "color" in layer["encoding"]} == {
                f"{field}_key"
            }
        assert {point["split"] for point in found["spec"]["datasets"]["points"]} == {"train"}


def test_hostile_class_names_stay_text(dashboard: Any, page: Any, open_dashboard: Any) -> None:
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.goto(f"{dashboard.url}/")
    page.goto(f"{dashboard.url}/run/{dashboard.id('hostile')}")
    page.locator("#tiles img").first.wait_for()
    assert page.locator("#true option").all_inner_texts() == ["any", *sorted(HOSTILE)]
    page.locator("#answer").select_option("")
    page.locator("#tiles button").first.click()
    page.locator("#views img").first.wait_for()
    assert {
        text.removeprefix("✓ ").removeprefix("✗ ") for text in page.locator("#bars .name").all_inner_texts()
    } == set(HOSTILE)
    page.keyboard.press("Escape")
    lassoed(page)
    hovered(page)
    page.wait_for_timeout(500)
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("main b", has_text="bold").count() == 0
    assert said == []


@pytest.mark.parametrize("width", [390, 1280])
def test_long_class_names_do_not_make_a_page_wider(dashboard: Any, page_at: Any, width: int) -> None:
    page = page_at(width=width)
    run = dashboard.id("long")
    paths = (
        f"/report/run/{run}",
        f"/draw?run={run}",
        f"/compare?run={run}&run={dashboard.id('hostile')}",
        f"/run/{run}",
    )
    for path in paths:
        page.goto(f"{dashboard.url}{path}")
        page.locator("#bars li" if "draw" in path else ".vega-embed svg").first.wait_for(state="attached")
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
    page.locator(f"{MATRIX} .mark-rect path").first.click(force=True)
    page.locator("#points canvas").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#tiles button").first.click()
    page.locator("#views img").first.wait_for()
    assert page.locator("#details").evaluate("dialog => dialog.scrollWidth - dialog.clientWidth") == 0


def test_the_report_has_no_way_to_the_dashboard(dashboard: Any, page: Any) -> None:
    """It may come from elsewhere: what its scripts ask for is refused, and it has no origin."""
    page.goto(f"{dashboard.url}/report/run/{dashboard.id('cnn')}")
    page.locator("svg.marks").first.wait_for()  # its charts are alive
    assert page.evaluate("origin") == "null"
    assert page.evaluate("fetch('/').then(() => 'came', () => 'refused')") == "refused"
    assert any("connect-src" in complaint or "default-src" in complaint for complaint in page.complaints)
    page.complaints.clear()


def unexplained(runs: Path, folder: Path) -> None:
    """A copy of a run of few images, without its explanation."""
    shutil.copytree(runs / "long", folder)
    (folder / "explanation.npz").unlink()


def test_a_run_is_explained_from_the_page(runs: Path, page: Any, tmp_path: Path, open_dashboard: Any) -> None:
    unexplained(runs, tmp_path / "mlp")
    with open_dashboard(tmp_path) as served:
        page.goto(f"{served.url}/run/{served.id('mlp')}")
        page.get_by_role("button", name="Explain this run").click()
        page.locator("#explaining").wait_for()
        page.locator("#points canvas").wait_for(timeout=120_000)
        assert page.locator("#unexplained").is_hidden()
        assert (tmp_path / "mlp" / "explanation.npz").is_file()
        page.goto("about:blank")


def test_where_the_images_are_gone_those_of_the_run_are_shown(
    runs: Path, tmp_path: Path, page: Any, open_dashboard: Any
) -> None:
    shutil.copytree(runs / "hostile", tmp_path / "hostile")
    record = (tmp_path / "hostile" / "data.json").read_text()
    (tmp_path / "hostile" / "data.json").write_text(record.replace("hostile.npz", "moved.npz"))
    experiment = tmp_path / "hostile" / "experiment.toml"
    experiment.write_text(experiment.read_text().replace("hostile.npz", "moved.npz"))
    with open_dashboard(tmp_path) as served:
        page.goto(f"{served.url}/run/{served.id('hostile')}")
        page.locator("#answer").select_option("")
        page.get_by_text("saved in the run folder are shown").wait_for()
        assert page.locator("#tiles img").count() > 0
        page.locator("#tiles button").first.click()
        page.locator("#views img").first.wait_for()
        page.goto("about:blank")


def test_all_that_the_report_says_is_on_the_page(at_cnn: Any, runs: Path) -> None:
    """But the blocks that answer here instead: the maps, and the command that makes these."""
    document = report.build_document(fl.open_run(runs / "cnn").folder)
    text = at_cnn.evaluate("document.body.innerText").replace("\n", " ")
    kinds = set()
    for section in document.sections:
        block: Any
        for block in section.blocks:
            if not (isinstance(block, Chart) and block.kind == "embedding"):
                kinds.add(block.element)
                assert not getattr(block, "caption", "") or " ".join(block.caption.split()) in " ".join(text.split())
    assert {"grid", "panels", "table", "code", "beside", "chart", "text"} <= kinds
    panels = sum(len(block.panels) for s in document.sections for block in s.blocks if isinstance(block, Panels))
    assert at_cnn.locator(".panel").count() == panels > 0
    bars = at_cnn.locator(".panel .track span")
    assert bars.first.evaluate("bar => bar.style.width") != ""
    assert "Rows are the true classes, columns the predicted ones" in text  # what the report says below its matrix
    drawn = at_cnn.locator(".report .drawing")
    at_cnn.wait_for_function("[...document.querySelectorAll('.report .drawing')].every((d) => d.querySelector('svg'))")
    labels = [chart.get_attribute("aria-label") for chart in drawn.all()]
    assert any(label.startswith("Loss over the epochs") for label in labels), labels
    assert any(label.startswith("Confusion matrix") for label in labels), labels


def test_a_block_that_no_template_draws_fails() -> None:
    class Odd:
        element = "odd"

    with pytest.raises(UndefinedError, match="of the element odd"):
        blocks.drawn(Numbers(()), [Section("A", "a", (Odd(),))])  # type: ignore[arg-type]


def test_an_explanation_that_was_made_and_removed_is_not_there(runs: Path, tmp_path: Path, open_dashboard: Any) -> None:
    """Otherwise the page would load itself again for ever."""
    shutil.copytree(runs / "cnn", tmp_path / "cnn")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    with open_dashboard(tmp_path) as served, httpx.Client(base_url=served.url, trust_env=False, timeout=30) as asking:
        key = served.id("cnn")
        served.explanations[key] = ExplainProcess(ended, [])
        assert asking.get(f"/api/runs/{key}/explain").json()["state"] == "made"
        assert key not in served.explanations
        (tmp_path / "cnn" / "explanation.npz").unlink()
        assert asking.get(f"/api/runs/{key}/explain").json()["state"] == "none"
        served.explanations[key] = ExplainProcess(ended, [])  # it said that it was made, and yet there is nothing
        assert asking.get(f"/api/runs/{key}/explain").json()["state"] == "none"


def test_a_run_is_explained_wherever_the_server_stands(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder whose name looks like an option, beside a file that looks like a module."""
    unexplained(runs, tmp_path / "--help")
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    making = ExplainProcess.begin(Path("--help"))
    making.process.wait(120)
    assert making.told()["state"] == "made", making.lines
    assert (tmp_path / "--help" / "explanation.npz").is_file()


def test_images_are_stepped_through_by_keys_and_buttons(at_cnn: Any, runs: Path) -> None:
    tiles = [tile.get_attribute("title") for tile in at_cnn.locator("#tiles button").all()]
    assert len(tiles) > 2
    at_cnn.locator("#tiles button").first.click()

    def shows(n: int) -> None:
        at_cnn.locator("#details-id", has_text=f"image {tiles[n]} ").wait_for()

    shows(0)
    predictions = fl.open_run(runs / "cnn").folder.predictions["test"]
    label = predictions.labels[predictions.ids.tolist().index(tiles[0])]
    assert at_cnn.locator("#details-image").get_attribute("alt") == f"{label}, image {tiles[0]}"
    at_cnn.keyboard.press("ArrowRight")
    shows(1)
    at_cnn.get_by_role("button", name="Next image").click()
    shows(2)
    at_cnn.keyboard.press("ArrowLeft")
    shows(1)
    for _ in range(3):  # there is none before the first
        at_cnn.keyboard.press("ArrowLeft")
    shows(0)


def test_pictures_of_the_report_that_name_their_image_open_it(at_cnn: Any) -> None:
    """Mistakes and suspects, which are seen again with what the answer depends on."""
    tile = at_cnn.locator(".report .tile[data-id]:not(.right)").first
    name = tile.get_attribute("data-id")
    tile.locator("button").click()
    at_cnn.locator("#details-id", has_text=f"image {name} ").wait_for()
    at_cnn.locator("#details-title", has_text="True class").wait_for()


def test_the_contents_stay_in_sight_and_the_images_stand_beside_the_matrix(at_cnn: Any) -> None:
    at_cnn.locator("#report-results").evaluate("element => element.scrollIntoView()")
    at_cnn.locator("#contents [aria-current]", has_text="Right and wrong").wait_for()
    assert at_cnn.locator("#contents").evaluate("element => element.getBoundingClientRect().top") == 0
    matrix, images = (
        at_cnn.locator(name).evaluate("element => element.getBoundingClientRect().toJSON()")
        for name in (f"{MATRIX} svg", "#images")
    )
    assert images["left"] > matrix["right"]
    assert images["top"] < matrix["top"] + matrix["height"] / 2


@pytest.mark.parametrize("dark", [False, True])
def test_numbers_in_the_matrix_can_be_read(dashboard: Any, page_at: Any, dark: bool) -> None:
    """The contrast of each cell's number with its ground, by WCAG: at least 4.5."""
    page = page_at(dark=dark)
    page.goto(f"{dashboard.url}/run/{dashboard.id('cnn')}")
    page.locator("#tiles img").first.wait_for()
    least = page.evaluate(
        """(matrix) => {
        const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
        const light = (...layers) => {
            for (const [colour, opacity] of layers) {
                context.globalAlpha = opacity;
                context.fillStyle = colour;
                context.fillRect(0, 0, 1, 1);
            }
            const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((value) => {
                const share = value / 255;
                return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const inside = (box, { x, y }) => x > box.left && x < box.right && y > box.top && y < box.bottom;
        const paths = [...matrix.querySelectorAll(".mark-rect path")];
        const wash = getComputedStyle(document.documentElement).getPropertyValue("--wash");
        return Math.min(...[...matrix.querySelectorAll(".mark-text text")].map((text) => {
            const cell = paths.find((path) => inside(path.getBoundingClientRect(), text.getBoundingClientRect()));
            if (!cell) return Infinity;
            const style = getComputedStyle(cell);
            const a = light([wash, 1], [style.fill, Number(style.fillOpacity)]);
            const b = light([getComputedStyle(text).fill, 1]);
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        }));
    }""",
        page.locator(f"{MATRIX} svg").element_handle(),
    )
    assert 4.5 <= least < 21


def test_no_part_of_a_chart_is_read_as_a_graphic_without_a_name(at_cnn: Any) -> None:
    at_cnn.locator(".report .drawing svg").first.wait_for()
    at_cnn.wait_for_timeout(500)
    assert at_cnn.locator('[role^="graphics-"]:not([aria-label])').count() == 0
    assert at_cnn.locator(".drawing").count()


def test_the_report_is_linked_as_soon_as_it_is_written(
    trained_runs: Path, tmp_path: Path, page: Any, open_dashboard: Any
) -> None:
    shutil.copytree(trained_runs / "mlp", tmp_path / "mlp")
    (tmp_path / "mlp" / "report.html").unlink(missing_ok=True)
    with open_dashboard(tmp_path) as served:
        page.goto(f"{served.url}/run/{served.id('mlp')}")
        page.locator(MATRIX).wait_for()
        assert page.locator("#report").is_hidden()
        (tmp_path / "mlp" / "report.html").write_text("<p>written</p>")
        page.locator("#report").wait_for()
        page.goto("about:blank")
