"""Images of OpenML by the number of a set: `openml:41081`; where its shape cannot be told, `openml:41084:112x92`.

OpenML publishes tables: each row is an image, each column a pixel, and one column the class. The file is ARFF, whose
MD5 its description states. How the pixels lie in a row of a colour image is told by how smooth the images are.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.data.arff import Arff
from firstlight.data.download import PublishedFile, find, obtain
from firstlight.data.formats import numbered
from firstlight.data.names import natural_order, one_form
from firstlight.data.source import SOURCES, Source
from firstlight.errors import DataError, brief, nearest
from firstlight.files import MB, read_text
from firstlight.text import listed
from firstlight.types import Array, Dataset, Images, Shape

DESCRIPTION = "https://www.openml.org/api/v1/json/data/{}"
LOOKED_AT = 500  # images whose smoothness tells how their pixels lie


@dataclass(frozen=True)
class OpenML(Source):
    """The set with a number.

    layout  the axes of a row, in order: (H, W), (H, W, 3) or (3, H, W); None where it is told by the images
    """

    number: str = ""
    layout: Shape | None = None

    @classmethod
    def of(cls, text: str) -> OpenML | None:
        """The set that "NUMBER" or "NUMBER:HEIGHTxWIDTH" names; None where it is neither."""
        found = re.fullmatch(r"([1-9][0-9]{0,8})(?::([0-9x]+))?", text)
        if found is None:
            return None
        layout = None
        if found[2]:
            if not re.fullmatch(r"[1-9][0-9]{0,3}(x[1-9][0-9]{0,3}){1,2}", found[2]):
                return None
            layout = tuple(int(side) for side in found[2].split("x"))
            if len(layout) == 3 and 3 not in (layout[0], layout[2]):
                return None
        number = found[1]
        return cls(
            name=f"openml:{text}",
            shows=f"set {number} of OpenML",
            title=f"OpenML {number}",
            homepage=f"https://www.openml.org/d/{number}",
            folder=f"openml-{number}",
            number=number,
            layout=layout,
        )

    @property
    def at_hand(self) -> bool:
        """Whether its description and its file are on this machine."""
        [description] = find(self.folder, [self._description])
        if description is None:
            return False
        try:
            return None not in find(self.folder, [self._file(_read(description))])
        except DataError:
            return False

    @property
    def _description(self) -> PublishedFile:
        return PublishedFile("description.json", "", (DESCRIPTION.format(self.number),))

    def load(
        self,
        *,
        unverified: bool = False,
        cache: Path | None = None,
        progress: bool = False,
        group: str | None = None,
        label: str | None = None,
    ) -> Dataset:
        """As `Source.load`; `label` is the column that tells the class, where OpenML names none or several."""
        if group is not None:
            raise DataError(self._no_groups(group))
        [(path, _)] = obtain(self.folder, [self._description], cache=cache, progress=progress)
        about = _read(path)
        published = self._file(about)
        [(path, record)] = obtain(self.folder, [published], unverified=unverified, cache=cache, progress=progress)
        table = Arff(path)
        target, pixels_of = self._columns(table, about, label)
        labels: list[str] = []
        blocks = []
        for names, values in table.rows(target, pixels_of):
            labels += names
            blocks.append(_small(values))
        if not blocks:
            raise DataError(f"{path}: it holds no image.")
        pixels, notes = _images(self.name, blocks, self.layout)
        classes = next(attribute.values for attribute in table.attributes if attribute.name == target)
        notes = [
            f"The class is the column {target}. The table has no splits: the test images are drawn from it.",
            *notes,
            *([] if published.checksum else ["OpenML states no checksum: the file is not verified."]),
        ]
        return self._named(
            Dataset(
                self.name,
                {"train": _labelled(pixels, labels, classes)},
                (record,),
                licence=str(about.get("licence") or "none stated"),
                notes=notes,
            )
        )

    def _file(self, about: dict[str, Any]) -> PublishedFile:
        url, digest = str(about.get("url") or ""), str(about.get("md5_checksum") or "")
        if str(about.get("format", "")).casefold() != "arff" or not re.match("https?://", url):
            raise DataError(
                f"{self.name} is of the format {brief(about.get('format'), 40)}; tables in ARFF, with a row per image, "
                "are read."
            )
        checksum = f"md5:{digest.lower()}" if re.fullmatch("[0-9a-fA-F]{32}", digest) else ""
        return PublishedFile(f"{self.number}.arff", checksum, (url,))

    def _columns(self, table: Arff, about: dict[str, Any], label: str | None) -> tuple[str, list[str]]:
        """The column of the class, and those of the pixels in their order."""
        names = [attribute.name for attribute in table.attributes]
        targets = _names(about.get("default_target_attribute"))
        if label is None and len(targets) != 1:
            said = f"names {listed(targets)} as what to predict" if targets else "names no column as the class"
            raise DataError(f"{self.name}: OpenML {said}. Say which: data.label. {_some(names)}")
        target = label or targets[0]
        if target not in names:
            raise DataError(f"{self.name}: it has no column {brief(target, 60)!r}. {nearest(target, names)}")
        left_out = {target, *targets, *_names(about.get("ignore_attribute")), *_names(about.get("row_id_attribute"))}
        used = [attribute for attribute in table.attributes if attribute.name not in left_out]
        odd = [attribute.name for attribute in used if not attribute.numeric]
        if odd or not used:
            what = f"{listed(odd, most=3)} are not numeric" if odd else "there are none besides the class"
            raise DataError(f"{self.name} does not hold images: each column must be a pixel, and {what}.")
        return target, [attribute.name for attribute in used]


def _read(path: Path) -> dict[str, Any]:
    """The description of a set as OpenML answers it."""
    try:
        about = json.loads(read_text(path, limit=16 * MB))["data_set_description"]
        if isinstance(about, dict):
            return about
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise DataError(f"{path}: not the description of a set as OpenML gives it. Delete it to download it again.")


def _names(value: object) -> list[str]:
    """Names as OpenML lists them: a list, or a text with commas between."""
    parts = value if isinstance(value, list) else str(value or "").split(",")
    return [str(part).strip().strip("'\"") for part in parts if str(part).strip()]


def _some(names: list[str]) -> str:
    return f"Its columns: {listed([*names[:3], *names[-3:]] if len(names) > 6 else names)}."


def _small(values: Array) -> Array:
    """Values in a byte each, where they are such."""
    with np.errstate(invalid="ignore"):
        bytes_ = values.astype(np.uint8)
    return bytes_ if (bytes_ == values).all() else values.astype(np.float32)


def _images(name: str, blocks: list[Array], layout: Shape | None) -> tuple[Array, list[str]]:
    """Pixels uint8 (N, H, W, C) of blocks of rows (n, F), and what is to be said of how they were read."""
    low, high = min(float(block.min()) for block in blocks), max(float(block.max()) for block in blocks)
    whole = all(block.dtype == np.uint8 for block in blocks)
    notes = []
    if not (whole and high > 16):
        scale = next(
            (
                (base, top)
                for base, top, kinds in ((0, 1, "wf"), (-1, 1, "f"), (0, 16, "w"), (0, 255, "f"))
                if base <= low and high <= top and ("w" if whole else "f") in kinds
            ),
            None,
        )
        if scale is None or not math.isfinite(low + high):
            raise DataError(
                f"{name} does not hold images: its values go from {low:g} to {high:g}; those of images lie in 0..255, "
                "0..1, -1..1 or 0..16."
            )
        base, top = scale
        factor = 255 / (top - base)
        blocks = [np.rint((block.astype(np.float32) - base) * factor).astype(np.uint8) for block in blocks]
        if top != 255:
            notes.append(f"Its values lie in {base}..{top} and were scaled to 0..255.")
    rows = np.concatenate(blocks)
    shape = layout or _layout(name, rows)
    if math.prod(shape) != rows.shape[1]:
        raise DataError(
            f"{name}: an image of {'×'.join(map(str, shape))} has {math.prod(shape):,} values; a row has "
            f"{rows.shape[1]:,}."
        )
    pixels = rows.reshape(-1, *shape)
    if len(shape) == 2:
        return pixels[..., None], notes
    by_planes = shape[0] == 3
    if layout is None:
        order = "one colour after the other" if by_planes else "pixel by pixel"
        notes.append(f"The colours of a row are assumed to lie {order}, as the images are smoother that way.")
    return (np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)) if by_planes else pixels), notes


def _layout(name: str, rows: Array) -> Shape:
    """The axes of a row: square and grey, or square and in colour, as the images are smoother."""
    n = rows.shape[1]
    side = math.isqrt(n)
    if side * side == n and side > 1:
        return side, side
    side = math.isqrt(n // 3)
    if n % 3 or 3 * side * side != n:
        raise DataError(
            f"{name}: {n:,} values per image are not a square, neither in grey nor in colour. Give the height and the "
            "width: "
            f'data.source = "{name}:HEIGHTxWIDTH", with x3 for colours pixel by pixel, 3x before for plane by plane.'
        )
    some = rows[:: max(1, len(rows) // LOOKED_AT)].astype(np.float32)
    planes, pixels = some.reshape(-1, 3, side, side), some.reshape(-1, side, side, 3).transpose(0, 3, 1, 2)
    return (3, side, side) if _roughness(planes) < _roughness(pixels) else (side, side, 3)


def _roughness(images: Array) -> float:
    """How much neighbouring pixels differ in images (N, C, H, W)."""
    return float(sum(np.abs(np.diff(images, axis=axis)).mean() for axis in (2, 3)))


def _labelled(pixels: Array, labels: list[str], declared: tuple[str, ...]) -> Images:
    """Images with the classes that the table declares, of which those without an image are left out."""
    met = set(labels)
    strange = met - set(declared) if declared else set()
    if strange:
        raise DataError(
            f"The class {min(strange)!r} is none of those that the table declares: {listed(declared, most=10)}."
        )
    names = [_plain_number(name) for name in declared or natural_order(met) if name in met]
    given = [_plain_number(label) for label in labels]
    order = names if declared and not all(name.isdigit() for name in names) else natural_order(names)
    place = {name: i for i, name in enumerate(dict.fromkeys(map(one_form, order)))}
    numbers = np.array([place[one_form(label)] for label in given], np.int64)
    return Images(pixels, numbers, numbered("train", len(numbers)), tuple(place))


def _plain_number(label: str) -> str:
    """A class that is an integer without its decimals: 3 for 3.0."""
    return re.sub(r"^(-?[0-9]+)\.0+$", r"\1", label)


SOURCES.number("openml", OpenML.of)
