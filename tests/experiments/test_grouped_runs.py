"""Runs whose images have groups: no split of them divides one, they are recorded, and found again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.experiments import small_runs
from tests.experiments.small_runs import QUIET

import firstlight as fl
from firstlight import experiments
from firstlight.data.corrections import Correction, pixels_sha256, write_corrections
from firstlight.errors import DataError, DeeperFoldersError
from firstlight.experiments.search.trial import ASIDE
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.report.pages.run import verdict
from firstlight.report.sections.cautions import of_run
from firstlight.types import Dataset, Images

TABLES: dict[str, Any] = {
    "data": {"source": "memory", "group": "writer"},
    "model": {"name": "mlp-128", "units": [8]},
    "training": {"epochs": 1},
}
do = partial(small_runs.do, TABLES)


@pytest.fixture(scope="module")
def written(digits: Dataset) -> Dataset:
    """Some digits in three classes, each by one of twenty writers."""
    some = digits.splits["train"].take(np.flatnonzero(digits.splits["train"].labels < 3)[:300])
    return fl.load({"images": some.pixels, "labels": some.labels, "writer": np.arange(300) // 5 % 20}, group="writer")


def held(splits: Mapping[str, Images]) -> dict[str, set[str]]:
    return {name: set(map(str, np.asarray(images.groups))) for name, images in splits.items()}


@pytest.fixture(scope="module")
def run(written: Dataset, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return do(tmp_path_factory.mktemp("runs") / "grouped", written)


def test_the_run_records_the_group_of_each_image_and_that_none_is_divided(run: RunFolder, written: Dataset) -> None:
    record = run.data.groups
    assert record is not None
    assert record.by == "the array writer (data.group)"
    assert (record.groups, record.smallest, record.largest, record.median) == (20, 15, 15, 15)
    assert sum(record.splits.values()) == 20
    assert set(record.divided.values()) == {0}
    assert record.asked == {"validation": 0.1, "test": 0.2}
    known = dict(
        zip(written.splits["train"].ids.tolist(), np.asarray(written.splits["train"].groups).tolist(), strict=True)
    )
    for name, split in run.data.splits.items():
        assert split.groups == tuple(known[sample] for sample in split.ids)
        assert len(set(split.groups)) == record.splits[name]
    for name, classes in record.classes.items():
        for k, share in enumerate(classes.values()):
            assert share == run.data.splits[name].counts[k] / written.splits["train"].counts[k]
    assert "in whole groups" in run.data.how_split
    assert any("20 groups of 15 images each" in warning for warning in run.data.warnings)


def test_the_report_says_how_many_groups_there_are_and_whether_one_is_divided(run: RunFolder, tmp_path: Path) -> None:
    record = read(run)
    texts = [text.text for text in of_run(record)]
    assert any(text.startswith("No group is divided: of 20 groups") for text in texts)
    assert "of their 4 groups" in verdict(record)
    shutil.copytree(run.path, tmp_path / "divided")
    data = tmp_path / "divided" / "data.json"
    data.write_text(data.read_text().replace('"train-test": 0', '"train-test": 2'))
    record = read(RunFolder.open(tmp_path / "divided"))
    [said] = [text for text in of_run(record) if "2 groups are both in train and test" in text.text]
    assert said.tone == "warning"
    assert "groups" not in verdict(record)


def test_a_run_without_groups_records_none(digits: Dataset, tmp_path: Path) -> None:
    few = replace(digits, splits={"train": digits.splits["train"].take(np.arange(200))})
    run = small_runs.do({**TABLES, "data": {"source": "digits"}}, tmp_path / "plain", few)
    assert run.data.groups is None
    assert run.data.splits["test"].groups is None
    assert '"groups"' not in (run.path / "data.json").read_text()


def test_images_that_are_found_again_have_the_groups_that_were_recorded(run: RunFolder, written: Dataset) -> None:
    plain = replace(written, splits={n: replace(s, groups=None) for n, s in written.splits.items()}, group="")
    for images in (written, plain):
        _, splits = experiments.reload_splits(run, images)
        for name, split in splits.items():
            assert tuple(np.asarray(split.groups).tolist()) == run.data.splits[name].groups
    again = experiments.set_up(small_runs.experiment(TABLES), *experiments.reload_splits(run, plain))
    experiments.must_be_the_same(run, again.splits)


def test_a_search_divides_no_group_either(written: Dataset) -> None:
    setup = experiments.set_up(small_runs.experiment(TABLES), written, without=ASIDE)
    found = held(setup.splits)
    assert set(found) == {"train", "validation"}
    assert not found["train"] & found["validation"]


def test_limit_and_classes_keep_groups_apart(written: Dataset) -> None:
    setup = experiments.set_up(small_runs.experiment(TABLES, data__limit=40, data__classes=["0", "2"]), written)
    assert len(setup.train) == 40
    found = held(setup.splits)
    assert sum(map(len, found.values())) == len(set.union(*found.values()))
    whole = experiments.set_up(small_runs.experiment(TABLES), written)
    assert setup.splits["test"].ids.tolist() == [
        sample
        for sample, k in zip(whole.splits["test"].ids.tolist(), whole.splits["test"].labels, strict=True)
        if k != 1
    ]


def test_fit_takes_arrays_with_groups_and_what_tells_them(written: Dataset, tmp_path: Path) -> None:
    images = written.splits["train"]
    given = {"x": images.pixels, "y": images.labels, "who": np.asarray(images.groups)}
    made = fl.fit("mlp-128", given, epochs=0, settings={"data.group": "who"}, out=tmp_path / "a")
    assert made.folder.data.groups is not None
    assert made.folder.data.groups.by == "the array who (data.group)"
    pair = fl.load((images.pixels, images.labels), group=given["who"])
    other = fl.fit("mlp-128", pair, epochs=0, out=tmp_path / "b")
    assert other.folder.data.splits["test"].ids == made.folder.data.splits["test"].ids
    with pytest.raises(DataError, match="neither columns nor arrays"):
        fl.fit("mlp-128", fl.load((images.pixels, images.labels)), settings={"data.group": "who"}, out=tmp_path / "c")


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Two classes of five videos of four frames, in split folders that divide each video."""
    draw = np.random.default_rng(0)
    for name in ("run", "walk"):
        for video in range(5):
            look = draw.integers(0, 256, (8, 8, 3))
            for frame in range(4):
                path = tmp_path / "films" / ("test" if frame == 3 else "train") / name / f"{name}{video}_{frame}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.clip(look + draw.normal(0, 4, look.shape), 0, 255).astype(np.uint8)).save(path)
    return tmp_path / "films"


