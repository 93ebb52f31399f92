"""Writes every page of the reference that is not current: python -m docs.reference"""

from __future__ import annotations

from pathlib import Path

from docs.reference import commands, components, dashboard, experiment, python, run_folder, warnings

FOLDER = Path(__file__).absolute().parent


def pages() -> dict[str, str]:
    """The text of each page by its name. Raises ValueError where a name is not explained."""
    modules = (commands, components, dashboard, experiment, python, run_folder, warnings)
    return {f"{module.__name__.rpartition('.')[2]}.md": module.page() for module in modules} | warnings.pages()


def main() -> None:
    for name, text in pages().items():
        path = FOLDER / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
