"""What each page of the report shows, in the order in which a reader asks: the one list of its sections.

A section is a file in report/sections/, named here once for each page that shows it. What the dashboard shows of a run
and of runs side by side are these pages, and a card in a notebook is a few of their sections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from firstlight.records.explanation import Explanation
from firstlight.report.document import Section, chapter


@dataclass(frozen=True, eq=False)
class Chapter:
    """Sections under one title; `anchor` names it in the page's address."""

    title: str
    anchor: str
    sections: tuple[str, ...]


Contents = Sequence[str | Chapter]

EXPLAINED: Contents = (  # what `firstlight explain` found
    Chapter("Layers", "layers", ("feature_maps", "filters", "activation_statistics")),
    Chapter("Attribution", "looks", ("attribution", "activation_maximization")),
    Chapter("Embedding", "neighbourhoods", ("embedding", "separation")),
    Chapter("Mistakes and their neighbours", "nearest", ("neighbours", "label_errors", "confused_images")),
)
RUN: Contents = (
    "summary",
    Chapter("Before you trust it", "notes", ("cautions", "outdated_explanation")),
    Chapter("The images", "images", ("samples", "augmentation", "class_counts", "near_copies")),
    "layers",
    Chapter("Learning", "learning", ("learning", "step_loss")),
    Chapter("Right and wrong predictions", "results", ("confusion", "per_class")),
    "metrics",
    "calibration",
    "novelty",
    Chapter("Test images", "answers", ("answers", "mistakes", "explain_command")),
    *EXPLAINED,
    "exports",
    "reproduce",
    "terms",
)
# The card of a model, in Markdown: what a table or a text says.
CARD = ("cautions", "layers", "metrics", "per_class", "confusion", "exports", "reproduce")
COMPARED: Contents = (  # what the pages of a comparison and of a study have in common
    "cautions",
    "folds",
    "accuracy",
    "metrics",
    "trade_off",
    "significance",
    "corrections",
    "ensemble",
    "main_effects",
    "learning",
    "engines",
    "per_class",
    "confusion",
    "calibration",
    Chapter("The images", "images", ("samples", "mistakes", "near_copies")),
    "doubted_labels",
    "settings_differences",
    "every_run",
)
COMPARISON: Contents = ("results", *COMPARED, "reproduce")
SEARCH: Contents = ("search_cautions", "search_history", "setting_importance", "setting_values", "best_trials")
RATE: Contents = ("rate_curve", "rate_measurement")
PARITY: Contents = (
    "parity_layers",
    "parity_parameters",
    "parity_graph",
    "parity_training",
    "parity_speed",
    "parity_measurement",
)

# Cards in notebooks: sections of the page by their anchors, and for an explanation sections with their titles.
RUN_CARD = ("learning", "results", "answers", "asked", "notes")
STUDY_CARD = ("tried", "folds", "significance", "learning", "notes")
SEARCH_CARD = ("history", "settings", "best", "file", "notes")
PARITY_CARD = ("wrong", "layers", "runs", "parameters", "seconds")
EXPLANATION_CARD = {
    "attribution": "Attribution",
    "activation_maximization": "Activation maximization",
    "feature_maps": "Feature maps of one image",
    "filters": "Filters of the first layer",
    "activation_statistics": "Activation statistics",
    "neighbours": "The most confident mistakes and their nearest training images",
    "label_errors": "Suspected label errors",
    "separation": "Class separation",
}
# The page of a run in the dashboard: the kinds of blocks whose sections it shows before the others.
DASHBOARD_FIRST = ("learning", "confusion", "embedding")

LINKING = ("results", "every_run")  # with links to other reports, from the folder in which the page will lie


def sections(contents: Contents, subject: Any, folder: Path | None = None) -> tuple[Section, ...]:
    """The sections of a page that there are of its subject: groups of runs, a search, or a parity check.

    folder  where the page will lie; the folder in which the code runs where none is given
    """
    made = (
        chapter(part.title, part.anchor, *(_section(name, subject, folder) for name in part.sections))
        if isinstance(part, Chapter)
        else _section(part, subject, folder)
        for part in contents
    )
    return tuple(section for section in made if section is not None)


def explanation_card(explanation: Explanation, class_names: Sequence[str]) -> tuple[Section, ...]:
    """The sections of an explanation that is shown without its run."""
    made = ((title, _module(name).card(explanation, class_names)) for name, title in EXPLANATION_CARD.items())
    return tuple(Section(title, title, blocks) for title, blocks in made if blocks)


def _section(name: str, subject: Any, folder: Path | None) -> Section | None:
    given = (subject, folder or Path()) if name in LINKING else (subject,)
    found: Section | None = _module(name).section(*given)
    return found


def _module(name: str) -> Any:
    """The section's file, which is read where a page shows it and not before."""
    return import_module(f"firstlight.report.sections.{name}")
