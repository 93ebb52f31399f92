"""Builds the book: the site in build/site, and the same as one PDF in it. `make docs` runs this.

Tutorials are run, derivations made from the sources of layers and losses; a broken link, a name that is not explained,
a cell that fails is an error. Nothing is read from the net, neither now nor by the site.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from sphinx.cmd.build import build_main

DOCS = Path(__file__).absolute().parent
BUILD = DOCS.parent / "build"
SITE, ONE_PAGE = BUILD / "site", BUILD / "one-page"
PDF = SITE / "firstlight.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    shutil.rmtree(SITE, ignore_errors=True)
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
