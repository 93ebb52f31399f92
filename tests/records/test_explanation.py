"""What an explanation holds comes back from its file as it was, and a damaged file is told."""

from __future__ import annotations

import io
import json
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstlight.errors import RunError
from firstlight.records.explanation import (
    EXPLANATION,
    Attribution,
    Embedding,
    Explanation,
    Filters,
    LabelIssue,
    LayerMaps,
    LayerStatistics,
    MaximizingImage,
    Mistake,
    Neighbours,
    Separation,
    read,
)
from firstlight.records.run_folder import RunFolder

PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
FLAT = np.linspace(-1, 1, 4, dtype=np.float32).reshape(2, 2)


def explanation() -> Explanation:
    activity = LayerStatistics("block.relu1", "ReLU", (4, 2, 2), 0.5, 1.0, 0.0, 3.5, 4, 0.25, (1, 3), None)
    look = Attribution("a/1", "test", 1, 0, np.array([0.25, 0.75], np.float32), PIXELS, FLAT, None, "", FLAT * 2)
    apart = Separation(0.5, (0.25, None), 2, 0.5, 0.75, 10)
    plane = Embedding(
        "t-sne",
        "openTSNE",
        "dense1",
        128,
        1.5,
        points=FLAT,
        splits=np.array(["train", "test"]),
        ids=np.array(["x", "ü"]),
        labels=np.array([0, 1]),
        predicted=np.array([1, 1]),
        confidence=np.array([0.5, 1], np.float32),
        thumbnails=np.stack([PIXELS, PIXELS]),
        in_features=apart,
        in_map=replace(apart, silhouette=-0.1),
    )
    near = Neighbours(np.array(["t/1"]), np.array([1]), np.array([0.1], np.float32), PIXELS[None])
    return Explanation(
        layer="dense1",
        looked=100,
        image="a/1",
        activity=(activity, replace(activity, layer="tanh", saturated=0.125, dead=(), saturated_units=(2,))),
        feature_maps=(LayerMaps("block.relu1", "ReLU", 4, FLAT[None]),),
        filters=Filters("block.conv1", FLAT[None, None]),
        attributions=(look, replace(look, grad_cam=FLAT, cam_layer="block.relu1")),
        maximizing_images=(MaximizingImage("dense1", 1, "cat", PIXELS, 9.5, 3.0),),
        embeddings=(plane,),
        mistakes=(Mistake("a/2", 0, 1, 0.99, PIXELS, near),),
        label_issues=(LabelIssue("a/2", "validation", 0, 1, 0.9, 0.8, PIXELS),),
        seconds=2.0,
        class_names=("cat", "dog"),
    )


def must_be_equal(a: Any, b: Any) -> None:
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif is_dataclass(a):
        for field in fields(a):
            must_be_equal(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            must_be_equal(one, other)
    else:
        assert a == b


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert read(run) is None
    for given in (explanation(), replace(explanation(), filters=None, embeddings=(), attributions=())):
        given.write(run)
        found = read(run)
        must_be_equal(found, given)
    with pytest.raises(AssertionError):
        must_be_equal(found, explanation())


def test_a_file_without_saturated_units_is_read(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    explanation().write(run)
    with np.load(tmp_path / EXPLANATION) as archive:
        arrays = dict(archive)
    record = json.loads(arrays.pop("record").tobytes())
    for layer in record["activity"]:
        del layer["saturated_units"]
    np.savez(tmp_path / EXPLANATION, record=np.frombuffer(json.dumps(record).encode(), np.uint8), **arrays)
    found = read(run)
    assert found is not None
    assert [one.saturated_units for one in found.activity] == [None, None]


def test_a_damaged_or_newer_file_is_told(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    explanation().write(run)
    path = tmp_path / EXPLANATION
    whole = path.read_bytes()
    single = io.BytesIO()
    np.save(single, np.zeros(3))
    for spoilt in (b"", b"no archive", b"\x80\x04K\x01.", whole[: len(whole) // 2], single.getvalue()):
        path.write_bytes(spoilt)
        with pytest.raises(RunError, match=r"damaged: the archive is truncated, corrupt.*firstlight explain"):
            read(run)
    np.savez(path, record=np.frombuffer(b'{"format": 99}', np.uint8))
    with pytest.raises(RunError, match="format 99"):
        read(run)
    np.savez(path, record=np.frombuffer(b'{"format": 1, "layer": "x", "another": 2}', np.uint8))
    with pytest.raises(RunError, match="damaged: it has no 'looked'"):
        read(run)
