"""`firstlight explain`: what it prints and writes, and what it says where it cannot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import firstlight as fl
from firstlight.errors import DataError, RunError
from firstlight.records import explanation
from firstlight.records.run_folder import RunFolder
from firstlight.types import Dataset

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolutional net on scikit-learn's digits, trained for a moment."""
    layers = [
        {"type": "Conv2D", "filters": 6, "padding": "same"},
        {"type": "ReLU"},
        {"type": "MaxPool2D", "size": 2},
        {"type": "Flatten"},
        {"type": "Dense", "units": 20},
        {"type": "Tanh"},
        {"type": "Dense", "units": 10, "name": "head"},
    ]
    tables = {
        "data": {"source": "digits", "limit": 600},
        "prepare": {"standardise": "channel"},
        "model": {"name": "small", "layers": layers},
        "optimizer": {"name": "adam", "lr": 0.01},
        "training": {"epochs": 3},
    }
    return fl.run(tables, out=tmp_path_factory.mktemp("runs") / "small", console=Console(quiet=True)).path


@pytest.fixture(scope="module")
def found(trained: Path) -> explanation.Explanation:
    """Its explanation, by Python."""
    return fl.Run(trained).explain(method="pca", points=80, seed=1)


def test_the_record_holds_what_was_found(trained: Path, found: explanation.Explanation) -> None:
    kept = explanation.read(RunFolder.open(trained))
    assert kept is not None
    run = fl.Run(trained)
    predictions = run.predictions["test"]
    assert kept.layer == "tanh1"
    assert [one.layer for one in kept.activity] == ["conv1", "relu1", "maxpool1", "dense1", "tanh1", "head"]
    assert {plane.method: len(plane.points) for plane in kept.embeddings} == {"pca": 160}
    assert kept.embeddings[0].in_features.agreement > 0.5
    wrong = [one for one in kept.mistakes if one.label == one.predicted]
    assert wrong == []
    by_id = dict(zip(predictions.ids.tolist(), predictions.predicted.tolist(), strict=True))
    assert all(by_id[one.id] == one.predicted for one in kept.mistakes)
    assert all(len(one.nearest.ids) == 5 and (np.diff(one.nearest.distances) >= 0).all() for one in kept.mistakes)
    assert {one.split for one in kept.label_issues} <= {"validation", "test"}
    surest = predictions.ids[int(np.argmax(predictions.confidence * predictions.correct))]
    assert kept.image == kept.attributions[0].id == surest
    assert [ideal.name for ideal in kept.maximizing_images[:10]] == list(run.class_names)
    shares = [ideal.value / ideal.typical for ideal in kept.maximizing_images if ideal.layer == "head"]
    assert min(shares) > 0.95  # of a tanh at its end, no image gives more than the best of the test images
    assert np.mean(shares) > 1
    assert kept.filters is not None
    assert kept.filters.weights.shape == (6, 1, 3, 3)
    assert "Grad-CAM" in (trained / "report.html").read_text()


def test_a_map_says_of_each_image_what_the_run_says(trained: Path, found: explanation.Explanation) -> None:
    plane, run = found.embeddings[0], fl.Run(trained)
    predictions = run.predictions["test"]
    rows = {name: i for i, name in enumerate(predictions.ids.tolist())}
    of_test = [(i, rows[name]) for i, name in enumerate(plane.ids.tolist()) if plane.splits[i] == "test"]
    assert len(of_test) == 80
    assert all(plane.predicted[i] == predictions.predicted[row] for i, row in of_test)
    assert all(plane.confidence[i] == pytest.approx(predictions.confidence[row], rel=1e-4) for i, row in of_test)
    assert set(plane.ids[plane.splits == "train"].tolist()) <= set(run.folder.data.splits["train"].ids)


def test_neighbours_are_the_nearest_in_the_layer(trained: Path, found: explanation.Explanation) -> None:
    run = fl.Run(trained)
    train = run._own["train"]
    values = run.session.trace(run.session.prepared(train)).values["tanh1"]
    mistake = found.mistakes[0]
    x = run.session.prepared(run._own["test"].take(run._own["test"].ids == mistake.id))
    distances = np.linalg.norm(values - run.session.trace(x).values["tanh1"], axis=1)
    assert mistake.nearest.ids.tolist() == train.ids[np.argsort(distances)[:5]].tolist()


