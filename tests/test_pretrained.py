"""Published weights: our nets with them are the published nets, and what does not fit is named."""

from __future__ import annotations

import itertools
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstlight import models, pretrained
from firstlight.errors import DataError, ModelError
from firstlight.kernels import load
from firstlight.layers import Chain, Flatten, Pass
from firstlight.models import Model, build
from firstlight.pretrained import BY_PATH, PRETRAINED, fetch, is_published, published_names, translate
from firstlight.types import Array
from firstlight.weights import fits, from_file, to_bytes

SIZE = 64  # the last stage of a ResNet then has 2×2 pixels, so that every weight of a 3×3 kernel counts
# What torchvision's state_dict holds; VGG16's is that of its convolutions and of three layers of the head.
TENSORS = {"resnet18": 122, "resnet34": 218, "resnet50": 320, "densenet121": 727, "densenet169": 1015, "vgg16": 32}
TENSORS |= {"densenet201": 1207, "vgg19": 38}


def keep(name: str) -> bool:
    """No array starts again."""
    return False


def new_head(name: str) -> bool:
    return fits(name, "head")


def drawn(name: str, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Numbers with which signals neither die nor explode on their way through the net."""
    if name.endswith("num_batches_tracked"):
        return np.array(7)
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    if len(shape) > 1:
        return random.standard_normal(shape, np.float32) * np.float32((2 / np.prod(shape[1:])) ** 0.5)
    return random.standard_normal(shape, np.float32) / 8


def published_file(model: Model, seed: int = 0) -> dict[str, Array]:
    """Random arrays with the published names of the model's own, and one that the model does not have."""
    random, names = np.random.default_rng(seed), published_names(model)
    shapes = {names[entry.name]: entry.parameter.shape for entry in model.layout.entries if entry.name in names}
    return {name: drawn(name, shape, random) for name, shape in shapes.items()} | {
        "bn1.num_batches_tracked": np.array(7)
    }


def outputs(model: Model, arrays: dict[str, Array], images: Array) -> Array:
    """What our model makes of images (N, C, H, W) with these arrays: (N, K), or VGG16's features."""
    start = model.layout.named(model.layout.initial(0)) if model.name.startswith("vgg") else {}
    p = model.layout.tree(model.layout.vector(start | arrays, np.float64))
    layers = Chain(tuple(itertools.takewhile(lambda layer: not isinstance(layer, Flatten), model.layers.layers)))
    y, _ = layers.forward(p, np.ascontiguousarray(images.transpose(1, 2, 3, 0)), Pass(load("reference")))
    return y.reshape(-1, len(images)).T


class Published:
    """A net in plain PyTorch, a file that it takes whole, and what it makes of two images."""

    def __init__(self, name: str) -> None:
        torch = pytest.importorskip("torch")
        from tests.published_nets import NETS

        random = np.random.default_rng(1)
        net = NETS[name]().double().eval()
        self.arrays = {key: drawn(key, tuple(value.shape), random) for key, value in net.state_dict().items()}
        net.load_state_dict({key: torch.from_numpy(array) for key, array in self.arrays.items()}, strict=True)
        self.images = random.standard_normal((2, 3, SIZE, SIZE))
        with torch.inference_mode():
            self.outputs = net(torch.from_numpy(self.images)).numpy()

    def difference(self, model: Model) -> float:
        """The largest difference of our model's outputs from the net's, relative to the largest output."""
        ours = outputs(model, translate(model, self.arrays, keep, "The file"), self.images)
        assert ours.shape == self.outputs.shape
        return float(np.abs(ours - self.outputs).max() / np.abs(self.outputs).max())


@pytest.mark.parametrize("name", [*PRETRAINED, *BY_PATH])
def test_with_published_weights_our_net_is_the_published_one(name: str) -> None:
    net = Published(name)
    assert len(net.arrays) == TENSORS[name]
    model = build(name, (SIZE, SIZE, 3), 1000)
    assert net.difference(model) < 1e-9
    unread = set(net.arrays) - set(published_names(model).values())
    assert all(re.search(r"num_batches_tracked$|^pre_logits\.|^head\.fc\.", key) for key in unread)


def test_two_arrays_in_each_others_place_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    net, model = Published("resnet18"), build("resnet18", (SIZE, SIZE, 3), 1000)
    assert net.difference(model) < 1e-9
    right = published_names(model)
    for a, b in (
        ("layer1_0.body.conv1.W", "layer1_0.body.conv2.W"),
        ("layer4_1.body.conv1.W", "layer4_1.body.conv2.W"),
        ("batchnorm1.gamma", "batchnorm1.var"),
        ("batchnorm1.beta", "batchnorm1.mean"),
        ("layer2_0.shortcut.batchnorm1.beta", "layer2_0.body.batchnorm2.mean"),
        ("layer3_0.body.batchnorm1.gamma", "layer3_0.body.batchnorm2.gamma"),
    ):
        monkeypatch.setattr(pretrained, "published_names", lambda _, a=a, b=b: right | {a: right[b], b: right[a]})
        assert net.difference(model) > 1e-6, (a, b)


@pytest.mark.parametrize("name", [*PRETRAINED, *BY_PATH])
def test_published_names_are_given_once_and_to_all_but_the_small_head_of_vgg(name: str) -> None:
    model = build(name, (32, 32, 3), 10)
    names = published_names(model)
    assert len(set(names.values())) == len(names)
    without = {entry.name for entry in model.layout.entries} - set(names)
    head = {"dense1", "batchnorm1", "head"} if name.startswith("vgg") else set()
    assert {path.split(".")[0] for path in without} == head


@pytest.mark.parametrize("name", BY_PATH)
def test_without_a_checked_revision_nothing_is_downloaded(name: str) -> None:
    with pytest.raises(ModelError, match=f"no revision.*huggingface.co/timm/{name}.tv_in1k.*weights.init_from"):
        fetch(name)
    model = build(name, (32, 32, 3), 10)
    assert is_published(published_file(model), model)


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("resnet18", "batchnorm1.mean", "bn1.running_mean"),
        ("resnet34", "layer3_5.body.conv2.W", "layer3.5.conv2.weight"),
        ("resnet50", "layer1_0.shortcut.conv1.W", "layer1.0.downsample.0.weight"),
        ("resnet50", "layer2_0.shortcut.batchnorm1.var", "layer2.0.downsample.1.running_var"),
        ("resnet50", "layer4_2.body.batchnorm3.gamma", "layer4.2.bn3.weight"),
        ("resnet50", "head.b", "fc.bias"),
        ("densenet121", "conv0.W", "features.conv0.weight"),
        ("densenet121", "norm0.beta", "features.norm0.bias"),
        ("densenet121", "denselayer4_16.body.norm2.mean", "features.denseblock4.denselayer16.norm2.running_mean"),
        ("densenet169", "denselayer3_32.body.conv1.W", "features.denseblock3.denselayer32.conv1.weight"),
        ("densenet169", "transition3.norm.gamma", "features.transition3.norm.weight"),
        ("densenet169", "transition1.conv.W", "features.transition1.conv.weight"),
        ("densenet169", "norm5.var", "features.norm5.running_var"),
        ("densenet169", "head.W", "classifier.weight"),
        ("vgg16", "conv1.W", "features.0.weight"),
        ("vgg16", "conv13.b", "features.28.bias"),
    ],
)
def test_a_published_name(name: str, ours: str, theirs: str) -> None:
    assert published_names(build(name, (32, 32, 3), 10))[ours] == theirs


