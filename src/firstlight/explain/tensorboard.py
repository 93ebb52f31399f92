"""A finished run for TensorBoard, by its own writer and records; neither TensorFlow nor PyTorch is needed.

events.out.tfevents.*             learning rate, seconds and penalty by epoch; the weights, a histogram an array
train/, validation/               loss and accuracy by epoch, which TensorBoard draws over each other
projector_config.pbtxt            the projector: where the following are
vectors.tsv, metadata.tsv         a row per image: its features; its class, id and prediction
sprite.png                        their thumbnails, row by row in a square
"""

from __future__ import annotations

import io
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from firstlight import weights
from firstlight.errors import DataError, ExperimentError, RunError
from firstlight.explain.features import finite_rows
from firstlight.image_encoding import pil_image, tiled
from firstlight.models import Model
from firstlight.records.plugin import require_plugins
from firstlight.records.run_folder import RunFolder
from firstlight.types import Array

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

TRAIN, VALIDATION = "train", "validation"
CONFIG, VECTORS, METADATA, SPRITE = "projector_config.pbtxt", "vectors.tsv", "metadata.tsv", "sprite.png"
EVENTS = "events.out.tfevents."
OVERLAID = ("loss", "accuracy")
BUCKETS = 30
SHEET = 8192  # pixels a side: what a browser takes as one picture


@dataclass(frozen=True, eq=False)
class Vectors:
    """What the projector shows.

    layer      whose values they are, for the heading
    features   (N, D), at least two of each
    labels     int (N,), indices into the run's classes
    pixels     uint8 (N, H, W, C)
    ids        str (N,)
    predicted  int (N,), or None
    splits     str (N,), which split each is of, or None
    """

    layer: str
    features: Array
    labels: Array
    pixels: Array
    ids: Array
    predicted: Array | None = None
    splits: Array | None = None


def write(run: RunFolder, out: Path, vectors: Vectors | None = None) -> None:
    """Write a finished run to the folder `out`, whole or not at all, in the place of what was written there before.

    Raises ExperimentError where TensorBoard is not installed; RunError for a run without a result, and for an `out`
    that holds anything else; DataError where the vectors do not belong together; ModelError for damaged weights.
    """
    require()
    _check_free(out)
    epochs, classes = run.result.epochs, run.class_names
    require_plugins(run)
    model = Model.from_json(run.model.architecture)
    final = model.layout.named(weights.of_run(run, model.layout))
    if vectors is not None:
        _check(vectors, len(classes))
    with _replaced(out) as folder:
        _write_events(folder, run, final, epochs.run if epochs.weights is None else epochs.weights)
        if vectors is not None:
            _write_projector(folder, vectors, classes)


def require() -> None:
    """Raise ExperimentError where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise ExperimentError("This needs TensorBoard, which is not installed: pip install 'firstlight[tensorboard]'")


def _check_free(out: Path) -> None:
    """Raise RunError where `out` holds what this module does not write."""
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; TensorBoard needs a folder.")
    known = {TRAIN, VALIDATION, CONFIG, VECTORS, METADATA, SPRITE}
    for path in sorted(out.iterdir()) if out.is_dir() else ():
        if path.name not in known and not path.name.startswith(EVENTS):
            raise RunError(
                f"{out} holds {path.name}, which TensorBoard did not write for this run. Choose another folder."
            )


@contextmanager
def _replaced(out: Path) -> Iterator[Path]:
    """A new folder to write to, which takes the place of `out` once all is written."""
    out.parent.mkdir(parents=True, exist_ok=True)
    new, old = (out.with_name(f".{out.name}.{os.getpid()}.{state}") for state in ("new", "old"))
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        yield new
        if out.exists():
            out.replace(old)
        new.replace(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write_events(folder: Path, run: RunFolder, final: Mapping[str, Array], best: int) -> None:
    """Scalars by epoch, and histograms at the epoch that the weights are of."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    history = run.history
    clock = _started(run) + np.cumsum(history.get("seconds", np.zeros(len(history["epoch"]))))
    files = {"": folder, TRAIN: folder / TRAIN, VALIDATION: folder / VALIDATION}
    columns: dict[str, dict[str, Array]] = {where: {} for where in files}
    for name, column in history.items():
        tag = name.removeprefix("val_")
        if name != "epoch":
            columns[(TRAIN if tag == name else VALIDATION) if tag in OVERLAID else ""][tag] = column
    for where, tags in columns.items():
        if where and not tags:
            continue
        with closing(_writer(files[where])) as writer:
            for i, epoch in enumerate(history["epoch"].astype(int)):
                values = [Summary.Value(tag=tag, simple_value=column[i]) for tag, column in tags.items()]
                _add(writer, Summary(value=values), int(epoch), clock[i])
            if not where:
                values = [Summary.Value(tag=_tag(name), histo=_histogram(array)) for name, array in final.items()]
                _add(writer, Summary(value=values), best, clock[-1] if len(clock) else _started(run))


