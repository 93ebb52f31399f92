"""A net as SVG: from the image downwards, in as many columns as the width allows and the height asks for.

Everything is drawn in CSS pixels with colours as variables of the style sheet; a file of its own has them written in.
Each layer's group has its path as `data-path`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from firstlight import design_tokens
from firstlight.diagram.sizes import (
    FORK,
    GAP,
    GUTTER,
    HEADER,
    HIGH,
    LOW,
    NODE,
    PAD,
    STACK,
    WIDE,
    block_height,
    branch_size,
    clings,
    columns_of,
    inner_width,
    join_size,
    runs_of,
    size,
)
from firstlight.diagram.structure import Block, Item, Join, Repeat, description, structure
from firstlight.records.model import LayerRecord
from firstlight.text import cut, encodable, printable, text_width

BROAD, BOLD = 1.17, 1.22  # how much broader than Helvetica's a system's letters may be
MARGIN = 8.0
REM = 16.0
JOINING = {"Residual": "+", "Concat": "concat"}


def embedded(
    layers: Sequence[LayerRecord],
    input_shape: Sequence[int],
    title: str,
    *,
    width: float = 0.0,
    fold: bool = True,
    interactive: bool = False,
) -> str:
    """The net as a part of a page whose style sheet has the variables of `design_tokens`.

    layers       the rows of a model's summary
    input_shape  (H, W, C) of an image
    width        CSS pixels that there are for columns side by side; 0 for one column
    fold         whether a deep net shows what is repeated once, with its count
    interactive  whether each layer is a button, for a script that says what it does
    Raises ValueError where the rows do not say what each layer reads.
    """
    return _svg(layers, input_shape, title, width, fold, interactive, "rem")


def standalone(
    layers: Sequence[LayerRecord],
    input_shape: Sequence[int],
    title: str,
    *,
    width: float = 0.0,
    fold: bool = True,
    paper: bool = True,
) -> str:
    """The net as a file: with colours of its own, for light and for dark. See `embedded`.

    paper  whether it stands on paper of its own; else, on what is white
    """
    drawn = _svg(layers, input_shape, title, width, fold, False, "px")
    light, dark = design_tokens.LIGHT, design_tokens.DARK
    used = sorted({"paper", *re.findall(r"var\(--([\w-]+)\)", drawn)})
    plain = re.sub(r'="var\(--([\w-]+)\)"', lambda found: f'="{light[found[1]]}"', drawn)
    if not paper:
        return plain
    rules = "".join(f'[{what}="{light[name]}"]{{{what}:{dark[name]}}}' for name in used for what in ("fill", "stroke"))
    style = f"<style>@media (prefers-color-scheme: dark) {{{rules}}}</style>"
    sheet = f'<rect width="100%" height="100%" fill="{light["paper"]}"/>'
    head = plain.index(">") + 1
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{plain[:head]}{style}{sheet}{plain[head:]}\n'


def _svg(
    layers: Sequence[LayerRecord],
    input_shape: Sequence[int],
    title: str,
    room: float,
    fold: bool,
    interactive: bool,
    unit: str,
) -> str:
    items = structure(layers, fold)
    drawing = _Drawing(interactive)
    width, height = drawing.net(items, "×".join(map(str, input_shape)), room)
    words = f"From an image of {' × '.join(map(str, input_shape))}: {description(items)}."
    scale = REM if unit == "rem" else 1.0
    role = 'role="group"' if interactive else 'role="img"'
    return encodable(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="net" viewBox="0 0 {_n(width)} {_n(height)}" '
        f'width="{_n(width / scale)}{unit}" height="{_n(height / scale)}{unit}" {role} aria-label="{_text(title)}" '
        f'font-family="{_text(design_tokens.CHART_FONT)}" font-size="12">'
        f"<desc>{_text(words)}</desc>{''.join(drawing.parts)}</svg>"
    )


@dataclass
class _Drawing:
    """What has been drawn; places are of the middle and the top of a thing."""

    interactive: bool
    parts: list[str] = field(default_factory=list)

    def net(self, items: Sequence[Item], image: str, room: float) -> tuple[float, float]:
        """Draw all in columns that fit into `room`, and return the width and the height."""
        runs = runs_of(items)
        columns = columns_of([size(run, WIDE) for run in runs], room - 2 * MARGIN)
        top = deepest = y = MARGIN + STACK
        left, middle = MARGIN, 0.0
        for number, column in enumerate(columns):
            width = max((size(runs[n], WIDE)[0] for n in column), default=WIDE)
            before, middle = middle, left + width / 2
            if number:
                y = self._next_column(before, y, left - GUTTER / 2, middle, top)
            else:
                self._pill(middle, top, f"image {image}", LOW)
                y += LOW
            for n in column:
                y = self._arrow(middle, y, y + GAP)
                y = self._sequence(runs[n], middle, y, WIDE)
            deepest = max(deepest, y + GAP / 2)
            left += width + GUTTER
        self._arrow(middle, y, y + GAP)
        return left - GUTTER + MARGIN, max(deepest, y + GAP) + MARGIN

    def _next_column(self, x: float, y: float, between: float, to: float, top: float) -> float:
        """The path from the foot of a column to the head of the next; return where that begins."""
        down, up = y + GAP / 2, top - STACK
        self._line((x, y), (x, down), (between, down), (between, up), (to, up), (to, top))
        return top

    def _sequence(self, items: Sequence[Item], x: float, y: float, width: float) -> float:
        """Items one below the other, from y on; return where the last one ends."""
        for n, item in enumerate(items):
            if n and not clings(items[n - 1], item):
                y = self._arrow(x, y, y + GAP)
            match item:
                case Block():
                    y = self._block(item, x, y, width, n > 0 and clings(items[n - 1], item))
                case Join():
                    y = self._join(item, x, y, width)
                case Repeat():
                    y = self._repeat(item, x, y, width)
        return y

    def _block(self, block: Block, x: float, y: float, width: float, clings: bool) -> float:
        """One layer: its name and type, its output's shape; below, its settings and parameters."""
        height, left, right = block_height(block), x - width / 2, x + width / 2
        self._open(block)
        self._rect(left, y, width, height, "paper", "muted")
        self._rect(left, y, 5, height, _colour(block), "")
        self._label(block, left + 13, right - 9, y + 17, clings)
        if height == HIGH:
            count = block.parameters if block.layer.parameters else ""
            self._write(count, right - 9, y + 35, "muted", 10.5, anchor="end")
            room = width - 32 - text_width(count, 10.5 * BROAD)
            self._write(cut(block.details, room, 10.5 * BROAD), left + 13, y + 35, "muted", 10.5)
        self.parts.append("</g>")
        return y + height

    def _label(self, block: Block, left: float, right: float, base: float, clings: bool) -> None:
        """Name, type and shape on one line; where there is no room, not a type or a shape that is told beside."""
        name, kind, shape = block.label, block.layer.type, block.shape
        type_width = text_width(kind, 11.5 * BROAD) + 6
        needed = text_width(name, 12 * BOLD) + text_width(shape, 11 * BROAD) + 8
        if needed + type_width > right - left and name.startswith(kind.lower().removesuffix("2d")):
            kind = ""
        if needed > right - left and clings:
            shape = ""
        room = right - left - (text_width(shape, 11 * BROAD) + 8 if shape else 0)
        name = cut(name, room - (min(type_width, room / 3) if kind else 0), 12 * BOLD)
        kind = cut(kind, room - text_width(name, 12 * BOLD) - 6, 11.5 * BROAD)
        self.parts.append(
            f'<text x="{_n(left)}" y="{_n(base)}" fill="var(--ink)"><tspan font-weight="600">{_text(name)}</tspan>'
            + (f'<tspan dx="6" font-size="11.5" fill="var(--muted)">{_text(kind)}</tspan>' if kind else "")
            + "</text>"
        )
        self._write(shape, right, base, "ink", 11, anchor="end")

    def _join(self, join: Join, x: float, y: float, width: float) -> float:
        """A container as a frame round its branches, and what joins them."""
        (frame, height), inner = join_size(join, width), inner_width(join, width)
        sizes = [branch_size(branch, inner) for branch in join.branches]
        left = x - frame / 2
        self._open(join.block)
        self.parts.append(
            f'<rect x="{_n(left)}" y="{_n(y)}" width="{_n(frame)}" height="{_n(height)}" rx="6" fill="var(--wash)" '
            'stroke="var(--muted)" stroke-dasharray="4 3"/>'
        )
        block = join.block
        self._write(cut(block.label, frame / 2 - 22, 12 * BOLD), left + 10, y + 17, "ink", 12, bold=True)
        self._write(block.shape, left + frame - 9, y + 17, "ink", 11, anchor="end")
        meet = y + height - PAD - NODE - FORK / 2
        node = meet + FORK / 2
        self._node(join, x, node)
        self.parts.append("</g>")
        fork = y + HEADER + 2
        places, at = [], x - (sum(w for w, _ in sizes) + PAD * (len(sizes) - 1)) / 2
        for w, _ in sizes:
            places.append(at + w / 2)
            at += w + PAD
        self._line((x, y), (x, fork))
        for place, branch in zip(places, join.branches, strict=True):
            end = fork
            if branch:
                self._line((x, fork), (place, fork))
                self._arrow(place, fork, fork + FORK)
                end = self._sequence(branch, place, fork + FORK, inner)
                self._line((place, end), (place, meet), (x, meet))
            else:
                self._line((x, fork), (place, fork), (place, meet), (x, meet))
        self._arrow(x, meet, node)
        self._line((x, node + NODE), (x, y + height))
        return y + height

    def _node(self, join: Join, x: float, y: float) -> None:
        """What joins branches: a plus, or its name, with the parameters that are its own."""
        said = JOINING.get(join.block.layer.type, join.block.layer.type)
        own = f" · {join.block.parameters} parameters" if join.block.layer.parameters else ""
        if said == "+":
            self.parts.append(
                f'<circle cx="{_n(x)}" cy="{_n(y + NODE / 2)}" r="{_n(NODE / 2)}" fill="var(--paper)" '
                'stroke="var(--muted)"/>'
            )
            self._write("+", x, y + NODE / 2 + 5, "ink", 16, anchor="middle")
        else:
            self._pill(x, y, f"{cut(said, WIDE / 2, 12)}{own}", NODE)

    def _repeat(self, repeat: Repeat, x: float, y: float, width: float) -> float:
        """What is repeated, in a frame that stands for as many as its header says."""
        frame, height = size((repeat,), width)
        left = x - frame / 2
        for back in (2 * STACK, STACK, 0.0):
            self._rect(left + back, y + back, frame - 2 * STACK, height - 2 * STACK, "paper", "muted", radius=8)
        self._write(f"{repeat.count} times", left + 12, y + 17, "series-1", 13, bold=True)
        total = f"{repeat.parameters:,} parameters" if repeat.parameters else ""
        self._write(total, left + frame - 2 * STACK - 12, y + 17, "muted", 10.5, anchor="end")
        self._line((x, y), (x, y + HEADER))
        end = self._sequence(repeat.items, x, y + HEADER, width)
        self._line((x, end), (x, y + height))
        return y + height

    # --- what things are drawn with

    def _open(self, block: Block) -> None:
        layer = block.layer
        said = f"{layer.name}: {layer.type} to {block.shape}"
        said += f", {block.parameters} parameters" if layer.parameters else ""
        button = f' role="button" tabindex="0" aria-label="{_text(said)}"' if self.interactive else ""
        more = f"; {block.details}" if block.details else ""
        self.parts.append(
            f'<g class="layer" data-path="{_text(layer.name)}"{button}><title>{_text(said + more)}</title>'
        )

    def _rect(
        self, left: float, top: float, width: float, height: float, fill: str, stroke: str, radius: float = 0.0
    ) -> None:
        edge = f' stroke="var(--{stroke})"' if stroke else ""
        corner = f' rx="{_n(radius)}"' if radius else ""
        self.parts.append(
            f'<rect x="{_n(left)}" y="{_n(top)}" width="{_n(width)}" height="{_n(height)}"{corner} '
            f'fill="var(--{fill})"{edge}/>'
        )

    def _pill(self, x: float, y: float, text: str, height: float) -> None:
        width = text_width(text, 12 * BROAD) + 24
        self._rect(x - width / 2, y, width, height, "paper", "muted", radius=height / 2)
        self._write(text, x, y + height / 2 + 4, "ink", 12, anchor="middle")

    def _line(self, *points: tuple[float, float]) -> None:
        path = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        self.parts.append(f'<path d="M{path}" fill="none" stroke="var(--muted)" stroke-width="1.5"/>')

    def _arrow(self, x: float, y: float, to: float) -> float:
        self._line((x, y), (x, to - 5))
        self.parts.append(f'<path d="M{_n(x - 4)} {_n(to - 7)}h8L{_n(x)} {_n(to)}z" fill="var(--muted)"/>')
        return to

    def _write(
        self, text: str, x: float, y: float, colour: str, size: float, *, anchor: str = "", bold: bool = False
    ) -> None:
        if text:
            more = (f' text-anchor="{anchor}"' if anchor else "") + (' font-weight="600"' if bold else "")
            start = f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" fill="var(--{colour})"{more}>'
            self.parts.append(f"{start}{_text(text)}</text>")


def _colour(block: Block) -> str:
    """By what a layer has: kernels, only a scale and a shift, or nothing that is learnt, where it changes the shape."""
    shapes = block.layer.shapes.values()
    if any(len(shape) > 1 for shape in shapes):
        return "series-1"
    return "series-3" if block.layer.parameters else "series-7"


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(text: str) -> str:
    return escape(printable(text))
