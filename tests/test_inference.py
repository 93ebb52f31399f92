"""Many files through a trained net: in order, a few in memory at a time, each with its answer or the reason."""

import itertools
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.odd_images import broken_images, encoded, odd_images, scene

import firstlight as fl
from firstlight import inference
from firstlight.data.file_listing import listed_files
from firstlight.errors import DataError, ExperimentError, RunError
from firstlight.inference import BATCH
from firstlight.prepare import outside_image
from firstlight.types import Dataset, Images

SIDE = 128
NAMES = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small net for colour images of three classes, with a split of its own."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, SIDE, SIDE, 3), dtype=np.uint8)
    images = Images(pixels, np.arange(60) % 3, np.arange(60).astype(str), NAMES)
    out = tmp_path_factory.mktemp("inference") / "run"
    return fl.fit(
        "softmax-regression", Dataset("noise", {"train": images}), epochs=2, out=out, console=Console(quiet=True)
    )


@pytest.fixture
def folder(run, tmp_path):
    """Of each class three images of the run's, three new ones, one in colour and grey alike, and a broken one."""
    split = run.folder.data.splits["train"]
    kept = dict(zip(split.ids, range(len(split.ids)), strict=True))
    pixels = np.random.default_rng(0).integers(0, 256, (60, SIDE, SIDE, 3), dtype=np.uint8)
    new = np.random.default_rng(1).integers(0, 256, (9, SIDE, SIDE, 3), dtype=np.uint8)
    for k, name in enumerate(NAMES):
        (tmp_path / name).mkdir()
        seen = [i for i in range(60) if i % 3 == k and str(i) in kept][:3]
        for i in seen:
            Image.fromarray(pixels[i]).save(tmp_path / name / f"seen-{i}.png")
        for i in range(3):
            Image.fromarray(new[3 * k + i]).save(tmp_path / name / f"new-{i}.png")
    (tmp_path / "dog/broken.png").write_bytes(b"no image")
    return tmp_path


def test_answers_are_those_of_predict_in_order(run, tmp_path, monkeypatch):
    monkeypatch.setattr(inference, "BATCH", 5)
    files = {**odd_images(), **{name: data for name, (data, _) in broken_images().items()}}
    mixed = sorted(files, key=lambda name: name[::-1])
    for name in mixed:
        (tmp_path / name).write_bytes(files[name])
    found = list(run.predict_files([tmp_path / name for name in mixed], top=None))
    assert [one.path for one in found] == [str(tmp_path / name) for name in mixed]
    for one, name in zip(found, mixed, strict=True):
        if name in broken_images():
            assert broken_images()[name][1] in one.reason
            assert (one.class_name, one.top) == ("", ())
            assert np.isnan(one.probability)
        else:
            [row] = run.predict(tmp_path / name)
            assert not one.reason
            assert one.class_name == NAMES[row.argmax()]
            assert one.probability == row.max() == one.top[0][1]
            np.testing.assert_array_equal([dict(one.top)[each] for each in NAMES], row)
            assert [p for _, p in one.top] == sorted(row.tolist(), reverse=True)


def test_so_many_classes_as_are_asked_for(run, folder):
    for top, expected in ((1, 1), (2, 2), (9, 3), (None, 3)):
        assert {len(one.top) for one in run.predict_files(folder / "cat", top=top)} == {expected}
    with pytest.raises(ExperimentError, match="from 1"):
        run.predict_files(folder, top=0)


def test_a_batch_of_large_images_is_small():
    def size(*shape):
        return inference.batch_size(fl.Preparation(shape, "none", np.ones((1, 1, 1)), np.zeros((1, 1, 1))))

    assert [size(28, 28, 1), size(512, 512, 3), size(8192, 8192, 3)] == [BATCH, 40, 1]


def test_files_are_asked_for_as_they_are_needed(run, folder):
    """No more than a batch ahead: the list has no end."""
    asked = 0

    def endless():
        nonlocal asked
        for file in itertools.cycle(listed_files([folder / "cat/new-0.png", folder / "dog/broken.png"])):
            asked += 1
            yield file

    classifier = run._file_classifier
    for number, _ in enumerate(itertools.islice(classifier.predict(endless()), 3 * BATCH), start=1):
        assert asked - number < BATCH