def _writer(folder: Path) -> EventFileWriter:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    return EventFileWriter(str(folder))


def _add(writer: EventFileWriter, summary: Any, step: int, wall_time: float) -> None:
    from tensorboard.compat.proto.event_pb2 import Event

    writer.add_event(Event(summary=summary, step=step, wall_time=wall_time))


def _started(run: RunFolder) -> float:
    """When the run began, in seconds since 1970, from its record; now, where that does not say."""
    started = run.environment.started
    return datetime.fromisoformat(started).timestamp() if started else time.time()


def _tag(name: str) -> str:
    """ "block1.conv/W" of "block1.conv.W": TensorBoard folds together what has the same layer."""
    layer, _, array = name.rpartition(".")
    return f"{layer}/{array}"


def _histogram(array: Array) -> Any:
    from tensorboard.compat.proto.summary_pb2 import HistogramProto

    values = array.astype(np.float64).ravel()
    counts, edges = np.histogram(values, BUCKETS)
    return HistogramProto(
        min=values.min(),
        max=values.max(),
        num=len(values),
        sum=values.sum(),
        sum_squares=np.square(values).sum(),
        bucket_limit=edges[1:],
        bucket=counts,
    )


def _check(vectors: Vectors, classes: int) -> None:
    """Raise DataError where the vectors do not belong together."""
    n = len(finite_rows(vectors.features))
    for name in ("labels", "pixels", "ids", "predicted", "splits"):
        array = getattr(vectors, name)
        if array is not None and len(array) != n:
            raise DataError(f"{n} vectors need as many {name}; received {len(array)}.")
    if vectors.pixels.dtype != np.uint8 or vectors.pixels.ndim != 4 or vectors.pixels.shape[3] not in (1, 3):
        found = f"{vectors.pixels.dtype} {vectors.pixels.shape}"
        raise DataError(f"Thumbnails are uint8 pixels (N, H, W, C) with 1 or 3 channels; received {found}.")
    for labels in (vectors.labels, vectors.predicted):
        if labels is not None and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise DataError(f"Labels must lie in 0..{classes - 1}; received {int(labels.min())}..{int(labels.max())}.")


def _write_projector(folder: Path, vectors: Vectors, class_names: tuple[str, ...]) -> None:
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    text = io.StringIO()
    np.savetxt(text, finite_rows(vectors.features), fmt="%.6g", delimiter="\t")
    (folder / VECTORS).write_text(text.getvalue(), encoding="utf-8")
    (folder / METADATA).write_text(_metadata(vectors, class_names), encoding="utf-8")
    image, size = sprite(vectors.pixels)
    image.save(folder / SPRITE)
    config = ProjectorConfig()
    shown = config.embeddings.add(tensor_name=vectors.layer, tensor_path=VECTORS, metadata_path=METADATA)
    shown.tensor_shape.extend(vectors.features.shape)
    shown.sprite.image_path = SPRITE
    shown.sprite.single_image_dim.extend(size)
    (folder / CONFIG).write_text(str(config), encoding="utf-8")


def _metadata(vectors: Vectors, class_names: tuple[str, ...]) -> str:
    """A line per image, below the names of the columns."""
    names = np.array([_cell(name) for name in class_names])
    columns = {"class": names[vectors.labels], "id": [_cell(name) for name in vectors.ids.tolist()]}
    if vectors.splits is not None:
        columns["split"] = [_cell(name) for name in vectors.splits.tolist()]
    if vectors.predicted is not None:
        columns["predicted"] = names[vectors.predicted]
        columns["right"] = np.where(vectors.predicted == vectors.labels, "yes", "no")
    lines = ["\t".join(columns), *("\t".join(cells) for cells in zip(*columns.values(), strict=True))]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """A name without what would end its cell."""
    return " ".join(str(text).split()) or "–"


def sprite(pixels: Array) -> tuple[Image.Image, tuple[int, int]]:
    """Images uint8 (N, H, W, C) as one square sheet, row by row, black where it ends; and (width, height) of each.

    They are made smaller where the sheet would be wider or higher than a browser takes.
    """
    n, height, width, _ = pixels.shape
    across = math.ceil(math.sqrt(n))
    shrink = min(1.0, SHEET // across / max(height, width))
    size = max(1, int(width * shrink)), max(1, int(height * shrink))
    if size != (width, height):
        pixels = np.stack([_resized(image, size) for image in pixels])
    return pil_image(tiled(pixels, across, across)), size


def _resized(image: Array, size: tuple[int, int]) -> Array:
    """One image (H, W, C) as (h, w, C), `size` being (w, h)."""
    small = pil_image(image).resize(size, Image.Resampling.BOX)
    return np.asarray(small).reshape(size[1], size[0], -1)
