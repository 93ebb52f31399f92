"""The pictures of README and docs: draws a net, trains three, explains them, and photographs report and dashboard.

    make screenshots        # or: .venv/bin/python docs/screenshots.py [--runs FOLDER]

It needs Debian's chromium (or Chrome), MNIST and Fashion-MNIST (downloaded, or in FIRSTLIGHT_DATA), and some minutes.
Runs that lie in FOLDER already are photographed as they are.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import firstlight as fl
from firstlight import report
from firstlight.app import create_app
from firstlight.app.index import Index
from firstlight.files import write_text
from firstlight.serve import Service, named_runs
from firstlight.web.server import in_thread

IMAGES = Path(__file__).absolute().parent / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "lenet5-fashion": {"data": {"source": "fashion-mnist"}, "model": {"name": "lenet5"}, "training": {"epochs": 5}},
    "slim-cnn-fashion": {
        "data": {"source": "fashion-mnist"},
        "prepare": {"standardise": "channel"},
        "model": {"name": "slim-cnn"},
        "optimizer": {"lr": 5e-3},
        "schedule": {"name": "one-cycle"},
        "training": {"epochs": 4, "batch_size": 64},
    },
    "cnn-mnist": {"data": {"source": "mnist"}, "model": {"name": "mnist-cnn"}, "training": {"epochs": 2}},
}
WIDE, HIGH = 1280, 860


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="where the runs are, or are put; a temporary folder by default")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = (asked.runs or Path(temporary) / "runs").absolute()
        make(root)
        write_text(IMAGES / "net.svg", fl.models.resnet20().svg())
        browser = next(filter(None, map(shutil.which, BROWSERS)), None)
        if browser is None:
            parser.error("No browser was found: install chromium.")
        with served(root) as address, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
            photograph(chromium, root, address)


def make(root: Path) -> None:
    """The runs that are missing, explained, with their reports."""
    for name, tables in EXPERIMENTS.items():
        fl.load(tables["data"]["source"])  # the pages show its images, and download none
        if not (root / name / "result.json").is_file():
            fl.run(tables, out=root / name)
        run = fl.open_run(root / name)
        if not (root / name / "explanation.npz").is_file():
            run.explain()
        run.report()
        if not (root / name / "report.pdf").is_file():
            run.report(pdf=True)
    pair = [fl.open_run(root / name).folder for name in ("lenet5-fashion", "slim-cnn-fashion")]
    report.write(report.Comparison(pair, "Two nets on Fashion-MNIST"), root / "comparison.html")


@contextlib.contextmanager
def served(root: Path) -> Iterator[str]:
    """The dashboard of the runs, on a free port."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(root.parent))  # by its short name, which is what the pages show
        app = create_app(Path(root.name), token="screenshots", hosts=("127.0.0.1",))
        yield stack.enter_context(in_thread(app))


def photograph(browser: Browser, root: Path, address: str) -> None:
    """All pictures."""
    page = browser.new_page(viewport={"width": WIDE, "height": HIGH})
    page.goto((root / "lenet5-fashion" / "report.html").as_uri())
    page.wait_for_timeout(2000)
    keep(page, "report")
    for anchor in ("looks", "neighbourhoods", "nearest"):
        page.locator(f"section#{anchor}").evaluate("section => section.scrollIntoView({behavior: 'instant'})")
        page.wait_for_timeout(800)
        keep(page, f"report-{anchor}")
    page.goto((root / "comparison.html").as_uri())
    page.wait_for_timeout(1500)
    keep(page, "report-comparison")
    photograph_dashboard(page, root, address)
    photograph_service(page, root / "lenet5-fashion")
    photograph_export(page, root / "cnn-mnist")


