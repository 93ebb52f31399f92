"""Errors that a user can mend: what was wrong, where, what was received, what to do.

Everything raised on purpose derives from `FirstlightError`. The command line prints its text alone and exits with
code 2; a traceback means a defect of ours.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from firstlight.text import listed


class FirstlightError(Exception):
    """The base of every error that firstlight raises on purpose; its text is written for the user."""


class DataError(FirstlightError):
    """Images, labels or their files are missing, unreadable, altered or contradictory."""


class UnreadableImageError(DataError):
    """An image file cannot be read or decoded.

    reason  why, as it continues after the file's name
    """

    def __init__(self, name: str | Path, reason: str) -> None:
        super().__init__(f"{name}: {reason}.")
        self.reason = reason


class InputError(DataError, ValueError):
    """Arrays that an estimator was given do not fit; scikit-learn expects a ValueError."""


class SizesDifferError(DataError):
    """Images of one set have different sizes, and no common one was asked for."""


class DeeperFoldersError(DataError):
    """There are folders below those of the classes, and nothing says that they tell groups."""


class KeyedError(FirstlightError):
    """Something that was asked for, which an experiment has under a key.

    keys  each key that is wrong, such as "training.epochs", and the sentence about it, without the name of the file;
          "" is the key of what is about none, or of one that is not told
    origin  the file, or the run in it, which the text names first; "" where it names none
    """

    def __init__(self, text: str, *, key: str = "", keys: Iterable[tuple[str, str]] = (), origin: str = "") -> None:
        super().__init__(text)
        self.keys = tuple(keys) or ((key, text),)
        self.origin = origin


class ModelError(KeyedError):
    """A model is unknown, malformed, or does not fit the images, the labels or the loss."""


class ShapeError(ModelError):
    """A model does not fit images of some shape.

    shape  (height, width, channels) of the images
    """

    def __init__(self, text: str, *, shape: tuple[int, ...] = ()) -> None:
        super().__init__(text)
        self.shape = shape


class ExperimentError(KeyedError):
    """An experiment file or option is malformed, unknown or out of range."""

    @classmethod
    def of(cls, error: FirstlightError, origin: str) -> ExperimentError:
        """The same as a mistake in `origin`, which the text then names first, unless it names its place already."""
        keys, named = (error.keys, error.origin) if isinstance(error, KeyedError) else ((), "")
        return cls(str(error) if named else f"{origin}: {error}", keys=keys, origin=named or origin)


class PluginError(ExperimentError):
    """A module of a user's own, which brings components, is missing or cannot be loaded."""


class PluginWarning(UserWarning):
    """A module of components is not what it was, or a package of them cannot be loaded."""


class MetricError(FirstlightError):
    """A metric raised an error, or returned what is not a number."""


class RunError(FirstlightError):
    """A run folder is missing, damaged, in the way, or of a format that this version does not read."""


class DamagedFileError(RunError):
    """A file does not hold what was written to it.

    path  of the file; `key` is the place in it that is wrong, or ""
    """

    def __init__(self, text: str, *, path: Path | None = None, key: str = "") -> None:
        super().__init__(text)
        self.path, self.key = path, key


class NewerFormatError(RunError):
    """A file has a format that only a later version reads."""

    def __init__(self, text: str, *, path: Path | None = None, version: int = 0) -> None:
        super().__init__(text)
        self.path, self.version = path, version


class FolderGoneError(RunError):
    """A folder was deleted, moved or replaced while it was written."""


class ReportError(RunError):
    """The report of a run that is complete cannot be made."""


class ReportWarning(UserWarning):
    """A report was made, and lacks something."""


class ExportError(FirstlightError):
    """A model cannot be written in a format, or what was written does not agree with it."""


class NoRuntimeError(ExportError):
    """What runs an export is not at hand, so that it cannot be verified; the text says what is missing."""


class ProcessLostError(RunError):
    """Another of the processes that train together has ended."""


class TrainingError(FirstlightError):
    """Training cannot continue, such as when the loss is no longer finite."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the known spellings closest to `name`, or all of them where none is close."""
    spellings = {known_name.lower(): known_name for known_name in sorted(known)}
    close = difflib.get_close_matches(name.lower(), spellings, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {listed((spellings[match] for match in close), 'or')}?"
    return f"Known: {', '.join(spellings.values())}." if spellings else ""


def brief(value: object, most: int = 200) -> str:
    """A value that was received, for a message: a text or a path as it is, another as Python writes it; cut where long.

    What cannot be printed is written as its code.
    """
    text = str(value) if isinstance(value, str | Path) else repr(value)
    shown = text if len(text) <= most else f"{text[: most - 1]}…"
    return shown.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


@contextmanager
def told(tell: Callable[[str], object]) -> Iterator[None]:
    """Meanwhile, `tell` each warning that is written for the user, whatever the filters of warnings say.

    Not for several threads at once.
    """
    with warnings.catch_warnings():
        before = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: object) -> None:
            if issubclass(category, ReportWarning | PluginWarning):
                tell(str(message))
            else:
                before(message, category, *place)  # type: ignore[arg-type]

        warnings.showwarning = show  # type: ignore[assignment]
        warnings.simplefilter("always", ReportWarning)
        warnings.simplefilter("always", PluginWarning)
        yield
