"""An image through an exported page in a browser: milliseconds of the net, and from the end of a stroke to the answer.

    python -m benchmarks.html_export [--rounds 7] [--images 100]

The pages of some nets, trained for one epoch on noise, are opened from their files in Debian's chromium (or Chrome)
without a window. In each round each page answers so many images, one page after another; prints a table in Markdown
with the bytes of the page, and the median over all images with the quartiles of the rounds' medians.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright
from rich.console import Console

import firstlight as fl
from firstlight.types import Dataset, Images, Shape

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NETS: dict[str, Shape] = {"lenet5": (28, 28, 1), "slim-cnn": (28, 28, 1), "vgg-small": (32, 32, 3)}
LIMITS = {"lenet5": (500_000, 5.0), "vgg-small": (4_000_000, 300.0)}  # bytes and milliseconds

# Twenty images between two looks at the clock, of which a browser rounds each.
NET = """(images) => {
  const { operations, size } = JSON.parse(document.getElementById("model").textContent);
  window.timed ??= new Net(operations, document.getElementById("weights").textContent, size);
  const image = new Uint8Array(timed.image.length);
  const found = [];
  for (let i = 0; i < images; i += 20) {
    for (let p = 0; p < image.length; p++) image[p] = Math.random() * 256;
    const began = performance.now();
    for (let k = 0; k < 20; k++) timed.probabilities(image);
    found.push((performance.now() - began) / 20);
  }
  return found;
}"""
# From the end of a stroke until its answer, with the maps of all layers, has been painted.
STROKE = """async (strokes) => {
  const sheet = document.getElementById("sheet");
  const box = sheet.getBoundingClientRect();
  sheet.setPointerCapture = () => {};
  const send = (type, x, y) => {
    const place = { clientX: box.left + x * box.width, clientY: box.top + y * box.height };
    sheet.dispatchEvent(new PointerEvent(type, { pointerId: 1, bubbles: true, cancelable: true, ...place }));
  };
  const found = [];
  for (let i = 0; i < strokes; i++) {
    send("pointerdown", 0.3, 0.2 + (0.6 * i) / strokes);
    send("pointermove", 0.7, 0.3 + (0.4 * i) / strokes);
    const began = performance.now();
    send("pointerup", 0.7, 0.3);
    await new Promise((done) => setTimeout(() => requestAnimationFrame(() => setTimeout(done))));
    found.push(performance.now() - began);
  }
  return found;
}"""


def exported(name: str, shape: Shape, folder: Path) -> Path:
    """The page of a net that was trained on noise, proved on some."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, *shape), np.uint8)
    images = Images(pixels, np.arange(60) % 10, np.arange(60).astype(str), tuple("abcdefghij"))
    data = Dataset("noise", {"train": images})
    run = fl.fit(name, data, epochs=1, batch_size=30, out=folder / name, console=Console(quiet=True))
    record = run.export("html", weights="float32")
    return run.path / record.path


def summary(rounds: list[list[float]]) -> str:
    """The median over all, and the quartiles of the rounds' medians."""
    low, _, high = statistics.quantiles([statistics.median(one) for one in rounds], n=4)
    return f"{statistics.median([value for one in rounds for value in one]):.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Export, measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=100)
    asked = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        parser.error("No browser was found: install chromium.")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        paths = {name: exported(name, shape, Path(folder)) for name, shape in NETS.items()}
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        print(f"{Path(browser).name} {chromium.version}; {asked.rounds} rounds of {asked.images} images\n")
        pages: dict[str, Page] = {}
        for name, path in paths.items():
            pages[name] = chromium.new_page()
            pages[name].goto(path.as_uri())
        net: dict[str, list[list[float]]] = {name: [] for name in NETS}
        stroke: dict[str, list[list[float]]] = {name: [] for name in NETS}
        for _ in range(asked.rounds):
            for name, page in pages.items():
                page.bring_to_front()
                net[name].append(page.evaluate(NET, asked.images))
                stroke[name].append(page.evaluate(STROKE, 10))
        print("| net | page, bytes | allowed | ms an image, median (quartiles) | allowed | ms from pen to answer |")
        print("|---|--:|--:|--:|--:|--:|")
        for name, path in paths.items():
            size, slowest = LIMITS.get(name, ("", ""))
            most = f"{size:,}" if isinstance(size, int) else ""
            print(
                f"| {name} | {path.stat().st_size:,} | {most} | {summary(net[name])} | {slowest} "
                f"| {summary(stroke[name])} |"
            )


if __name__ == "__main__":
    main()
