"""The page of a run in a browser: what a click on the matrix, on an image, on the map brings."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import firstlight as fl
from firstlight import explanations
from firstlight.report.numbers import percent

HOSTILE = ("<img src=x onerror=alert(1)>", "\"quoted\" 'name' & more", "</script><b>bold")


@pytest.fixture(scope="module")
def runs(trained_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`cnn` with an explanation, and `hostile`, whose class names are markup."""
    root = tmp_path_factory.mktemp("run-page")
    shutil.copytree(trained_runs / "cnn", root / "cnn")
    fl.open_run(root / "cnn").explain(points=150, method="pca")
    train = fl.load("digits").splits["train"]
    pixels = np.concatenate([train.pixels[train.labels == k][:40] for k in range(3)])
    file = tmp_path_factory.mktemp("data") / "hostile.npz"
    np.savez(file, images=pixels[..., 0], labels=np.repeat(np.array(HOSTILE), 40))
    fl.fit("mlp-128-64", file, epochs=2, out=root / "hostile", console=Console(quiet=True))
    fl.open_run(root / "hostile").explain(points=30, method="pca")
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
    for t, p in [np.unravel_index(wrong.argmax(), wrong.shape), (0, 0)]:
        cell = at_cnn.locator(f'#matrix [data-cell="{t},{p}"]')
        assert int(cell.inner_text()) == matrix[t, p]
        cell.click()
        at_cnn.locator(f'#matrix [data-cell="{t},{p}"][aria-current]').wait_for()
        assert at_cnn.locator("#found").inner_text().startswith(f"{matrix[t, p]} test image")
        shown = {tile.get_attribute("title") for tile in at_cnn.locator("#tiles button").all()}
        assert shown == set(predictions.ids[(predictions.labels == t) & (answers == p)].tolist())


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
    look = run.look(name)
    at_cnn.locator("#tiles button").first.click()
    dialog = at_cnn.get_by_role("dialog")
    dialog.locator("#views img").first.wait_for()
    assert [view.inner_text() for view in dialog.locator("#views b").all()] == ["Saliency", "Grad-CAM", "Occlusion"]
    best = int(look.probabilities.argmax())
    assert dialog.locator("#bars li").count() == 10
    assert percent(float(look.probabilities[best])) in dialog.locator("#bars li").first.inner_text()
    assert dialog.locator("#bars li.true").count() == 1
    assert dialog.locator("#target").input_value() == str(best)
    dialog.locator("#layers img").first.wait_for()
    layers = [layer.inner_text() for layer in dialog.locator("#layers b").all()]
    assert layers == [layer.layer for layer in run.feature_maps(name)]
    before = dialog.locator("#views img").first.get_attribute("src")
    dialog.locator("#target").select_option(str((best + 1) % 10))
    at_cnn.locator(f'#views img:not([src="{before}"])').first.wait_for()
    at_cnn.keyboard.press("Escape")
    dialog.wait_for(state="hidden")


