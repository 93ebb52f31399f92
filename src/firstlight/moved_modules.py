"""Modules that have moved: their old names are found for one more release, with a DeprecationWarning.

It comes with every import of firstlight, so it does without importlib.abc, which takes as long as all the rest.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

# Old and new, below firstlight. What lay in a package that moved is found under the same name in the new one.
MOVED = {
    "agreement": "engine_parity",
    "agreement.abreast": "engine_parity.side_by_side",
    "agreement.record": "records.parity",
    "data.decode": "data.decoding",
    "data.fetch": "data.download",
    "data.own": "data.image_files",
    "environments": "records.environment",
    "explanations": "records.explanation",
    "prepare.augment": "prepare.augmentation",
    "report.content": "report.document",
    "report.numbers": "report.format",
    "report.record": "records.run",
    "runs": "records.run_folder",
    "searches": "records.search_folder",
    "study": "experiments",
    "study.experiment": "experiments.config",
    "study.ledger": "experiments.search.storage",
    "study.places": "experiments.paths",
    "study.recall": "experiments.reload_images",
    "study.run": "experiments.train",
    "study.seen": "experiments.lineage",
    "study.space": "experiments.search.space",
    "study.trial": "experiments.search.trial",
    "study.tune": "parallel.searches",
    "workers": "parallel",
}


def present_name(name: str) -> str | None:
    """What a module below firstlight is called now; None where it has not moved."""
    if name in MOVED:
        return MOVED[name]
    parent, _, rest = name.rpartition(".")
    return f"{MOVED[parent]}.{rest}" if parent in MOVED else None


class MovedModules:
    """Finds and loads the modules that have moved, as the very modules that they are now."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        return ModuleSpec(fullname, cast("Loader", self)) if package == "firstlight" and present_name(name) else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make one, which `exec_module` replaces."""

    def exec_module(self, module: ModuleType) -> None:
        from firstlight.cautions import Caution

        old = module.__name__
        new = f"firstlight.{present_name(old.partition('.')[2])}"
        warnings.warn(
            Caution.RENAMED.text(f"{old} is now {new}. The old name works for one more release."),
            DeprecationWarning,
            stacklevel=2,
        )
        sys.modules[old] = importlib.import_module(new)


def install() -> None:
    """Let Python ask for these first: an old package would otherwise be read a second time, under its old name."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedModules())