def peak_of(answers):
    tracemalloc.start()
    try:
        for _ in answers:
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_files(run, folder, monkeypatch):
    monkeypatch.setattr(inference, "BATCH", 16)
    path = folder / "cat/new-0.png"

    def bounded(predict):
        few, many = 32, 32 + 256
        _, first, last = (peak_of(predict(itertools.repeat(path, number))) for number in (few, few, many))
        return last - first < (many - few) * SIDE * SIDE * 3 / 2  # Python's own table of names may grow by 4 MB

    def all_at_once(paths):
        yield from run.predict(np.stack([outside_image(path, run.task.preparation) for path in paths]))

    assert bounded(run.predict_files)
    assert not bounded(all_at_once)


def test_classes_are_compared_with_those_of_the_folders(run, folder):
    told = []
    measured = run.measure_files([folder], each=told.append)
    assert measured.evaluation.images == 9
    assert measured.seen == 9
    assert measured.with_seen.images == 18
    assert [note.split()[0] for note in measured.notes] == ["Of", "Not"]
    assert "broken.png" in measured.notes[1]
    assert len(told) == 19
    assert {one.true_class for one in told} == set(NAMES)
    assert sum(one.reason == inference.LEARNT_FROM for one in told) == 9
    counted = [one for one in told if not one.reason]
    assert measured.evaluation.accuracy == np.mean([one.class_name == one.true_class for one in counted])
    assert measured.predictions.ids.tolist() == [one.path for one in counted]

    flattered = run.measure_files([folder], include_seen=True)
    assert flattered.evaluation.images == 18
    assert flattered.evaluation.accuracy == measured.with_seen.accuracy


def test_files_are_measured_as_a_set_of_images_is(run, folder):
    (folder / "dog/broken.png").unlink()
    as_set, as_files = run.measure(folder), run.measure_files([folder])
    # Fewer images than a vector has lanes are summed in another order, and the outputs are large.
    assert as_files.evaluation.loss == pytest.approx(as_set.evaluation.loss, rel=1e-5)
    np.testing.assert_array_equal(as_files.evaluation.confusion, as_set.evaluation.confusion)
    np.testing.assert_allclose(as_files.predictions.probabilities, as_set.predictions.probabilities, atol=1e-4)
    assert as_files.notes == as_set.notes


def test_classes_that_a_table_names(run, folder):
    rows = "".join(f"cat/new-{i}.png,{label}\n" for i, label in enumerate(("owl", "dog", "bird")))
    (folder / "list.csv").write_text(f"path,label\n{rows}")
    measured = run.measure_files(folder / "list.csv")
    assert measured.predictions.labels.tolist() == [2, 1]
    assert "'bird'" in measured.notes[0]


def test_what_has_no_class_of_the_run_cannot_be_measured(run, tmp_path):
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds/a.png").write_bytes(encoded(scene()))
    with pytest.raises(DataError, match=r"'birds'.*The run's classes are cat, dog and owl"):
        run.measure_files(tmp_path)


def test_classes_put_together_and_left_out(digits, tmp_path):
    groups = {"even": ["0", "2"], "odd": ["1", "3"]}
    few = Dataset("few", {"train": digits.splits["train"].take(np.arange(200))})
    settings = {"data.regroup": groups, "data.validation": 0.0, "data.test": 0.3}
    run = fl.fit("mlp-128", few, epochs=1, out=tmp_path / "run", console=Console(quiet=True), settings=settings)
    fresh = digits.splits["train"].take(np.arange(900, 960))
    for pixels, label, name in zip(fresh.pixels, fresh.labels.tolist(), fresh.ids.tolist(), strict=True):
        path = tmp_path / "fresh" / str(label) / f"{name.replace('/', '-')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(pixels))
    measured = run.measure_files(tmp_path / "fresh")
    expected = [label % 2 for label in sorted(fresh.labels.tolist()) if label < 4]
    assert measured.predictions.labels.tolist() == expected
    assert "are left out in this run" in measured.notes[0]


def test_a_net_whose_answers_are_no_numbers_says_so(run, folder, monkeypatch):
    monkeypatch.setattr(run.session, "outputs", lambda images: np.full((len(images), 3), np.nan, np.float32))
    with pytest.raises(RunError, match="not finite"):
        next(run.predict_files(folder))
