"""The net as a picture: its layers as blocks in the order of the data, residual and concatenated paths drawn as such.

The rows of a model's summary -> `structure` (blocks, branches, repetitions) -> `drawing` (SVG). Nothing but the rows is
read, so that a run of long ago is drawn as a model that was just built. Colours are those of `design_tokens`.
"""

from __future__ import annotations

from firstlight.diagram.drawing import embedded as embedded
from firstlight.diagram.drawing import standalone as standalone
from firstlight.diagram.structure import Block as Block
from firstlight.diagram.structure import Join as Join
from firstlight.diagram.structure import Repeat as Repeat
from firstlight.diagram.structure import description as description
from firstlight.diagram.structure import structure as structure
