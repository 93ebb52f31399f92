"""Writes every page of the reference that is not current: python -m docs.reference"""

from __future__ import annotations

from pathlib import Path

from docs.reference import components, experiment

FOLDER = Path(__file__).absolute().parent
PAGES = {"components.md": components.page, "experiment.md": experiment.page}


def main() -> None:
    for name, page in PAGES.items():
        text, path = page(), FOLDER / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
