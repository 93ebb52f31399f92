"""The named sources, one declaration each, and `load`: a source or a user's own images to a Dataset."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.data import formats
from firstlight.data.arrays import from_arrays, load_arrays, load_published, published_files
from firstlight.data.decoding import Size, resize
from firstlight.data.download import PublishedFile, find, obtain
from firstlight.data.image_files import load_folder, load_table
from firstlight.data.store import spilled
from firstlight.errors import DataError, brief, nearest
from firstlight.files import sha256
from firstlight.options import read_size
from firstlight.types import Array, Dataset, Images, Shape, SourceFile

LARGEST_SIDE = 1024  # of an image that `load` resizes to; larger ones would fill the memory

_PACKED = " Unpack it, and give the folder."
_REMEDIES = {
    **dict.fromkeys((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"), _PACKED),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), " Save the table as CSV."),
    **dict.fromkeys((".pkl", ".pickle", ".pt", ".pth"), " Nothing is unpickled: save its arrays with numpy.savez."),
    **dict.fromkeys(
        (".h5", ".hdf5", ".mat", ".parquet", ".npy"), " Save its arrays with numpy.savez, images and labels."
    ),
}

_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Source:
    """What is known of a published set before any of its files is read.

    counts    images by split, as published
    files     the files read, in the order that `read` wants them
    read      turns their paths and the class names into Images by split
    archive   the published file that holds `files`, where they are not published one by one
    embedded  the path of the only file inside the installed scikit-learn, instead of `files`
    written   whether they show written characters, also where the names of the classes do not tell
    """

    name: str
    title: str
    shows: str
    licence: str
    homepage: str
    class_names: tuple[str, ...]
    shape: Shape
    counts: Mapping[str, int]
    read: Callable[[Sequence[Path], Sequence[str]], dict[str, Images]]
    files: tuple[PublishedFile, ...] = ()
    archive: PublishedFile | None = None
    embedded: str = ""
    written: bool = False

    @property
    def at_hand(self) -> bool:
        """Whether all its files are on this machine, be they verified or not."""
        if self.archive and find(self.name, [self.archive], self.archive)[0]:
            return True
        return bool(self.embedded) or None not in find(self.name, self.files, self.archive)


def _idx_files(checksums: Sequence[str], mirrors: Sequence[str]) -> tuple[PublishedFile, ...]:
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    return tuple(
        PublishedFile(f"{name}.gz", checksum, tuple(f"{mirror}{name}.gz" for mirror in mirrors))
        for name, checksum in zip(names, checksums, strict=True)
    )


_ALL = (
    Source(
        name="digits",
        title="Optical recognition of handwritten digits",
        shows="handwritten digits, embedded in scikit-learn",
        licence="CC BY 4.0",
        homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        class_names=_DIGITS,
        shape=(8, 8, 1),
        counts={"train": 1_797},
        read=formats.read_digits,
        embedded="datasets/data/digits.csv.gz",
    ),
    Source(
        name="mnist",
        title="MNIST",
        shows="handwritten digits",
        licence="none stated by its publishers",
        homepage="http://yann.lecun.com/exdb/mnist/",
        class_names=_DIGITS,
        shape=(28, 28, 1),
        counts={"train": 60_000, "test": 10_000},
        read=formats.read_idx_pairs,
        files=_idx_files(
            (
                "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
            # the publisher's own server no longer gives the files
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
        ),
    ),
    Source(
        name="fashion-mnist",
        title="Fashion-MNIST",
        shows="articles of clothing",
        licence="MIT",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        class_names=_CLOTHES,
        shape=(28, 28, 1),
        counts={"train": 60_000, "test": 10_000},
        read=formats.read_idx_pairs,
        files=_idx_files(
            (
                "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
            (
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            ),
        ),
    ),
    Source(
        name="kmnist",
        title="Kuzushiji-MNIST",
        shows="ten hiragana in cursive writing",
        licence="CC BY-SA 4.0",
        homepage="http://codh.rois.ac.jp/kmnist/",
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        written=True,
        shape=(28, 28, 1),
        counts={"train": 60_000, "test": 10_000},
        read=formats.read_idx_pairs,
        files=_idx_files(
            (
                "md5:bdb82020997e1d708af4cf47b453dcf7",
                "md5:e144d726b3acfaa3e44228e80efcd344",
                "md5:5c965bf0a639b31b8f53240b1b52f4d7",
                "md5:7320c461ea6c1c855c0b718fb2a4b134",
            ),
            (
                "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
                "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
            ),
        ),
    ),
    Source(
        name="cifar-10",
        title="CIFAR-10",
        shows="photographs of animals and vehicles",
        licence="none stated by its publishers",
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        class_names=_THINGS,
        shape=(32, 32, 3),
        counts={"train": 50_000, "test": 10_000},
        read=formats.read_cifar,
        files=tuple(
            PublishedFile(f"cifar-10-batches-bin/{name}.bin", f"sha256:{digest}")
            for name, digest in (
                ("data_batch_1", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
                ("data_batch_2", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
                ("data_batch_3", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
                ("data_batch_4", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
                ("data_batch_5", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
                ("test_batch", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
            )
        ),
        archive=PublishedFile(
            "cifar-10-binary.tar.gz",
            "md5:c32a1d4ab5d03f1284b67883e8d87530",
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        ),
    ),
    Source(
        name="svhn",
        title="Street View House Numbers, cropped",
        shows="digits of house numbers in photographs",
        licence="for non-commercial use only",
        homepage="http://ufldl.stanford.edu/housenumbers/",
        class_names=_DIGITS,
        shape=(32, 32, 3),
        counts={"train": 73_257, "test": 26_032},
        read=formats.read_svhn,
        files=(
            PublishedFile(
                "train_32x32.mat",
                "md5:e26dedcc434d2e4c54c9b2d4a06d8373",
                ("http://ufldl.stanford.edu/housenumbers/train_32x32.mat",),
            ),
            PublishedFile(
                "test_32x32.mat",
                "md5:eb5a983be6a315427106f1b164d9cef3",
                ("http://ufldl.stanford.edu/housenumbers/test_32x32.mat",),
            ),
        ),
    ),
)

SOURCES: Mapping[str, Source] = {source.name: source for source in _ALL}


def load(
    source: Any,
    *,
    size: int | Size | None = None,
    unverified: bool = False,
    cache: Path | None = None,
    progress: bool | None = None,
    group: str | Sequence[Any] | Array | None = None,
) -> Dataset:
    """Read a named source, or a user's own images from a folder, a CSV of path and label, an .npz file, or memory.

    source      one of `SOURCES`, such as "mnist", or a path; "./mnist" is the path. Or arrays: a pair (images, labels),
                or a mapping of names as in an .npz
    size        resize every image to (H, W), each 1 to 1024; one number means a square. A user's own images need it
                where they differ in size
    unverified  read a named source's files even where their checksums are not the published ones
    cache       keep the files of named sources here, instead of in FIRSTLIGHT_DATA or the user's cache folder
    progress    show bars on stderr while files are downloaded or decoded; None: where stderr is a terminal
    group       what tells which images belong together, so that no split divides them: the name of a column of a CSV or
                of an array; "parent", the folder that an image lies in; or a pattern over its name with the group in
                parentheses. Beside a pair of arrays, an array (N,) of groups

    Raises DataError when the source is unknown, cannot be found, downloaded or verified, or is malformed, or where the
    groups cannot be told.
    """
    sides = _sides(size)
    progress = sys.stderr.isatty() if progress is None else progress
    if not isinstance(source, str | Path):
        return from_arrays(source, sides, group=group)
    if not isinstance(group, str | None):
        raise DataError("group is an array beside arrays of images only; of a source, it is a text. See data.group.")
    if group == "":
        raise DataError("data.group is empty: leave it out where no images belong together.")
    if isinstance(source, str) and source in SOURCES:
        if group is not None:
            raise DataError(
                f"data.group = '{brief(group)}': nothing tells which images of {source} belong together. Groups are of "
                "your own images, by a column, an array, their folders or their names. Leave data.group out."
            )
        dataset = _load_named(SOURCES[source], sides, unverified, cache, progress)
    else:
        dataset = _load_own(source, sides, progress, group)
    return replace(spilled(dataset, f"{source} {sides}"), origin=str(source))


def _sides(size: Any) -> Size | None:
    """The height and width to resize to."""
    if size is None:
        return None
    try:
        sides = read_size(size)
    except ValueError:
        sides = None
    if sides is None or not all(isinstance(side, int | np.integer) and 1 <= side <= LARGEST_SIDE for side in sides):
        raise DataError(
            f"data.size must be a height and a width, or one number for a square, each 1 to {LARGEST_SIDE}; "
            f"received {size!r}."
        )
    return int(sides[0]), int(sides[1])


def _load_own(source: str | Path, size: Size | None, progress: bool, group: str | None) -> Dataset:
    try:
        path = Path(source).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # too long a name, ~ of nobody, a NUL
        raise DataError(f"{str(source)[:200]!r} is no path: {getattr(error, 'strerror', None) or error}.") from None
    if is_folder or is_file:
        files = published_files(path)
        if files:
            return load_published(path, files, size, group)
    if is_folder:
        return load_folder(path, size, progress, group)
    if not is_file:
        looks_like_a_path = isinstance(source, Path) or path.suffix or "/" in source or os.sep in source
        looked = "" if path.is_absolute() else f" Looked for {path.absolute()}."
        raise DataError(
            f"{source}: there is no such file or folder.{looked}"
            if looks_like_a_path
            else f"There is no source and no folder called {source!r}.{looked} {nearest(str(source), SOURCES)}"
        )
    match path.suffix.lower():
        case ".csv" | ".tsv":
            return load_table(path, size, progress, group)
        case ".npz":
            return load_arrays(path, size, group)
    raise DataError(
        f"{path}: images are read from a folder, a .csv of path and label, or an .npz or idx file."
        f"{_REMEDIES.get(path.suffix.lower(), '')}"
    )


def _load_named(source: Source, size: Size | None, unverified: bool, cache: Path | None, progress: bool) -> Dataset:
    if source.embedded:
        found = [_embedded(source)]
    else:
        found = obtain(source.name, source.files, source.archive, unverified=unverified, cache=cache, progress=progress)
    splits = source.read([path for path, _ in found], source.class_names)
    if size is not None:
        splits = {name: replace(images, pixels=resize(images.pixels, size)) for name, images in splits.items()}
    return Dataset(
        source.name,
        splits,
        files=tuple(record for _, record in found),
        licence=source.licence,
        homepage=source.homepage,
    )


def _embedded(source: Source) -> tuple[Path, SourceFile]:
    """The file inside scikit-learn, found without importing it (1.3 s); pip has verified it at installation."""
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError(f"{source.name} comes with scikit-learn, which is not installed: pip install scikit-learn.")
    path = Path(package.origin).parent / source.embedded
    if not path.is_file():
        raise DataError(f"{path}: scikit-learn is installed without this file. Reinstall scikit-learn.")
    return path, SourceFile(path.name, sha256(path), verified=True)
