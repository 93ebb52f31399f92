"""The page Compare: the report's comparison in the page, and two runs image by image."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from rich.console import Console

import firstlight as fl
from firstlight import report
from firstlight.records.run_folder import RunFolder
from firstlight.report import Comparison
from firstlight.types import Array, Dataset, Images

QUIET = Console(quiet=True)
HOSTILE = ("<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", '"it\'s" & {{ 7*7 }}')
CELLS = ("both", "only_first", "only_second", "neither")


@pytest.fixture(scope="module")
def comparing(tmp_path_factory: pytest.TempPathFactory, dashboards: Any, few_digits: Dataset) -> Iterator[Any]:
    """Two nets on one split, one on another, two on three classes with hostile names, and one without a result."""
    root = tmp_path_factory.mktemp("comparing") / "runs"
    for name, model, seed, epochs in (
        ("dense", "mlp-128", 0, 2),
        ("conv", "slim-cnn", 0, 2),
        ("other", "mlp-128", 5, 1),
    ):
        fl.fit(model, "digits", epochs=epochs, seed=seed, out=root / name, console=QUIET)
    hostile = _renamed(few_digits)
    for name, model in (("hostile-a", "mlp-128"), ("hostile-b", "softmax-regression")):
        fl.fit(model, hostile, epochs=1, out=root / name, console=QUIET)
    shutil.copytree(root / "dense", root / "unfinished")
    (root / "unfinished" / "result.json").unlink()
    with dashboards(root) as served:
        yield served


def _renamed(digits: Dataset) -> Dataset:
    """The digits 0, 1 and 2 under other names."""
    train = digits.splits["train"]
    keep = train.labels < 3
    images = Images(train.pixels[keep], train.labels[keep], train.ids[keep], HOSTILE)
    return Dataset("hostile", {"train": images})


def _address(served: Any, *names: str) -> str:
    return f"{served.url}/compare?" + "&".join(f"run={served.id(name)}" for name in names)


def _pair(served: Any, first: str, second: str, rest: str = "") -> httpx.Response:
    path = f"{served.url}/api/compare/{served.id(first)}/{served.id(second)}{rest}"
    return httpx.get(path, timeout=30, trust_env=False)


def _right(served: Any, name: str) -> dict[str, bool]:
    predictions = RunFolder.open(served.root / name).predictions["test"]
    return dict(zip(predictions.ids.tolist(), predictions.correct.tolist(), strict=True))


def _shown(served: Any, src: str) -> Array:
    from io import BytesIO

    from PIL import Image

    return np.asarray(Image.open(BytesIO(httpx.get(served.url + src, trust_env=False).content)))


@pytest.mark.slow
def test_tables_fit_or_say_that_they_go_on(comparing: Any, page_at: Any) -> None:
    widths = "[...document.querySelectorAll('.report .scroll')].map(box => box.scrollWidth - box.clientWidth)"
    said = "[...document.querySelectorAll('.report .scroll.cut')].length"
    page = page_at(width=1280)
    page.goto(_address(comparing, "dense", "conv", "hostile-a"))
    page.wait_for_function(f"{widths}.length > 3")
    assert page.evaluate(widths) == [0] * len(page.evaluate(widths))
    assert page.evaluate(said) == 0
    page.set_viewport_size({"width": 500, "height": 900})
    page.wait_for_function(f"{said} > 0")
    assert page.evaluate(said) == sum(width > 1 for width in page.evaluate(widths))
    hint = "getComputedStyle(document.querySelector('.scroll.cut + figcaption'), '::before').content"
    assert "continues to the right" in page.evaluate(hint)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_says_what_the_report_of_the_comparison_says(comparing: Any) -> None:
    text = httpx.get(_address(comparing, "dense", "conv"), trust_env=False).text
    document = report.build_document(Comparison([RunFolder.open(comparing.root / name) for name in ("dense", "conv")]))
    assert document.verdict in unescape(text)
    for section in document.sections:
        assert f'<section id="{section.anchor}"><h2>{section.title}</h2>' in text
    assert "model.name" in text  # a setting that differs
    assert ' style="' not in text  # which the page's policy would refuse


def test_the_cells_count_what_the_predictions_say(comparing: Any) -> None:
    found = _pair(comparing, "dense", "conv").json()
    a, b = _right(comparing, "dense"), _right(comparing, "conv")
    expected = dict.fromkeys(CELLS, 0)
    for sample, first in a.items():
        expected[CELLS[(0 if b[sample] else 1) if first else (2 if b[sample] else 3)]] += 1
    assert found["paired"]
    assert found["cells"] == expected
    assert expected["only_first"] or expected["only_second"], "the two nets are too alike to test with"
    assert sum(row["images"] for row in found["classes"]) == len(a)
    assert [sum(row["alone"][n] for row in found["classes"]) for n in (0, 1)] == [
        expected["only_first"],
        expected["only_second"],
    ]
    shares = np.average(
        [row["accuracies"] for row in found["classes"]], axis=0, weights=[row["images"] for row in found["classes"]]
    )
    assert shares == pytest.approx([np.mean(list(a.values())), np.mean(list(b.values()))])


def test_the_first_and_the_second_change_places(comparing: Any) -> None:
    one, other = _pair(comparing, "dense", "conv").json(), _pair(comparing, "conv", "dense").json()
    assert one["cells"]["only_first"] == other["cells"]["only_second"]
    assert one["said"].split("(")[0] == other["said"].split("(")[0], "who is ahead does not rest on the order"


def test_the_images_of_a_cell_are_those_that_its_name_says(comparing: Any, digits: Dataset) -> None:
    """Over all pages: each image once, each with the answers that the predictions hold, and its own pixels."""
    train = digits.splits["train"]
    labelled = {train.pixels[i, :, :, 0].tobytes(): str(train.labels[i]) for i in range(len(train))}
    for cell in CELLS:
        first = _pair(comparing, "dense", "conv", f"/{cell}").json()
        assert first["total"] == _pair(comparing, "dense", "conv").json()["cells"][cell]
        images = list(first["images"])
        for page in range(1, first["pages"]):
            images += _pair(comparing, "dense", "conv", f"/{cell}?page={page}").json()["images"]
        assert len({image["src"] for image in images}) == len(images) == first["total"]
        for image in images:
            right = [answer["name"] == image["true"] for answer in image["answers"]]
            assert CELLS[(0 if right[1] else 1) if right[0] else (2 if right[1] else 3)] == cell
        for image in images[:3]:
            assert labelled[_shown(comparing, image["src"]).tobytes()] == image["true"]


def test_the_images_of_one_class(comparing: Any) -> None:
    rows = _pair(comparing, "dense", "conv").json()["classes"]
    row = max(rows, key=lambda row: max(row["alone"]))
    n = int(np.argmax(row["alone"]))
    found = _pair(comparing, "dense", "conv", f"/{('only_first', 'only_second')[n]}?true={row['true']}").json()
    assert found["total"] == row["alone"][n] > 0
    assert {image["true"] for image in found["images"]} == {row["name"]}


def test_runs_on_other_test_images_cannot_be_paired_and_are_told_so(comparing: Any) -> None:
    found = _pair(comparing, "dense", "other").json()
    assert not found["paired"]
    assert "cannot be paired image by image" in found["said"]
    assert "not tested on the same images" in found["said"]
    found = _pair(comparing, "dense", "hostile-a").json()
    assert "dense has 10 classes of digits" in found["said"]
    answer = _pair(comparing, "dense", "other", "/both")
    assert answer.status_code == 404
    assert "cannot be paired" in answer.json()["error"]
    assert "not tested on the same images" in httpx.get(_address(comparing, "dense", "other"), trust_env=False).text


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("/all", "no cell called 'all'"),
        ("/both?page=-1", "page is an integer"),
        ("/both?page=99999", "page is a"),
        ("/both?true=10", "true is a"),
        ("/both?true=²", "true is a"),
    ],
)
def test_what_there_is_not_is_refused(comparing: Any, rest: str, said: str) -> None:
    answer = _pair(comparing, "dense", "conv", rest)
    assert answer.status_code == 404
    assert said in answer.json()["error"]


def test_an_unknown_run_is_told(comparing: Any) -> None:
    for path in ("/compare?run=../../etc", f"/api/compare/{comparing.id('dense')}/0123456789ab"):
        answer = httpx.get(comparing.url + path, trust_env=False)
        assert answer.status_code == 404
        assert "There is nothing with the id" in answer.text


def test_a_run_without_a_result_is_left_out(comparing: Any) -> None:
    text = unescape(httpx.get(_address(comparing, "dense", "unfinished"), trust_env=False).text)
    assert "unfinished is left out." in text
    assert "has no result yet" in text
    assert "dense is right on" in text
    alone = httpx.get(_address(comparing, "unfinished"), trust_env=False)
    assert alone.status_code == 200
    assert "Choose the runs to compare" in alone.text


def test_a_run_whose_file_is_damaged_is_left_out(comparing: Any, tmp_path: Path, dashboards: Any) -> None:
    for name in ("dense", "spoilt"):
        shutil.copytree(comparing.root / "dense", tmp_path / name)
    file = tmp_path / "spoilt" / "experiment.toml"
    file.write_text(re.sub(r"(?m)^seed = .*$", 'seed = "x"', file.read_text()))
    with dashboards(tmp_path) as served:
        answer = httpx.get(_address(served, "dense", "spoilt"), trust_env=False)
    assert answer.status_code == 200
    assert "spoilt is left out." in unescape(answer.text)
    assert "seed: must be an integer; received 'x'" in unescape(answer.text)


def test_without_any_run_the_page_says_where_to_begin(tmp_path: Path, dashboards: Any) -> None:
    with dashboards(tmp_path) as served:
        assert "There is no run with a result yet" in httpx.get(f"{served.url}/compare", trust_env=False).text


def test_runs_that_differ_in_the_seed_are_one(comparing: Any) -> None:
    """As in `firstlight compare`: dense and other are the same recipe but for epochs; dense twice is one run."""
    twice = httpx.get(_address(comparing, "dense", "dense"), trust_env=False).text
    assert "dense is right on" in twice


def test_choose_compare_and_look(comparing: Any, page: Any) -> None:
    page.goto(f"{comparing.url}/compare")
    for name in ("dense", "conv"):
        page.get_by_label(name, exact=True).check()
    page.get_by_role("button", name="Compare").click()
    page.locator(".cells button").first.wait_for()
    cells = _pair(comparing, "dense", "conv").json()["cells"]
    # as the page orders them: by when they changed
    order = [page.locator(f"#{name}").evaluate("e => e.selectedOptions[0].textContent") for name in ("first", "second")]
    assert set(order) == {"dense", "conv"}
    shown = [int(text) for text in page.locator(".cells button").all_inner_texts()]
    swapped = order != ["dense", "conv"]
    assert shown == [cells[name] for name in ("both", *CELLS[1:3][:: -1 if swapped else 1], "neither")]

    page.locator('[data-cell="neither"]').click()
    page.locator(".pairs img").first.wait_for()
    assert page.locator(".pairs li").count() == min(24, cells["neither"])
    assert page.locator(".pairs li").first.locator(".wrong-answer").count() == 2
    assert page.locator('[data-cell="neither"]').get_attribute("aria-pressed") == "true"
    page.wait_for_function("document.querySelectorAll('.report .drawing svg').length >= 6")

    page.locator(".classes button").first.click()
    page.locator(".pairs li .right-answer").first.wait_for()
    assert page.locator(".pairs li .right-answer").count() == page.locator(".pairs li .wrong-answer").count() > 0


def test_another_pair_is_looked_at_by_keyboard(comparing: Any, page: Any) -> None:
    page.goto(_address(comparing, "dense", "conv", "other"))
    page.locator(".cells button").first.wait_for()
    page.locator("#second").select_option(label="other")
    page.locator("#said.not").wait_for()
    assert "cannot be paired" in page.locator("#said").inner_text()
    assert page.locator("#agreement").is_hidden()
    page.locator("#second").select_option(label="dense")
    page.get_by_text("Choose two different runs.").wait_for()


def test_a_phone_shows_it_without_scrolling_sideways(comparing: Any, page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(_address(comparing, "dense", "conv"))
    page.locator(".cells button").first.click()
    page.locator(".pairs img").first.wait_for()
    page.wait_for_function("document.querySelectorAll('.report .drawing svg').length >= 6")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_hostile_names_stay_text_and_images_that_are_gone_say_so(comparing: Any, page: Any) -> None:
    """The images were given as arrays, so only those that the run folders keep can be shown."""
    page.goto(_address(comparing, "hostile-a", "hostile-b"))
    page.locator('[data-cell="both"]').click()
    page.locator("#shown h3").wait_for()
    assert HOSTILE[0] in page.locator(".classes").inner_text()
    assert "Only the" in page.locator("#shown .note").first.inner_text()
    page.wait_for_function("document.querySelectorAll('.report .drawing svg').length >= 6")
    assert page.locator("main img[src=x]").count() == 0
    assert page.locator("main script:not([type='application/json'])").count() == 0