def photograph_dashboard(page: Page, root: Path, address: str) -> None:
    """Each page of the dashboard, with something to see on it."""
    ids = {entry.name: entry.id for entry in Index(root).entries()}
    lenet5, slim, mnist = (ids[name] for name in EXPERIMENTS)
    page.goto(address)
    page.wait_for_selector("table tbody tr")
    page.wait_for_timeout(500)
    keep(page, "view-runs")

    page.goto(f"{address}/run/{lenet5}#report-results")
    page.wait_for_selector("#tiles img")
    page.select_option("#true", label="Shirt")
    page.select_option("#predicted", label="T-shirt/top")
    page.select_option("#answer", "")
    page.wait_for_timeout(500)
    page.locator("#tiles img").first.click()
    page.wait_for_timeout(3000)
    keep(page, "view-run")

    page.set_viewport_size({"width": WIDE, "height": 1300})
    page.goto(f"{address}/draw?run={mnist}")
    page.wait_for_timeout(2000)
    draw_three(page)
    page.wait_for_timeout(1500)
    keep(page, "view-draw")
    page.set_viewport_size({"width": WIDE, "height": HIGH})

    photograph_step(page, address)
    page.goto(f"{address}/compare?run={lenet5}&run={slim}")
    page.wait_for_timeout(2500)
    keep(page, "view-compare")
    page.set_viewport_size({"width": WIDE, "height": 1050})
    page.goto(f"{address}/review?run={lenet5}")
    page.wait_for_selector("#near img", timeout=120_000)
    page.wait_for_timeout(500)
    keep(page, "view-review")
    page.set_viewport_size({"width": WIDE, "height": HIGH})
    page.goto(f"{address}/start?run={slim}")
    page.wait_for_timeout(2500)
    keep(page, "view-start")


def photograph_step(page: Page, address: str) -> None:
    """A convolution of LeNet-5 that has learnt nothing, and one of its outputs taken apart."""
    page.set_viewport_size({"width": WIDE, "height": 1150})
    page.goto(f"{address}/step?of=model-lenet5&data=mnist")
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    page.select_option("#layers", label="conv2 · Conv2D")
    output = page.locator('.tensor[data-of="y"] .map')
    output.wait_for()
    for key in ("PageDown", *["ArrowDown"] * 4, *["ArrowRight"] * 5):
        output.press(key)
    page.locator("#working[data-of]").wait_for()
    page.locator("#numbers").evaluate("section => section.scrollIntoView({behavior: 'instant'})")
    page.evaluate("scrollBy({top: -70, behavior: 'instant'})")
    page.wait_for_timeout(1000)
    keep(page, "view-step")
    page.set_viewport_size({"width": WIDE, "height": HIGH})


def photograph_service(page: Page, path: Path) -> None:
    """The page of `firstlight serve`, with the answer to one of the run's test images."""
    kept = fl.open_run(path).folder.samples["test"]
    boot = kept.pixels[kept.labels == kept.class_names.index("Ankle boot")][0, :, :, 0]
    service = Service(named_runs([str(path)]))
    with tempfile.TemporaryDirectory() as folder, in_thread(service) as address:
        Image.fromarray(boot).save(Path(folder) / "image.png")
        page.goto(address)
        page.set_input_files("#file", Path(folder) / "image.png")
        page.wait_for_selector("#bars li")
        page.wait_for_timeout(500)
        example = page.locator("#example")
        usual = example.inner_text().replace(address, "http://127.0.0.1:8000")
        example.evaluate("(example, text) => { example.textContent = text; }", usual)
        keep(page, "serve")
    service.end()


def photograph_export(page: Page, path: Path) -> None:
    """The page that a run's model is exported to, with a drawing."""
    record = fl.open_run(path).export("html")
    page.set_viewport_size({"width": WIDE, "height": 1300})
    page.goto((path / record.path).as_uri())
    draw_three(page)
    page.wait_for_timeout(1500)
    keep(page, "export-html")


def keep(page: Page, name: str) -> None:
    """What is seen of the page, as a small PNG of at most 256 colours."""
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.quantize(256, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)
    print(IMAGES / f"{name}.png")


def draw_three(page: Page) -> None:
    """A 3 by the mouse on the sheet of the page Draw."""
    box = page.locator("#sheet").bounding_box()
    assert box is not None
    arcs = [((0.48, 0.34), -2.4, 1.45), ((0.48, 0.66), -1.45, 2.4)]  # centre, from and to, in radians
    points = [
        (cx + 0.17 * math.cos(start + (end - start) * i / 14), cy + 0.16 * math.sin(start + (end - start) * i / 14))
        for (cx, cy), start, end in arcs
        for i in range(15)
    ]
    points_at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*points_at[0])
    page.mouse.down()
    for x, y in points_at[1:]:
        page.mouse.move(x, y, steps=2)
    page.mouse.up()


if __name__ == "__main__":
    main()
