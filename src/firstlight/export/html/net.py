"""The net as the page's script takes it: operations as JSON, and the bytes of their arrays in base64."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from firstlight.errors import ExportError
from firstlight.export.inference_graph import BatchNorm, Convolution, Depthwise, Operation, SampleNorm, Weighted
from firstlight.types import Array, Json

HALVED = "W"  # what may have 16 bits; the few other arrays keep 32


def packed(operations: Sequence[Operation], half: bool) -> tuple[list[Json], str]:
    """The operations and the weights. `half`: with 16 bits; raises ExportError for weights that these cannot hold.

    An operation has its kind and its fields; in the place of an array stands where it lies in the bytes:
    {"at", "shape", "type"}.
    """
    arrays = bytearray()

    def placed(array: Array, kind: str) -> Json:
        with np.errstate(over="ignore"):
            kept = np.ascontiguousarray(array, np.dtype(kind).newbyteorder("<"))
        if not np.isfinite(kept).all() and np.isfinite(array).all():
            raise ExportError(f"float16 holds numbers up to {np.finfo(kind).max:g}; a weight is larger. Use float32.")
        arrays.extend(bytes(-len(arrays) % kept.itemsize))
        at = len(arrays)
        arrays.extend(kept.tobytes())
        return {"at": at, "shape": list(array.shape), "type": kind}

    found = []
    for one in operations:
        told = {
            name: placed(
                _compact(value),
                "float16" if half and isinstance(one, Weighted) and name == HALVED else "float32",
            )
            if isinstance(value, np.ndarray)
            else value
            for name, value in _fields(one).items()
        }
        found.append({"kind": type(one).__name__, **told})
    return found, base64.b64encode(arrays).decode()


def _fields(one: Operation) -> Json:
    if isinstance(one, BatchNorm):  # as one product and one sum
        names = ["path", "inputs", "output", "shape", "scale", "shift"]
    else:
        names = [field.name for field in fields(one)]
    found = {name: getattr(one, name) for name in names}
    if isinstance(one, SampleNorm):
        return found | {"seen": one.seen}
    return found | {"size": one.W.shape[2:]} if isinstance(one, Convolution | Depthwise) else found


def _compact(array: Array) -> Array:
    """An array (C, H, W) that is the same over each channel as (C, 1, 1)."""
    if array.ndim != 3 or (array != array[:, :1, :1]).any():
        return array
    return array[:, :1, :1]
