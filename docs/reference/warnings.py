"""Every kind of warning: warnings.md, and a page each."""

from __future__ import annotations

from docs.reference.markdown import escaped, table

from firstlight.cautions import Caution, Explanation

INTRODUCTION = """\
# Warnings

Made by `python -m docs.reference` from the program itself. A warning ends in its code, such as `(FL103)`, on the \
terminal, in a notebook, in the report and in the dashboard; `firstlight help FL103` explains it without this book. A \
warning changes nothing of what the program does: a mistake that cannot be gone on with is an error, whose message \
says what to do."""

CHAPTERS = {
    "FL1": "Images, labels and splits",
    "FL2": "Training and searching",
    "FL3": "Comparing",
    "FL4": "Using a model",
    "FL5": "Files, reports and components of your own",
}


def page() -> str:
    """The text of warnings.md."""
    found = [caution.value for caution in Caution]
    parts = [INTRODUCTION]
    for start, title in CHAPTERS.items():
        those = [each for each in found if each.code.startswith(start)]
        rows = [(f"[{each.code}](warnings/{each.code}.md)", each.title) for each in those]
        parts += [f"## {title}", table(("code", ""), rows)]
    toctree = "\n".join(f"warnings/{each.code}" for each in found)
    return "\n\n".join(parts) + f"\n\n```{{toctree}}\n:hidden:\n\n{toctree}\n```\n"


def pages() -> dict[str, str]:
    """The text of each page by its name, such as "warnings/FL103.md"."""
    return {f"warnings/{caution.value.code}.md": _of(caution.value) for caution in Caution}


def _of(about: Explanation) -> str:
    return (
        f"# {about.code}: {about.title}\n\n{escaped(about.meaning)}\n\n**What to do.** {escaped(about.remedy)}\n\n"
        "[All warnings](../warnings.md)\n"
    )
