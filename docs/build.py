"""Builds the book: the site in build/site, and the same as one PDF in it. `make docs` runs it, `python -m docs.build`.

Tutorials are run, derivations made from the sources of layers and losses; a broken link, a name that is not explained,
a cell that fails is an error. Nothing is read from the net, neither now nor by the site.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from sphinx.cmd.build import build_main

DOCS = Path(__file__).absolute().parent
BUILD = DOCS.parent / "build"
SITE, ONE_PAGE = BUILD / "site", BUILD / "one-page"
PDF = SITE / "firstlight.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Each chapter begins a page, and a list of the chapters and their pages stands before the first.
CONTENTS = """() => {
  const list = document.createElement("ul");
  list.id = "contents";
  const chapters = [...document.querySelectorAll(".toctree-wrapper > section, .toctree-wrapper > span + section")];
  for (const section of chapters) {
    const heading = section.querySelector("h1, h2, h3, h4, h5, h6");
    const depth = Number(heading.tagName.slice(1));
    if (depth > 3 || /^FL\\d|^\\d{4}/.test(heading.textContent)) continue;
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = `#${section.id}`;
    link.textContent = heading.childNodes[0].textContent;
    item.style.marginLeft = `${depth - 2}em`;
    item.append(link);
    list.append(item);
    if (depth === 2) section.classList.add("chapter");
  }
  document.querySelector(".toctree-wrapper").before(list);
}"""


def main() -> int:
    shutil.rmtree(SITE, ignore_errors=True)
    subprocess.run([sys.executable, DOCS / "derivations.py"], check=True)
    common = ["-n", "-W", "--keep-going", "-q", "-d", str(BUILD / "doctrees"), str(DOCS)]
    for builder, out in (("html", SITE), ("singlehtml", ONE_PAGE)):  # the second one reads what the first one has read
        if failed := build_main(["-E" if builder == "html" else "-q", "-b", builder, *common, str(out)]):
            return failed
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("No browser was found to print the PDF with: install chromium.", file=sys.stderr)
        return 1
    print_pdf(browser)
    print(f"{SITE / 'index.html'}\n{PDF}")
    return 0


def print_pdf(browser: str) -> None:
    """The book on A4, with bookmarks and the numbers of its pages."""
    number = '<div style="font-size: 8px; width: 100%; text-align: center"><span class="pageNumber"></span></div>'
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page()
        page.goto((ONE_PAGE / "index.html").as_uri())
        page.evaluate(CONTENTS)
        page.pdf(
            path=PDF,
            format="A4",
            margin={"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
            print_background=True,
            display_header_footer=True,
            header_template="<div></div>",
            footer_template=number,
            outline=True,
            tagged=True,
        )
        chromium.close()


if __name__ == "__main__":
    sys.exit(main())