def test_splits_of_the_source_that_divide_groups_are_refused_and_pooled_are_not(frames: Path) -> None:
    tables = {**TABLES, "data": {"source": str(frames), "group": r"(.+)_\d"}}
    with pytest.raises(DataError, match=r"10 of 10 groups are both in train and in test.*data\.pool = true"):
        experiments.set_up(small_runs.experiment(tables))
    setup = experiments.set_up(small_runs.experiment(tables, data__pool=True))
    found = held(setup.splits)
    assert sum(map(len, found.values())) == 10


def test_series_of_images_that_are_split_are_warned_of_without_groups(frames: Path, tmp_path: Path) -> None:
    setup = experiments.set_up(small_runs.experiment(TABLES, data={"source": str(frames)}))
    [said] = [line for line in setup.warnings() if "look like one series" in line]
    assert r"data.group = '(.+)_\d+\.'" in said
    assert "10 of 10 test images" in said
    run = experiments.start(setup, tmp_path / "plain", QUIET)
    assert run.data.doubtful_groups == (said,)
    assert said in [text.text for text in of_run(read(run)) if text.tone == "warning"]
    grouped = experiments.set_up(
        small_runs.experiment(TABLES, data={"source": str(frames), "group": r"(.+)_\d+\.", "pool": True})
    )
    assert not any("look like" in line for line in grouped.warnings())
    assert experiments.start(grouped, tmp_path / "run", QUIET).data.location == str(frames)


def test_other_images_may_lie_as_the_run_s_own_did(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for place, name, video, frame in product(("own", "others"), ("run", "walk"), range(4), range(2)):
        path = tmp_path / place / name / f"{name}{video}" / f"{frame}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    made = fl.fit("mlp-128", tmp_path / "own", epochs=0, settings={"data.group": "parent"}, out=tmp_path / "run")
    assert made.folder.data.groups is not None
    assert made.folder.data.groups.groups == 8
    assert made.measure(tmp_path / "others").evaluation.images == 16
    assert made.measure().evaluation.images == made.folder.data.splits["test"].images
    plain = fl.fit("mlp-128", frames_of(tmp_path / "own"), epochs=0, out=tmp_path / "plain")
    with pytest.raises(DeeperFoldersError, match="directly in their class folder"):
        plain.measure(tmp_path / "others")


def frames_of(root: Path) -> Dataset:
    """The images of the folders below those of the classes, as if they had been given as arrays."""
    images = fl.load(root, group="parent").splits["train"]
    return Dataset("frames", {"train": replace(images, groups=None)})


def test_how_even_a_split_is_does_not_depend_on_corrections_of_it(written: Dataset, tmp_path: Path) -> None:
    images = written.splits["train"]
    dropped = [
        Correction(sample, pixels_sha256(pixels), images.class_names[label], "")
        for sample, pixels, label in zip(images.ids.tolist(), images.pixels, images.labels, strict=True)
        if label == 2
    ]
    write_corrections(tmp_path / "corrections.csv", dropped)
    path = str(tmp_path / "corrections.csv")
    plain, corrected = (
        experiments.set_up(small_runs.experiment(TABLES, data__corrections=each), written) for each in (None, path)
    )
    assert corrected.splits["test"].counts[2] == 0
    assert corrected.balance == plain.balance
