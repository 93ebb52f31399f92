"""What a report says, apart from how it looks: a document of sections of blocks, which any renderer can draw.

Texts are plain and never markup; a renderer escapes them. Pictures are arrays and charts are Vega-Lite specifications.
`element` says how a block is drawn, and `kind` what it shows, such as "confusion", by which the dashboard finds it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import quote

from firstlight.notebook_display import Shown
from firstlight.records.model import LayerRecord
from firstlight.types import Array, Json


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    element: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph; a "note" is worth knowing, a "warning" changes how far the numbers can be trusted."""

    element: ClassVar[str] = "text"
    text: str
    tone: Literal["plain", "note", "warning"] = "plain"


@dataclass(frozen=True)
class Number:
    """One number to be seen from afar: its label, the number as shown, and what stands small beside it."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Numbers:
    """A row of numbers to be seen from afar."""

    element: ClassVar[str] = "numbers"
    items: tuple[Number, ...]


@dataclass(frozen=True)
class Link:
    """A cell that leads elsewhere; `target` is a relative path with forward slashes."""

    text: str
    target: str

    @classmethod
    def to(cls, target: Path, text: str, folder: Path) -> Link:
        """A link to a file for a page that will lie in `folder`."""
        return cls(text, quote(Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()))


Cell = str | Link


@dataclass(frozen=True)
class Table:
    """Rows under column titles; without titles, the first column names the row.

    right      indices of the columns that hold numbers
    strong     indices of the rows that stand out, such as a total or the best
    """

    element: ClassVar[str] = "table"
    rows: tuple[tuple[Cell, ...], ...]
    titles: tuple[str, ...] = ()
    right: frozenset[int] = frozenset()
    strong: frozenset[int] = frozenset()
    caption: str = ""
    kind: str = ""


@dataclass(frozen=True, eq=False)
class Chart:
    """A Vega-Lite specification whose width is the container's.

    description  what the chart shows, for those who do not see it
    width        the greatest width at which it reads well, in CSS pixels
    pictures     uint8 (n, H, W, C), of which a page shows one beside what a mark tells under the pointer: the one whose
                 place stands in the field `picture` of the mark's tooltip
    hint         what can be done with it where it is live, said there alone
    """

    element: ClassVar[str] = "chart"
    spec: Json
    description: str
    caption: str = ""
    width: int = 720
    pictures: Array | None = None
    hint: str = ""
    kind: str = ""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image uint8 (H, W, C) with a line under it, such as its class, and a smaller second line.

    right  True or False where the picture shows an answer that was right or wrong, else None
    image  the split and the id of the image that it shows, where a page can show more of it
    """

    pixels: Array
    text: str
    detail: str = ""
    right: bool | None = None
    image: tuple[str, str] | None = None


@dataclass(frozen=True, eq=False)
class ImageGrid:
    """Small pictures in rows of `columns`, fewer where the page is narrow."""

    element: ClassVar[str] = "grid"
    pictures: tuple[Picture, ...]
    columns: int
    caption: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Bar:
    """A class and its probability: the line beside the bar, and whether it is the true class or a wrong answer.

    share  a fraction in [0, 1]; text is the same as it is shown
    """

    label: str
    share: float
    text: str
    role: Literal["true", "wrong", "other"]


@dataclass(frozen=True, eq=False)
class Panel:
    """An image uint8 (H, W, C), what a model says of it, and the likeliest classes, the likeliest first."""

    pixels: Array
    text: str
    right: bool
    bars: tuple[Bar, ...]


@dataclass(frozen=True, eq=False)
class Panels:
    """Prediction panels, as many side by side as there is room for."""

    element: ClassVar[str] = "panels"
    panels: tuple[Panel, ...]
    caption: str = ""


@dataclass(frozen=True)
class Diagram:
    """A net as a picture, of the rows of its summary, which say what each layer reads.

    input_shape  (H, W, C) of an image
    """

    element: ClassVar[str] = "diagram"
    layers: tuple[LayerRecord, ...]
    input_shape: tuple[int, ...]
    title: str
    caption: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Code:
    """A file or command to copy; `folded` where a page may hide it until asked."""

    element: ClassVar[str] = "code"
    text: str
    title: str = ""
    folded: bool = False
    kind: str = ""


@dataclass(frozen=True, eq=False)
class Beside:
    """Blocks side by side, one below the other where the page is narrow, with one caption for all."""

    element: ClassVar[str] = "beside"
    blocks: tuple[Block, ...]
    caption: str = ""


Block = Heading | Text | Numbers | Table | Chart | ImageGrid | Panels | Diagram | Code | Beside


@dataclass(frozen=True, eq=False)
class Section:
    """A titled part of the document; `anchor` names it in the page's address."""

    title: str
    anchor: str
    blocks: tuple[Block, ...]


def chapter(title: str, anchor: str, *sections: Section | None) -> Section | None:
    """Several sections as one, each title that is another as a heading; None where all are None."""
    blocks: list[Block] = []
    for section in sections:
        if section is not None:
            blocks += [Heading(section.title), *section.blocks] if section.title != title else section.blocks
    return Section(title, anchor, tuple(blocks)) if blocks else None


@dataclass(frozen=True, eq=False)
class Document(Shown):
    """A whole report.

    kind_of   what this is, in a few words above the title
    verdict   the outcome in one or two sentences
    source    what it was made from
    """

    kind_of: str
    title: str
    subtitle: str
    verdict: str
    numbers: Numbers
    sections: tuple[Section, ...]
    source: str = "the run folder"