def test_the_command_prints_a_table_and_the_same_as_json(firstlight: Call, trained: Path) -> None:
    answer = firstlight("explain", trained, "--points", 60, "--map", "t-sne")
    assert answer.code == 0, answer.err
    for text in (
        "conv1",
        "saturated",
        "silhouette",
        "t-sne",
        " mistakes on ",
        "Suspected label errors",
    ):
        assert text in answer.out
    assert answer.out.splitlines()[-1] == f"Report: {trained / 'report.html'}"
    plain = firstlight("explain", trained, "--points", 60, "--json")
    assert plain.code == 0
    said = plain.json()
    assert {one["method"] for one in said["maps"]} == {"pca", "t-sne"}
    assert said["layers"][1]["layer"] == "relu1"
    assert 0 < said["layers"][1]["saturated"] < 1
    assert said["maps"][0]["points"] == 120


def test_both_engines_explain_alike(firstlight: Call, trained: Path) -> None:
    said = [
        firstlight("explain", trained, "--map", "pca", "--points", 60, "--engine", engine, "--json").json()
        for engine in ("numpy", "torch")
    ]
    for a, b in zip(*(one["layers"] for one in said), strict=True):
        assert a["mean"] == pytest.approx(b["mean"], rel=1e-4, abs=1e-5)
        assert a["dead"] == b["dead"]
    assert [one["image"] for one in said[0]["suspects"]] == [one["image"] for one in said[1]["suspects"]]
    features = [one["maps"][0]["in_features"]["silhouette"] for one in said]
    assert features[0] == pytest.approx(features[1], abs=1e-4)


