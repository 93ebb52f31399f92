"""One image has one answer, whoever is asked: Python, the command line, the page Draw, a service, and what leaves.

The page of an HTML export prepares images by itself, in a browser: tests/export/html/test_page.py feeds it these files.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console
from tests.odd_images import broken_images, encoded, odd_images, scene
from tests.serve.conftest import running

import firstlight as fl
from firstlight import weights
from firstlight.app.pages.draw.live import DrawingRequest, answer, prepared
from firstlight.data.decoding import ImageLimits, decode
from firstlight.errors import DataError, NoRuntimeError, UnreadableImageError
from firstlight.export import FORMATS, exportable
from firstlight.prepare import Preparation, outside_image
from firstlight.prepare.preparation import luma
from firstlight.types import Dataset, Images, unlabelled

SHAPES = {"grey": (8, 8, 1), "colour": (12, 9, 3)}


@pytest.fixture(scope="module", params=SHAPES)
def run(request, tmp_path_factory):
    """A net for grey squares, and one for colour images that are higher than wide."""
    height, width, channels = SHAPES[request.param]
    pixels = np.random.default_rng(0).integers(0, 256, (40, height, width, channels), dtype=np.uint8)
    images = Images(pixels, np.arange(40) % 3, np.arange(40).astype(str), ("a", "b", "c"))
    data = Dataset(request.param, {"train": images})
    out = tmp_path_factory.mktemp("outside") / request.param
    return fl.fit("mlp-128", data, epochs=1, out=out, console=Console(quiet=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    for name, data in odd_images().items():
        (folder / name).write_bytes(data)
    return folder


def test_every_way_finds_one_answer(run, folder, firstlight):
    found = {name: outside_image(data, run.task.preparation) for name, data in odd_images().items()}
    expected = {name: run.predict(pixels[None])[0] for name, pixels in found.items()}
    assert len({pixels.tobytes() for pixels in found.values()}) > len(found) / 2, "the files show different pictures"

    told = json.loads(firstlight("predict", run.path, folder, "--json").out)
    by_command = {one["image"]: list(one["probabilities"].values()) for one in told}
    for name, data in odd_images().items():
        path, pixels, row = folder / name, found[name], expected[name]
        assert pixels.shape == run.task.preparation.input_shape, name
        np.testing.assert_array_equal(outside_image(path, run.task.preparation), pixels, err_msg=name)
        np.testing.assert_array_equal(run.predict(path)[0], row, err_msg=name)
        np.testing.assert_allclose(by_command[str(path)], row, atol=1e-6, err_msg=name)  # in a batch with others
        np.testing.assert_array_equal(prepared(data, run.task.preparation, DrawingRequest()), pixels, err_msg=name)
        np.testing.assert_array_equal(answer(run, pixels, DrawingRequest())["probabilities"], row, err_msg=name)
        np.testing.assert_allclose(run.attribution(path).probabilities, row, atol=1e-6, err_msg=name)
    every = [folder / name for name in found]
    np.testing.assert_allclose(run.predict(every), [*expected.values()], atol=1e-6)


def test_a_service_finds_it_too(run, folder):
    names = [*odd_images()]
    with running([run.path]) as served:
        parts = [("image", (name, (folder / name).read_bytes())) for name in names]
        told = served.client.post("/v1/predict", files=parts).json()["predictions"]
    assert [one["image"] for one in told] == names
    found = [[*one["probabilities"].values()] for one in told]
    np.testing.assert_allclose(found, run.predict([folder / name for name in names]), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_what_leaves_finds_it_too(name, run, folder, tmp_path):
    """By its own runtime, on the pixels that `outside_image` makes; model.py reads the files itself."""
    form = FORMATS[name]()
    try:
        form.runtime()
    except NoRuntimeError as error:
        pytest.skip(str(error))
    vector = weights.of_run(run.folder, run.task.model.layout)
    model = exportable(run.folder, run.task, vector, lambda: run._own["train"])
    files = form.write(model, "Not verified: a test.")
    paths = [folder / name for name in odd_images()]
    expected = run.predict(paths)
    if name != "torch":
        pixels = np.stack([outside_image(path, run.task.preparation) for path in paths])
        np.testing.assert_allclose(form.answers(model, files, pixels), expected, atol=1e-5)
        return
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    command = [sys.executable, "-I", tmp_path / "model.py", *paths]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for path, row, line in zip(paths, expected, told, strict=True):
        answer, _, share = line.removeprefix(f"{path}: ").rpartition(" ")
        assert answer == run.class_names[row.argmax()]
        assert float(share.strip("(%)")) == pytest.approx(100 * row.max(), abs=0.051)


def test_the_pixels_of_an_image_have_the_answer_of_its_file(run):
    """Arrays are resized in the channels that they have, as files are, and then made grey or colour."""
    pixels = scene(33, 47)
    from_file = outside_image(encoded(pixels), run.task.preparation)
    np.testing.assert_array_equal(run.task.preparation.apply(unlabelled(pixels[None])).pixels[0], from_file)


def test_the_order_of_the_steps(run):
    """Resized in the file's channels, then grey: the other order would round otherwise."""
    data = encoded(scene(33, 47))
    size = run.task.preparation.size
    resized = decode(data, size)
    expected = luma(resized[None])[0] if run.task.preparation.input_shape[2] == 1 else resized
    np.testing.assert_array_equal(outside_image(data, run.task.preparation), expected)
    if run.task.preparation.input_shape[2] == 1:
        from_grey = run.task.preparation.apply_to_pixels(luma(decode(data, None)[None]))[0]
        assert not np.array_equal(from_grey, expected), "this image tells the orders apart"


@pytest.mark.parametrize("name", broken_images())
def test_what_cannot_be_read_is_told_by_name(name, tmp_path):
    data, why = broken_images()[name]
    preparation = Preparation.fit(unlabelled(scene(8, 8, 1)[None]))
    path = tmp_path / name
    path.write_bytes(data)
    for source, called in ((path, str(path)), (data, "The image")):
        with pytest.raises(UnreadableImageError, match=why) as told:
            outside_image(source, preparation)
        assert str(told.value) == f"{called}: {told.value.reason}."


def test_limits_are_held_by_the_head():
    preparation = Preparation.fit(unlabelled(scene(8, 8, 1)[None]))
    assert outside_image(encoded(scene(50, 40)), preparation, limits=ImageLimits(2_000, 50)).shape == (8, 8, 1)
    with pytest.raises(DataError, match=r"more than 1,999 pixels"):
        outside_image(encoded(scene(50, 40)), preparation, limits=ImageLimits(1_999, 50))
    with pytest.raises(DataError, match=r"40 × 50 pixels, a side above 49"):
        outside_image(encoded(scene(50, 40)), preparation, limits=ImageLimits(2_000, 49))
