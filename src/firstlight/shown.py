"""How things show themselves in a notebook, which asks each one for `_repr_html_`.

What draws them, the report, lies far above the records that are drawn. So these know only that there is something
that draws: `firstlight/__init__.py` says what, and it is loaded when a notebook first asks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_draw: Callable[[object], str] | None = None


def drawn_by(draw: Callable[[object], str]) -> None:
    """Say what makes HTML of anything that is `Shown`."""
    global _draw
    _draw = draw


class Shown:
    """What shows itself in a notebook."""

    def _repr_html_(self) -> str | None:
        return None if _draw is None else _draw(self)


class ReportPath(Path, Shown):
    """The path of a report, which shows the report in a notebook; paths made from it do not."""

    _flavour = getattr(type(Path()), "_flavour", None)  # Python 3.11 makes no subclass of Path without it
    subject: object = None

    @classmethod
    def of(cls, path: Path, subject: object) -> ReportPath:
        """The path of the report of a run."""
        made = cls(path)
        made.subject = subject
        return made

    def _repr_html_(self) -> str | None:
        return None if self.subject is None else super()._repr_html_()