@pytest.fixture(scope="module")
def model() -> Model:
    return models.resnet18((32, 32, 3), 10)


@pytest.fixture(scope="module")
def thousand() -> dict[str, Array]:
    """A published file of ResNet-18, with its thousand classes."""
    return published_file(models.resnet18((32, 32, 3), 1000))


def test_a_head_of_other_classes_is_refused_unless_it_starts_anew(
    model: Model, thousand: dict[str, Array], tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(to_bytes(thousand))
    with pytest.raises(ModelError) as caught:
        translate(model, from_file(path), keep, str(path))
    for part in (str(path), "head.W", "fc.weight", "(1000, 512)", "(10, 512)", 'weights.fresh = ["head"]'):
        assert part in str(caught.value)
    arrays = translate(model, from_file(path), new_head, str(path))
    assert {entry.name for entry in model.layout.entries} - set(arrays) == {"head.W", "head.b"}
    assert (arrays["conv1.W"] == thousand["conv1.weight"]).all()


def test_what_does_not_fit_is_named_before_anything_is_read(model: Model, thousand: dict[str, Array]) -> None:
    lacking = {name: array for name, array in thousand.items() if name != "layer4.1.bn2.running_var"}
    with pytest.raises(
        ModelError, match=r"no layer4\.1\.bn2\.running_var; resnet18 .* layer4_1\.body\.batchnorm2\.var"
    ):
        translate(model, lacking, new_head, "The file")
    grey = models.resnet18((32, 32, 1), 10)
    with pytest.raises(
        ModelError, match=r"conv1\.weight of shape \(64, 3, 7, 7\); .*conv1\.W of shape \(64, 1, 7, 7\)"
    ):
        translate(grey, thousand, new_head, "The file")
    with pytest.raises(ModelError, match=r"no conv1\.weight"):
        translate(model, {}, new_head, "The file")


def test_half_precision_is_read_as_float32(model: Model, thousand: dict[str, Array]) -> None:
    halves = {name: array.astype(np.float16) for name, array in thousand.items()}
    arrays = translate(model, halves, new_head, "The file")
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    assert (arrays["conv1.W"] == halves["conv1.weight"]).all()


def test_a_file_that_cannot_be_read_is_named(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(ModelError, match=re.escape(str(path))):
        translate(model, from_file(path), keep, str(path))
    path.write_bytes(b"no safetensors")
    with pytest.raises(ModelError, match=f"{re.escape(str(path))} is not a valid safetensors file"):
        translate(model, from_file(path), keep, str(path))


def test_a_file_with_published_names_is_told_from_one_of_ours(model: Model, thousand: dict[str, Array]) -> None:
    assert is_published(thousand, model)
    assert not is_published([entry.name for entry in model.layout.entries], model)
    assert not is_published(thousand, models.lenet5())


def test_a_model_without_published_weights_is_refused() -> None:
    for ask in (lambda: fetch("lenet5"), lambda: published_names(models.lenet5())):
        with pytest.raises(ModelError, match=r"lenet5 has no published weights.* densenet121, .* vgg16"):
            ask()


def hub(monkeypatch: pytest.MonkeyPatch, download: Any) -> None:
    """Put a module with this hf_hub_download in the place of huggingface_hub."""
    module = types.ModuleType("huggingface_hub")
    module.hf_hub_download = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_file_is_fetched_at_its_pinned_revision(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, str] = {}

    def download(**arguments: str) -> str:
        asked.update(arguments)
        return "/cache/model.safetensors"

    hub(monkeypatch, download)
    assert fetch(name) == Path("/cache/model.safetensors")
    assert asked.keys() == {"repo_id", "filename", "revision"}
    assert asked["repo_id"] == f"timm/{name}.tv_in1k"
    assert re.fullmatch(r"[0-9a-f]{40}", asked["revision"])
    url = PRETRAINED[name].url
    assert url == f"https://huggingface.co/{asked['repo_id']}/resolve/{asked['revision']}/model.safetensors"


def test_without_huggingface_hub_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError) as caught:
        fetch("resnet18")
    for part in ("pip install 'firstlight[hub]'", PRETRAINED["resnet18"].url):
        assert part in str(caught.value)


class XetDownloadError(Exception):
    """As huggingface_hub's own of that name, which has no base of its own."""


@pytest.mark.parametrize("failure", [ConnectionError("no route to host"), XetDownloadError("broken off")])
def test_without_network_it_says_how_to_give_the_file_by_hand(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(**arguments: str) -> str:
        raise failure

    hub(monkeypatch, download)
    with pytest.raises(DataError) as caught:
        fetch("vgg16")
    for part in (type(failure).__name__, str(failure), PRETRAINED["vgg16"].url, "by hand"):
        assert part in str(caught.value)


def test_norm_and_activation_come_first_as_in_keras() -> None:
    """ResNet-101's second version, block by block as Keras defines it, with PyTorch's operations."""
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    model = build("resnet101v2", (SIZE, SIZE, 3), 10)
    random = np.random.default_rng(2)
    arrays = {}
    for entry in model.layout.entries:
        scale = entry.path[-1] in ("gamma", "var")
        name = "running_var" if scale else "weight" if len(entry.parameter.shape) > 1 else "bias"
        arrays[entry.name] = drawn(name, entry.parameter.shape, random).astype(np.float64)
    w = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def norm(x: Any, path: str) -> Any:
        mean, var, gamma, beta = (w[f"{path}.{name}"] for name in ("mean", "var", "gamma", "beta"))
        return F.batch_norm(x, mean, var, gamma, beta, eps=1e-5).relu()

    def block(x: Any, path: str, stride: int, widened: bool) -> Any:
        body = f"{path}.residual1.body" if widened else f"{path}.body"
        first = 0 if widened else 1  # of the norms in the body: the one before a shortcut stands outside
        ready = norm(x, f"{path}.batchnorm1" if widened else f"{body}.batchnorm1")
        if widened:
            shortcut = F.conv2d(ready, w[f"{path}.residual1.shortcut.W"], w[f"{path}.residual1.shortcut.b"], stride)
        else:
            shortcut = F.max_pool2d(x, 1, stride)
        y = norm(F.conv2d(ready, w[f"{body}.conv1.W"]), f"{body}.batchnorm{first + 1}")
        y = norm(F.conv2d(F.pad(y, (1, 1, 1, 1)), w[f"{body}.conv2.W"], None, stride), f"{body}.batchnorm{first + 2}")
        return shortcut + F.conv2d(y, w[f"{body}.conv3.W"], w[f"{body}.conv3.b"])

    images = random.standard_normal((2, 3, SIZE, SIZE))
    x = F.conv2d(F.pad(torch.from_numpy(images), (3, 3, 3, 3)), w["conv1.W"], w["conv1.b"], 2)
    x = F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-np.inf), 3, 2)
    for stage, (count, last) in enumerate(((3, 2), (4, 2), (23, 2), (3, 1)), start=1):
        for number in range(count):
            x = block(x, f"layer{stage}_{number}", last if number == count - 1 else 1, widened=number == 0)
    expected = F.linear(norm(x, "batchnorm1").mean((2, 3)), w["head.W"], w["head.b"]).numpy()
    ours = outputs(model, arrays, images)
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
