"""Synthetic explanations of runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from tests.report.run_folders import MakeRun

from firstlight.records.explanation import (
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
)
from firstlight.records.group import of_runs
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.report.document import Beside, Block, Chart, Document, ImageGrid, Numbers, Section, Table
from firstlight.report.pages import contents
from firstlight.report.render import html
from firstlight.types import Array


def real(values: Any) -> Array:
    return np.array(values, np.float32)


def explanation_of(
    run: RunFolder, *, points: int = 60, dense: bool = False, methods: tuple[str, ...] = ("pca", "t-sne")
) -> Explanation:
    """An explanation as of this run's net: the answers on its maps are those of its predictions."""
    draw = np.random.default_rng(0)
    names, shape = run.class_names, run.model.input_shape
    height, width, channels = shape
    predictions = run.predictions["test"]
    wrong = np.flatnonzero(~predictions.correct)
    field = draw.normal(size=(height, width)).astype(np.float32)

    def pixels(n: int) -> Array:
        return draw.integers(0, 256, (n, *shape), dtype=np.uint8)

    def look(row: int) -> Attribution:
        p = predictions.probabilities[row]
        cam = None if dense else np.maximum(field, 0)
        label, target = int(predictions.labels[row]), int(p.argmax())
        return Attribution(
            str(predictions.ids[row]), "test", label, target, p, pixels(1)[0], np.abs(field), cam, "relu1", field
        )

    def mistake(row: int) -> Mistake:
        near = Neighbours(
            np.array([f"train/{k}" for k in range(5)]), np.arange(5) % len(names), np.ones(5, np.float32), pixels(5)
        )
        answer, sure = int(predictions.predicted[row]), float(predictions.confidence[row])
        return Mistake(str(predictions.ids[row]), int(predictions.labels[row]), answer, sure, pixels(1)[0], near)

    def suspect(row: int) -> LabelIssue:
        given, suggested = int(predictions.labels[row]), int(predictions.predicted[row])
        return LabelIssue(str(predictions.ids[row]), "test", given, suggested, 0.75, 0.5, pixels(1)[0])

    def plane(method: str) -> Embedding:
        rows = np.resize(np.arange(len(predictions)), points)
        labels = predictions.labels[rows]
        apart = Separation(0.25, tuple(0.1 * (k % 7) for k in range(len(names))), points, 0.5, 0.75, 10)
        return Embedding(
            method,
            "scikit-learn 1.9",
            "dense1",
            128,
            1.5,
            points=(np.stack([labels, labels % 3], axis=1) + draw.normal(size=(points, 2)) / 9).astype(np.float32),
            splits=np.where(np.arange(points) % 2, "test", "train"),
            ids=predictions.ids[rows],
            labels=labels,
            predicted=predictions.predicted[rows],
            confidence=predictions.confidence[rows],
            thumbnails=(np.resize(pixels(1), (points, *shape)) if points > 999 else pixels(points))[:, :32, :32],
            in_features=apart,
            in_map=replace(apart, silhouette=-0.125, agreement=0.25),
        )

    maps = (LayerMaps("conv1", "Conv2D", 4, draw.normal(size=(4, height, width)).astype(np.float32)),)
    flat = LayerMaps("dense1", "Dense", 40, draw.normal(size=(1, 1, 40)).astype(np.float32))
    conv = LayerStatistics("conv1", "Conv2D", (4, height, width), -0.5, 1.0, -3.0, 3.5, 4, 0.25, (1, 3), None)
    ideal = MaximizingImage("dense1", 1, names[1], pixels(1)[0], 9.5, 3.0)
    return Explanation(
        layer="dense1",
        looked=50,
        image=str(predictions.ids[0]),
        activity=()
        if dense
        else (conv, replace(conv, layer="tanh1", type="Tanh", dead=(), saturated=0.75, saturated_units=(0, 2))),
        feature_maps=(*(() if dense else maps), flat),
        filters=Filters("conv1", draw.normal(size=(4, channels, 3, 3)).astype(np.float32)),
        attributions=tuple(look(row) for row in (0, *wrong[:2].tolist())),
        maximizing_images=(ideal, replace(ideal, layer="conv1", unit=7, name="")),
        embeddings=tuple(plane(method) for method in methods),
        mistakes=tuple(mistake(row) for row in wrong[:3].tolist()),
        label_issues=tuple(suspect(row) for row in wrong[:3].tolist()),
        seconds=2.0,
    )


def explained_run(
    make_run: MakeRun, name: str = "a-run", changes: dict[str, Any] | None = None, **odd: Any
) -> RunFolder:
    of_run = {key: odd.pop(key) for key in ("points", "dense", "methods") if key in odd}
    run = make_run(name, **odd)
    replace(explanation_of(run, **of_run), **(changes or {})).write(run)
    return RunFolder.open(run.path)


def chapters_of(run: RunFolder) -> dict[str, Section]:
    """What the report of a run says of its explanation, by anchor."""
    return {found.anchor: found for found in contents.sections(contents.EXPLAINED, of_runs([read(run)]))}


def every(blocks: tuple[Block, ...]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Beside):
            yield from every(block.blocks)


def texts(section: Section) -> str:
    """All that a section says."""
    said = []
    for block in every(section.blocks):
        said += [getattr(block, name) for name in ("text", "caption") if getattr(block, name, "")]
        if isinstance(block, ImageGrid):
            said += [f"{picture.text} {picture.detail}" for picture in block.pictures]
        if isinstance(block, Table):
            said += [" ".join(map(str, row)) for row in block.rows]
    return "\n".join(said)


def grids(section: Section) -> list[ImageGrid]:
    return [block for block in section.blocks if isinstance(block, ImageGrid)]


def charts(section: Section) -> list[Chart]:
    return [block for block in section.blocks if isinstance(block, Chart)]


def points(chart: Chart) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = chart.spec["datasets"]["points"]
    return values


def page_of(run: RunFolder) -> str:
    """The chapters of an explanation alone, as a page: the whole report takes longer."""
    return html.page(Document("Report of a run", "a run", "", "", Numbers(()), tuple(chapters_of(run).values())))
