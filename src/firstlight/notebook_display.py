"""How things show themselves in a notebook, which asks each one for `_repr_html_`.

What draws them, the report, lies far above the records that are drawn. So these know only that there is something
that draws: `firstlight/__init__.py` says what, and it is loaded when a notebook first asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from dataclasses import fields
from pathlib import Path

LISTED = 3  # items of a list that is printed
LETTERS = 80  # of another value

_draw: Callable[[object], str] | None = None


def drawn_by(draw: Callable[[object], str]) -> None:
    """Say what makes HTML of anything that is `Shown`."""
    global _draw
    _draw = draw


class Shown:
    """What shows itself in a notebook."""

    def _repr_html_(self) -> str | None:
        return None if _draw is None else _draw(self)


class Brief:
    """What says of its arrays only their kind and shape, where it is printed: a notebook keeps that text.

    For dataclasses that make no `__repr__` of their own.
    """

    def __repr__(self) -> str:
        names = [field.name for field in fields(self) if not field.name.startswith("_")]  # type: ignore[arg-type]
        parts = ", ".join(f"{name}={_brief(getattr(self, name))}" for name in names)
        return f"{type(self).__name__}({parts})"


def _brief(value: object) -> str:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Mapping):
        inner = [f"{key!r}: {_brief(one)}" for key, one in list(value.items())[:LISTED]]
        return f"{{{', '.join(inner)}{_more(value)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_brief, value[:LISTED]))}{_more(value)}]"
    text = repr(value)
    return text if len(text) <= LETTERS or isinstance(value, Brief) else f"{text[: LETTERS - 1]}…"


def _more(values: Sized) -> str:
    return f", … {len(values)} in all" if len(values) > LISTED else ""


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
