"""Images from named sources or a user's own files, split, and checked."""

from firstlight.data.audit import Copies, Findings, check
from firstlight.data.class_groups import regroup, subset
from firstlight.data.copy_groups import NearCopies
from firstlight.data.decoding import load_image
from firstlight.data.download import PublishedFile
from firstlight.data.groups import GroupCounts, group_by_name
from firstlight.data.loading import load
from firstlight.data.names import one_form
from firstlight.data.series import Guess, guess
from firstlight.data.source import SOURCES, Source
from firstlight.data.split import TEST, VALIDATION, hold_out, pooled, split

__all__ = [
    "SOURCES",
    "TEST",
    "VALIDATION",
    "Copies",
    "Findings",
    "GroupCounts",
    "Guess",
    "NearCopies",
    "PublishedFile",
    "Source",
    "check",
    "group_by_name",
    "guess",
    "hold_out",
    "load",
    "load_image",
    "one_form",
    "pooled",
    "regroup",
    "split",
    "subset",
]