def test_one_image_by_id_and_by_file(firstlight: Call, trained: Path, tmp_path: Path) -> None:
    run = fl.Run(trained)
    name, predictions = run.predictions["test"].ids[0].item(), run.predictions["test"]
    answer = firstlight("explain", trained, "--image", name, "--out", tmp_path / "sheet.png")
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"{name}: {run.class_names[predictions.predicted[0]]} ")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000
        assert len(sheet.convert("RGB").resize((200, 200)).getcolors(40_000) or ()) > 100
    pixels = run._own["test"].pixels[0]
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "digit.png")
    said = firstlight("explain", trained, "--image", tmp_path / "digit.png", "--class", "3", "--json").json()
    assert said["sheet"] == str(trained / "look-digit.png")
    assert said["class"] == "3"
    expected = dict(zip(run.class_names, predictions.probabilities[0].tolist(), strict=True))
    assert said["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert (trained / "look-digit.png").is_file()
    (tmp_path / "other").mkdir()
    Image.fromarray(255 - pixels[:, :, 0]).save(tmp_path / "other" / "digit.png")
    sheets = [
        firstlight("explain", trained, "--image", path, "--class", "3", "--json").json()["sheet"]
        for path in (tmp_path / "other/digit.png", tmp_path / "digit.png")
    ]
    assert sheets == [str(trained / "look-digit-2.png"), str(trained / "look-digit.png")], "none is written over"


def test_looks_by_python(trained: Path) -> None:
    run = fl.Run(trained)
    name = run.predictions["test"].ids[3].item()
    by_id = run.attribution(name)
    given = run.attribution(by_id.pixels)
    assert (by_id.split, by_id.label) == ("test", int(run.predictions["test"].labels[3]))
    assert (given.split, given.label, given.cam_layer) == ("", -1, "relu1")
    np.testing.assert_allclose(given.saliency, by_id.saliency)
    assert run.attribution(name, "7").target == run.attribution(name, 7).target == 7
    grey = run.attribution(np.zeros((20, 30), np.uint8))  # resized as the net's images were
    assert grey.pixels.shape == (8, 8, 1)
    assert [maps.layer for maps in run.feature_maps(name)][-1] == "head"
    of_training = run.folder.data.splits["train"].ids[5]
    assert run.attribution(of_training).split == "train"
    with pytest.deprecated_call(match="Run.attribution"):
        assert run.look(name).id == name
    for wrong in (np.zeros((8, 8)), np.zeros((1, 8, 8, 1), np.uint8)):
        with pytest.raises(DataError, match="An image is uint8 pixels"):
            run.attribution(wrong)
    with pytest.raises(DataError, match="The classes are 0 to 9; received 10"):
        run.attribution(name, 10)


def test_mistakes_of_a_pair(firstlight: Call, trained: Path) -> None:
    run = fl.Run(trained)
    predictions = run.predictions["test"]
    worst = int(np.flatnonzero(~predictions.correct)[0])
    true, taken = (run.class_names[k[worst]] for k in (predictions.labels, predictions.predicted))
    answer = firstlight("explain", trained, "--true", true, "--predicted", taken)
    pair = (predictions.labels == int(true)) & (predictions.predicted == int(taken))
    assert answer.out.startswith(f"{int(pair.sum())} test images of {true} classified as {taken}")
    assert predictions.ids[worst].item() in answer.out
    near = {one.id: one.nearest for one in run.mistakes(true, taken)}
    assert set(near) == set(predictions.ids[pair].tolist())
    first = near[predictions.ids[worst].item()]
    said = [f"{run.class_names[k]} {name}" for k, name in zip(first.labels, first.ids, strict=True)]
    assert f"        {', '.join(said)}" in answer.out.splitlines()
    every = firstlight("explain", trained, "--true", true, "--json").json()
    shown = next(one["nearest"] for one in every if one["image"] == predictions.ids[worst])
    assert [one["image"] for one in shown] == first.ids.tolist()
    assert [one["class"] for one in shown] == [run.class_names[k] for k in first.labels]
    assert [one["distance"] for one in shown] == pytest.approx(first.distances.tolist())
    assert len(every) == int(((predictions.labels == int(true)) & ~predictions.correct).sum())
    assert [one["confidence"] for one in every] == sorted((one["confidence"] for one in every), reverse=True)


def test_listed_mistakes_are_those_of_the_explanation(trained: Path, found: explanation.Explanation) -> None:
    run = fl.Run(trained)
    listed = run.mistakes(count=len(found.mistakes), seed=1)
    assert [one.id for one in listed] == [one.id for one in found.mistakes]
    for one, other in zip(listed, found.mistakes, strict=True):
        assert one.nearest.ids.tolist() == other.nearest.ids.tolist()
    other_layer = run.mistakes(count=1, layer="conv1", seed=1)[0]
    assert other_layer.nearest.distances.tolist() != listed[0].nearest.distances.tolist()


def test_one_unit_is_the_one_of_the_explanation(
    firstlight: Call, trained: Path, found: explanation.Explanation, tmp_path: Path
) -> None:
    last = found.maximizing_images[-1].unit
    kept = next(one for one in found.maximizing_images if (one.layer, one.unit) == ("conv1", last))
    ideal = fl.Run(trained).maximizing_image("conv1", kept.unit, seed=1)
    assert (ideal.name, ideal.typical) == (f"conv1, channel {kept.unit}", pytest.approx(kept.typical, rel=1e-5))
    np.testing.assert_allclose(ideal.pixels.astype(int), kept.pixels.astype(int), atol=1)
    picture = tmp_path / "unit.png"
    answer = firstlight("explain", trained, "--unit", f"conv1:{kept.unit}", "--seed", 1, "--out", picture)
    assert answer.code == 0, answer.err
    assert answer.out == (
        f"conv1, channel {kept.unit}: {ideal.value:.3g} for this image, "
        f"at most {ideal.typical:.3g} for a test image\nPicture: {picture}\n"
    )
    with Image.open(picture) as drawn:
        assert drawn.size == (480, 480)
        assert (np.asarray(drawn)[30::60, 30::60] == ideal.pixels[:, :, 0]).all()
    said = firstlight("explain", trained, "--unit", "tanh1:3", "--json").json()
    assert (said["layer"], said["unit"], said["name"]) == ("tanh1", 3, "tanh1, feature 3")
    assert said["value"] > 0.9
    assert said["picture"] == str(trained / "ideal-tanh1-3.png")
    assert (trained / "ideal-tanh1-3.png").is_file()
    assert firstlight("explain", trained, "--unit", "head:2", "--json").json()["name"] == "2"


def test_tensorboard_gets_the_vectors(firstlight: Call, trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    answer = firstlight("explain", trained, "--map", "pca", "--points", 40, "--tensorboard", tmp_path / "board")
    assert answer.code == 0, answer.err
    assert f"tensorboard --logdir {tmp_path / 'board'}" in answer.out
    vectors = next((tmp_path / "board").rglob("*.tsv"))
    assert vectors.stat().st_size > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--layer", "conv7"), "no layer to explain called 'conv7'. Did you mean conv1?"),
        (("--map", "tsne"), "Did you mean t-sne?"),
        (("--image", "test/999999"), "neither an image file nor the id of an image"),
        (("--image", "nothing.png"), "neither an image file nor the id of an image"),
        (("--true", "eleven"), "There is no class called 'eleven'"),
        (("--true", "3", "--predicted", "3"), "give two different classes"),
        (("--class", "3"), "--class is not used without --image"),
        (("--image", "x", "--map", "pca", "--points", "9"), "--map and --points are not used with --image"),
        (("--true", "3", "--layer", "conv7"), "Did you mean conv1?"),
        (("--true", "3", "--out", "x.png"), "--out is not used with a list of mistakes"),
        (("--unit", "conv1:0", "--out", "x.jpg"), "--out x.jpg: the picture is a PNG, so the name must end in .png."),
        (("--image", "test/999999", "--out", "x"), "--out x: the picture is a PNG"),
        (("--unit", "conv7:0"), "no layer to explain called 'conv7'. Did you mean conv1?"),
        (("--unit", "conv1:6"), "The units of conv1 are 0 to 5; received 6."),
        (("--unit", "conv1"), "--unit takes a layer and the number of a unit, such as conv2:0; received 'conv1'"),
        (("--unit", "conv1:-1"), "received 'conv1:-1'"),
        (("--unit", "conv1:0", "--layer", "conv1"), "--layer is not used with --unit"),
        (("--points", "1"), "t-sne needs at least 4 images; 1 of each split are 2. Take more."),
        (("--tensorboard", "pyproject.toml"), "pyproject.toml is a file; TensorBoard needs a folder"),
    ],
)
def test_what_cannot_be_done_is_one_message(
    firstlight: Call, trained: Path, options: tuple[str, ...], said: str
) -> None:
    report = trained / "report.html"  # which another test may have made
    before = report.read_bytes() if report.exists() else b""
    answer = firstlight("explain", trained, *options, *(("--points", 20) if options[0] == "--tensorboard" else ()))
    assert answer.code == 2
    assert answer.out == ""
    assert said in answer.err
    assert answer.err.startswith("firstlight: ")
    assert (report.read_bytes() if report.exists() else b"") == before