def test_points_are_hovered_and_lassoed(at_cnn: Any, runs: Path) -> None:
    plane = explanations.read(fl.open_run(runs / "cnn").folder).maps[-1]
    canvas = at_cnn.locator("#points")
    canvas.scroll_into_view_if_needed()
    at_cnn.locator("#legend li").nth(9).wait_for()
    box = canvas.bounding_box()
    test = np.flatnonzero(plane.splits == "test")
    scale = min((box["width"] - 32) / np.ptp(plane.points[:, 0]), (box["height"] - 32) / np.ptp(plane.points[:, 1]))
    middle = (plane.points.max(axis=0) + plane.points.min(axis=0)) / 2
    at = (plane.points - middle) * [scale, -scale] + [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]

    at_cnn.mouse.move(*at[test[0]])
    at_cnn.locator("#hover figcaption span").first.wait_for()
    near = test[np.hypot(*(at[test] - at[test[0]]).T) < 2]
    said = at_cnn.locator("#hover figcaption").inner_text()
    assert any(str(plane.predicted[i]) in said for i in near)

    centre, radius = at[test].mean(axis=0), 90
    corners = [centre + radius * np.array([math.cos(a), math.sin(a)]) for a in np.linspace(0, 2 * math.pi, 60)]
    inside = set(plane.ids[test[np.hypot(*(at[test] - centre).T) < radius * 0.97]].tolist())
    around = set(plane.ids[test[np.hypot(*(at[test] - centre).T) < radius * 1.03]].tolist())
    at_cnn.mouse.move(*corners[0])
    at_cnn.mouse.down()
    for corner in corners:
        at_cnn.mouse.move(*corner)
    at_cnn.mouse.up()
    at_cnn.locator("#lasso-tiles li").first.wait_for()
    while at_cnn.locator("#lasso-more").is_visible():
        at_cnn.locator("#lasso-more button").click()
    chosen = {tile.get_attribute("data-id") for tile in at_cnn.locator("#lasso-tiles button").all()}
    assert inside <= chosen <= around
    assert 0 < len(chosen) < len(test)
    assert at_cnn.locator("#lassoed").inner_text().startswith(f"{len(chosen)} image")
    at_cnn.locator("#lasso-tiles button").first.click()
    at_cnn.locator("#views img").first.wait_for()


def test_hostile_class_names_stay_text(dashboard: Any, page: Any, open_dashboard: Any) -> None:
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.goto(f"{dashboard.url}/")
    page.goto(f"{dashboard.url}/run/{dashboard.id('hostile')}")
    page.locator("#matrix th button").first.wait_for()
    names = {cell.inner_text() for cell in page.locator("#matrix tbody th").all()}
    assert names == set(HOSTILE)
    page.locator("#answer").select_option("")
    page.locator("#tiles button").first.click()
    page.locator("#views img").first.wait_for()
    assert {
        text.removeprefix("✓ ").removeprefix("✗ ") for text in page.locator("#bars .name").all_inner_texts()
    } == set(HOSTILE)
    page.keyboard.press("Escape")
    page.locator("#legend button").nth(2).wait_for()
    page.locator("#points").focus()
    page.keyboard.press("ArrowRight")
    page.locator("#hover figcaption span").first.wait_for()
    page.keyboard.press("Enter")
    page.locator("#lasso-tiles li").first.wait_for()
    page.wait_for_timeout(500)
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("main b", has_text="bold").count() == 0
    assert said == []


def test_the_report_has_no_way_to_the_dashboard(dashboard: Any, page: Any) -> None:
    """It may come from elsewhere: what its scripts ask for is refused, and it has no origin."""
    page.goto(f"{dashboard.url}/report/run/{dashboard.id('cnn')}")
    page.locator("svg.marks").first.wait_for()  # its charts are alive
    assert page.evaluate("origin") == "null"
    assert page.evaluate("fetch('/').then(() => 'came', () => 'refused')") == "refused"
    assert any("connect-src" in complaint or "default-src" in complaint for complaint in page.complaints)
    page.complaints.clear()


def test_a_run_is_explained_from_the_page(trained_runs: Path, page: Any, tmp_path: Path, open_dashboard: Any) -> None:
    shutil.copytree(trained_runs / "mlp", tmp_path / "mlp")
    with open_dashboard(tmp_path) as served:
        page.goto(f"{served.url}/run/{served.id('mlp')}")
        page.get_by_role("button", name="Explain this run").click()
        page.locator("#explaining").wait_for()
        page.locator("#legend li").nth(9).wait_for(timeout=120_000)
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
        page.get_by_text("that the run folder keeps are shown").wait_for()
        assert page.locator("#tiles img").count() > 0
        page.locator("#tiles button").first.click()
        page.locator("#views img").first.wait_for()
        page.goto("about:blank")
