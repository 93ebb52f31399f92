"""What a named set of images is, and the register of those that there are: each in a file of `sources/`, or a user's.

SOURCES.register(Source(name="mnist", title="MNIST", …))        # published files, and what reads them

@SOURCES.register
def my_set():                                                   # or a function that returns the images
    \"""Photographs of my cat, and of others.\"""
    return pixels, labels
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, overload

from firstlight.components import Option, Registry, kebab
from firstlight.data.arrays import from_arrays
from firstlight.data.download import PublishedFile, find, obtain
from firstlight.data.groups import group_by_name
from firstlight.errors import DataError, ExperimentError, FirstlightError, brief, nearest
from firstlight.files import sha256
from firstlight.text import capitalized
from firstlight.types import Dataset, Images, Shape, SourceFile

DIGITS = tuple("0123456789")
NOT_STATED = "none stated by its publishers"

Reader = Callable[[Sequence[Path], Sequence[str]], dict[str, Images]]
Defined = TypeVar("Defined", bound="Source | Callable[[], Any]")


@dataclass(frozen=True)
class Source:
    """What is known of a set of images before any of its files is read.

    name         what stands in `data.source`
    shows        what the images show, in a few words
    title        the set's own name, where it is not `name`
    licence      of the images, as their publishers state it
    homepage     where the publishers tell of it
    class_names  in the order of the labels; none where they are known once the images are read
    shape        (H, W, C) of an image; None where that is known once the images are read
    counts       images by split, as published
    files        the files read, in the order that `read` wants them
    read         turns their paths and the class names into Images by split
    archive      the published file that holds `files`, where they are not published one by one
    folder       of the files in the cache, where it is not `name`: several sources can share an archive
    embedded     the path of the only file inside the installed scikit-learn, instead of `files`
    made         a function that returns the images, instead of `files` and `read`
    written      whether they show written characters, also where the names of the classes do not tell
    """

    name: str
    shows: str
    title: str = ""
    licence: str = ""
    homepage: str = ""
    class_names: tuple[str, ...] = ()
    shape: Shape | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    files: tuple[PublishedFile, ...] = ()
    read: Reader | None = None
    archive: PublishedFile | None = None
    folder: str = ""
    embedded: str = ""
    made: Callable[[], Any] | None = None
    written: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip() or "/" in self.name:
            raise ExperimentError(f"A source needs a name for data.source, without /; received {self.name!r}.")
        object.__setattr__(self, "title", self.title or self.name)
        object.__setattr__(self, "folder", self.folder or self.name)
        if type(self) is not Source:
            return  # one that loads its images in a way of its own
        of_files = bool(self.files or self.embedded) and self.read is not None
        if of_files == bool(self.made):
            raise ExperimentError(
                f"The source {self.name} needs published files and what reads them (files, read), or a function that "
                f"returns the images (made); it has {'both' if of_files else 'neither'}."
            )

    @property
    def at_hand(self) -> bool:
        """Whether all its files are on this machine, be they verified or not."""
        if self.embedded or self.made:
            return True
        if self.archive and find(self.folder, [self.archive], self.archive)[0]:
            return True
        return None not in find(self.folder, self.files, self.archive)

    @property
    def where(self) -> str:
        """Where its images are, in a word or two."""
        if self.embedded:
            return "embedded"
        return "a function" if self.made else "here" if self.at_hand else "download"

    def load(
        self,
        *,
        unverified: bool = False,
        cache: Path | None = None,
        progress: bool = False,
        group: str | None = None,
        label: str | None = None,
    ) -> Dataset:
        """The images, downloaded where they are not at hand. Arguments as of `data.load`. Raises DataError."""
        if label is not None:
            raise DataError(
                f"data.label = '{brief(label)}' names a column of a table, and {self.name} has none: leave it out."
            )
        if group is not None and not self.made:
            raise DataError(self._no_groups(group))
        if self.made:
            return self._named(self._made_images(group))
        if self.embedded:
            found = [self._embedded()]
        else:
            found = obtain(
                self.folder,
                self.files,
                self.archive,
                unverified=unverified,
                cache=cache,
                progress=progress,
                keep_archive=self.folder != self.name,
            )
        assert self.read is not None  # __post_init__
        splits = self.read([path for path, _ in found], self.class_names)
        if not isinstance(splits, Mapping) or not all(isinstance(images, Images) for images in splits.values()):
            raise DataError(f"{self.name}: what reads its files must return Images by split; received {brief(splits)}.")
        unknown = [file.name for file in self.files if not file.checksum]
        notes = [f"Not verified, as no checksum is known: {', '.join(unknown)}."] if unknown else []
        return self._named(Dataset(self.name, splits, tuple(record for _, record in found), notes=notes))

    def _no_groups(self, group: str) -> str:
        return (
            f"data.group = '{brief(group)}': it is not known which images of {self.name} belong together. Groups can "
            "be given for your own images, by a column, an array, their folders or their names. Leave data.group out."
        )

    def _named(self, dataset: Dataset) -> Dataset:
        known = {key: getattr(dataset, key) or getattr(self, key) for key in ("licence", "homepage")}
        return replace(dataset, name=self.name, **known)

    def _made_images(self, group: str | None) -> Dataset:
        """What the function returns, as a Dataset. Raises DataError, also where the function fails."""
        assert self.made is not None
        try:
            given = self.made()
        except (FirstlightError, KeyboardInterrupt):
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise DataError(
                f"The source {self.name} could not make its images: {type(error).__name__}: {brief(str(error))} "
                f"({last.filename}, line {last.lineno})."
            ) from error
        if isinstance(given, Dataset):
            return given if group is None else group_by_name(given, group)
        if not isinstance(given, tuple | list | Mapping):
            raise DataError(
                f"The source {self.name} must return a Dataset, a pair (images, labels), or a mapping of arrays such "
                f"as train_images, train_labels, test_images, test_labels; received {type(given).__name__}."
            )
        return from_arrays(given, name=self.name, group=group)

    def _embedded(self) -> tuple[Path, SourceFile]:
        """The file inside scikit-learn, found without importing it (1.3 s); pip has verified it at installation."""
        package = importlib.util.find_spec("sklearn")
        if package is None or package.origin is None:
            raise DataError(f"{self.name} comes with scikit-learn, which is not installed: pip install scikit-learn.")
        path = Path(package.origin).parent / self.embedded
        if not path.is_file():
            raise DataError(f"{path}: scikit-learn is installed without this file. Reinstall scikit-learn.")
        return path, SourceFile(path.name, sha256(path), verified=True)


class Sources(Registry[Source]):
    """The sources by name. Some have a number instead of a name each, such as `openml:554`: they are found, too, but
    not listed.
    """

    def __init__(self) -> None:
        super().__init__("source")
        self._numbered: dict[str, Callable[[str], Source | None]] = {}
        self.refused: dict[str, str] = {}

    def number(self, prefix: str, source: Callable[[str], Source | None]) -> None:
        """Have `prefix:NUMBER` stand for the source that a function makes of the number's text, or None."""
        self._numbered[prefix] = source

    def refuse(self, name: str, reason: str) -> None:
        """Have a message say why there is no source of a name that may be looked for."""
        self.refused[name] = reason

    def none_such(self, name: str, text: str) -> str:
        """What to say where there is no source of a name: `text`, and why, or which are nearest."""
        prefix = name.partition(":")[0]
        if name in self.refused:
            return f"{name} is not supported: {self.refused[name]}."
        if prefix in self._numbered and ":" in name:
            return (
                f"{name!r} is not a source: {prefix}:NUMBER is, such as {prefix}:554, or {prefix}:NUMBER:HEIGHTxWIDTH "
                "where the number of values of an image does not tell its shape."
            )
        return f"{text} {nearest(name, self)}".rstrip()

    def __getitem__(self, name: str) -> Source:
        prefix, colon, number = name.partition(":") if isinstance(name, str) else (name, "", "")
        if colon and prefix in self._numbered and (found := self._numbered[prefix](number)):
            return found
        return super().__getitem__(name)

    def options(self, name: str) -> tuple[Option, ...]:
        """A source has none."""
        return ()

    def summary(self, name: str) -> str:
        """What the images show."""
        return self[name].shows

    def about(self, name: str) -> str:
        """What is known of a source before it is loaded."""
        source = self[name]
        counts = ", ".join(f"{split} {count:,}" for split, count in source.counts.items())
        facts = (
            f"{source.title}:" if source.title != name else "",
            f"{counts} images" if counts else "images",
            f"of {'×'.join(map(str, source.shape))}" if source.shape else "",
            f"in {len(source.class_names)} classes" if source.class_names else "",
        )
        said = f"{capitalized(source.shows)}."
        return f"{said}\n\n{' '.join(filter(None, facts))}. Licence: {source.licence or 'not said'}. {source.homepage}"

    def origin(self, name: str) -> str:
        """The module that a source was defined in."""
        prefix = name.partition(":")[0]
        return super().origin(name) if name in self._entries else self._numbered[prefix].__module__

    @overload
    def register(self, definition: Defined, /) -> Defined: ...
    @overload
    def register(self, /, *, name: str = "", licence: str = "", homepage: str = "") -> Callable[[Defined], Defined]: ...
    def register(self, definition: Any = None, /, *, name: str = "", licence: str = "", homepage: str = "") -> Any:
        """Make a `definition`, a `Source` or a function without arguments that returns the images, known by its name.

        A function returns a Dataset, a pair (images, labels), or a mapping of arrays by name; its docstring's first
        line says what they show. Beside a function, `name` where it is not the function's own, `licence`, `homepage`.

        Raises ExperimentError where it is neither, has no docstring, or where the name is taken.
        """
        if definition is None:
            return lambda function: self._function(function, name, licence, homepage)
        if isinstance(definition, Source):
            module = sys._getframe(1).f_globals.get("__name__", "")
            origin = SimpleNamespace(__module__=module, __qualname__=definition.name)
            self.add(definition.name, definition, origin)
            return definition
        return self._function(definition, name, licence, homepage)

    def _function(self, function: Any, name: str, licence: str, homepage: str) -> Any:
        if not inspect.isfunction(function):
            raise ExperimentError(f"{function!r}: a source is a Source, or a function that returns the images.")
        self._must_be_documented(function)
        needed = [
            option
            for option, parameter in inspect.signature(function).parameters.items()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        if needed:
            raise ExperimentError(
                f"{function.__qualname__}: the function of a source is called without arguments; it needs "
                f"{', '.join(needed)}."
            )
        shows = (inspect.getdoc(function) or "").partition("\n")[0].strip().rstrip(".")
        source = Source(name or kebab(function.__name__), shows, licence=licence, homepage=homepage, made=function)
        self.add(source.name, source, function)
        return function


SOURCES: Sources = Sources()