def test_an_unknown_class_of_an_image(firstlight: Call, trained: Path) -> None:
    name = fl.Run(trained).predictions["test"].ids[0].item()
    answer = firstlight("explain", trained, "--image", name, "--class", "eight")
    assert (answer.code, "There is no class called 'eight'" in answer.err) == (2, True)


@pytest.mark.parametrize(
    ("missing", "said"),
    [("result.json", "has no result yet: the run is still training"), ("predictions.npz", "has no predictions.npz")],
)
def test_runs_that_are_not_complete(firstlight: Call, trained: Path, tmp_path: Path, missing: str, said: str) -> None:
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / missing).unlink()
    answer = firstlight("explain", copy, "--map", "pca")
    assert (answer.code, said in answer.err) == (2, True), answer.err


def test_a_run_of_a_newer_format_and_a_folder_that_is_none(firstlight: Call, trained: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(trained, tmp_path / "copy")
    model = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps({**model, "format": 99}))
    answer = firstlight("explain", copy, "--map", "pca")
    assert (answer.code, "Update it: pip install --upgrade firstlight" in answer.err) == (2, True)
    assert "is not a run folder" in firstlight("explain", tmp_path).err


def test_images_given_as_arrays_are_given_again(few_digits: Dataset, tmp_path: Path) -> None:
    run = fl.fit("softmax-regression", few_digits, epochs=1, out=tmp_path / "a", console=Console(quiet=True))
    with pytest.raises(RunError, match=r"given as arrays.*from Python: fl\.Run\('.*a', data=…\)"):
        run.explain(method="pca", points=20)
    with pytest.raises(RunError, match="given as arrays"):
        run.mistakes()
    found = run.explain(method="pca", points=20, data=few_digits)
    assert found.layer == "head"  # without a hidden layer, its outputs say what is alike
    assert found.attributions[0].grad_cam is None
    assert fl.Run(run.path).mistakes(count=2, data=few_digits)[0].nearest.ids.size == 5


def test_a_map_that_cannot_be_made_is_told_before_the_work(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the work has begun")

    monkeypatch.setattr("firstlight.explain.explanation.compute_activation_statistics", never)
    for method, points, said in (("t-sne", 1, "at least 4 images"), ("pca", 0, "at least 1 image of each")):
        with pytest.raises(DataError, match=said):
            fl.Run(trained).explain(method=method, points=points)
    run = fl.Run(trained)
    own = {name: images.take(images.labels == 3) for name, images in run._own.items()}
    run._own = own
    with pytest.raises(DataError, match="all its 4 images are of 3"):
        run.explain(method="pca", points=2)


def test_run_explains_at_once_where_asked(firstlight: Call, tmp_path: Path) -> None:
    small = ("--data", "digits", "--model", "mlp-128", "--epochs", 1, "--set", "data.limit=150")
    answer = firstlight("run", *small, "--out", tmp_path / "a", "--explain")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1].startswith("Explained in ")
    assert explanation.read(RunFolder.open(tmp_path / "a")) is not None
