"""Images from named sources or a user's own files, split, and checked."""

from firstlight.data.check import Copies, Findings, check
from firstlight.data.decode import load_image
from firstlight.data.names import one_form
from firstlight.data.regroup import regroup, subset
from firstlight.data.sources import SOURCES, Source, load
from firstlight.data.split import pooled, split

__all__ = [
    "SOURCES",
    "Copies",
    "Findings",
    "Source",
    "check",
    "load",
    "load_image",
    "one_form",
    "pooled",
    "regroup",
    "split",
    "subset",
]
