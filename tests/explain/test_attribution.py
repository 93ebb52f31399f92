"""Where a net looked: saliency is a derivative, Grad-CAM its formula, occlusion finds what is read; on both engines."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.explain.nets import NETS, images, made, net, one_logit

from firstlight.errors import ModelError
from firstlight.explain import Net, attribute, attribution, cam_layer, occlusion
from firstlight.explain.attribution import enlarged
from firstlight.layers import Chain, Conv2D, Dense, Flatten, ReLU, Tanh
from firstlight.types import Array, Images

STANDARDISE = ("none", "pixel", "channel", "image")


def saliency(subject: Net, pixels: Array, targets: Array) -> Array:
    """In float64, as `look` has it before it is rounded."""
    return attribution.saliency(subject, subject.gradients(subject.prepared(pixels), targets), pixels)


def grad_cam(subject: Net, pixels: Array, targets: Array, layer: str) -> Array:
    trace = subject.gradients(subject.prepared(pixels), targets, [layer])
    return attribution.grad_cam(trace, layer, *pixels.shape[1:3])


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("standardise", ["channel", "image"])
def test_the_engines_look_at_the_same_places(name: str, standardise: str) -> None:
    given = images()
    ours, theirs = (net(name, engine, standardise) for engine in ("numpy", "torch"))
    targets = np.array([0, 2, 1, 1, 0])
    for a, b in zip(attribute(ours, given, "test", targets), attribute(theirs, given, "test", targets), strict=True):
        for field in ("probabilities", "saliency", "occlusion"):
            np.testing.assert_allclose(getattr(a, field), getattr(b, field), rtol=1e-5, atol=1e-9, err_msg=field)
        assert (a.grad_cam is None) == (b.grad_cam is None) == (name == "dense")
        if a.grad_cam is not None and b.grad_cam is not None:
            np.testing.assert_allclose(a.grad_cam, b.grad_cam, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(
        saliency(ours, given.pixels, targets), saliency(theirs, given.pixels, targets), rtol=1e-9, atol=1e-15
    )
    np.testing.assert_allclose(
        occlusion(ours, given.pixels[0], 1), occlusion(theirs, given.pixels[0], 1), rtol=1e-4, atol=1e-7
    )  # probabilities are float32


@pytest.mark.parametrize("standardise", STANDARDISE)
def test_saliency_is_the_derivative_by_the_pixels(standardise: str) -> None:
    subject, given = net("residual", standardise=standardise), images(2)
    z = np.moveaxis(given.pixels, -1, 1).astype(np.float64)
    np.testing.assert_allclose(subject.standardized(z), subject.prepared(given.pixels), rtol=1e-9, atol=1e-12)
    targets = np.array([2, 0])
    steps = 1e-3 * np.eye(z[0].size).reshape(-1, *z.shape[1:])
    numeric = np.zeros(z.shape)
    for image, target, slopes in zip(z, targets, numeric, strict=True):
        above, below = (subject.outputs(subject.standardized(image + sign * steps))[:, target] for sign in (1, -1))
        slopes.flat = (above - below) / 2e-3
    found = saliency(subject, given.pixels, targets)
    np.testing.assert_allclose(found, np.abs(numeric).max(axis=1), rtol=1e-4, atol=1e-9)
    assert found.max() > 1e-6
    other = saliency(subject, given.pixels, np.array([1, 1]))
    assert np.abs(found - other).max() > 1e-7  # a class has a saliency of its own


def test_a_gradient_that_is_scaled_wrongly_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Net, "by_pixels", lambda self, dx, z: dx)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        test_saliency_is_the_derivative_by_the_pixels("channel")


def test_grad_cam_by_hand() -> None:
    given = images(1, (2, 2, 1))
    given = Images(np.array([[[[10], [20]], [[30], [40]]]], np.uint8), given.labels, given.ids, given.class_names)
    # Two maps: A = x/255 and B = 1 − x/255; the class weighs each position by itself.
    weights = {
        "conv1.W": np.array([1.0, -1.0]).reshape(2, 1, 1, 1),
        "conv1.b": np.array([0.0, 1.0]),
        "dense1.W": np.array([[1.0, 2, 3, 4, -1, 0, 0, 1], [-1, -1, -1, -1, 2, 2, 2, 2], np.zeros(8)]),
        "dense1.b": np.zeros(3),
    }
    subject = made(Chain((Conv2D(2, 1), Flatten(), Dense(3))), given, weights=weights)
    x = np.array([[10, 20], [30, 40]]) / 255
    np.testing.assert_allclose(grad_cam(subject, given.pixels, np.array([0]), "conv1")[0], 2.5 * x, rtol=1e-12)
    np.testing.assert_allclose(grad_cam(subject, given.pixels, np.array([1]), "conv1")[0], 2 * (1 - x) - x, rtol=1e-12)
    assert not grad_cam(subject, given.pixels, np.array([2]), "conv1").any()
    weights["dense1.W"] = -np.abs(weights["dense1.W"])
    assert not grad_cam(
        made(subject.task.model.layers, given, weights=weights), given.pixels, np.array([1]), "conv1"
    ).any()


def test_grad_cam_takes_the_last_layer_with_maps_and_says_where_there_are_none() -> None:
    assert {name: cam_layer(net(name)) for name in NETS} == {
        "conv": "relu1", "residual": "relu1", "concat": "concat1", "dense": "",
    }  # fmt: skip
    [found] = attribute(net("residual"), images(1), "test", layer="conv1")
    assert found.cam_layer == "conv1"
    with pytest.raises(ModelError, match=r"dense1 gives \(3,\). Take one of: conv1,"):
        attribute(net("residual"), images(1), layer="dense1")
    with pytest.raises(ModelError, match="Did you mean conv1"):
        attribute(net("residual"), images(1), layer="conv7")


def test_maps_are_enlarged_bilinearly() -> None:
    ramp = np.arange(4.0)[None, None] + 10 * np.arange(3.0)[None, :, None]
    big = enlarged(ramp, 6, 8)[0]
    assert big.shape == (6, 8)
    np.testing.assert_allclose(big[:, 1:-1] - big[:, :1], np.tile((np.arange(1, 7) + 0.5) / 2 - 0.5, (6, 1)))
    np.testing.assert_allclose(big[[0, -1], [0, -1]], [0, 23])
    np.testing.assert_array_equal(enlarged(ramp, 3, 4), ramp)
    np.testing.assert_allclose(enlarged(np.full((1, 1, 1), 3.0), 5, 4), 3)


@pytest.mark.parametrize("standardise", STANDARDISE)
def test_occlusion_finds_the_region_that_is_read(standardise: str) -> None:
    given = images(40, (20, 20, 1))
    row = np.zeros((3, 400))
    row[0, 8 * 20 + 13] = row[0, 9 * 20 + 13] = 4  # class a reads two pixels, and nothing else
    weights = {"dense1.W": row, "dense1.b": np.zeros(3)}
    subject = made(Chain((Flatten(), Dense(3))), given, weights=weights, standardise=standardise)
    bright = given.pixels[0].copy()
    bright[8:10, 13] = 255
    found = occlusion(subject, bright, 0)
    assert found[8:10, 13].min() == found.max() > 0.02
    far = np.ones((20, 20), bool)
    far[8 - 4 : 10 + 4, 13 - 4 : 13 + 5] = False  # a patch of 4 that touches the two reaches no further
    assert np.abs(found[far]).max() < 1e-7
    assert occlusion(subject, bright, 1).min() < -0.01  # the others' probability rises


def test_a_look_says_what_it_is_of() -> None:
    subject, given = net("conv"), images(3)
    looks = attribute(subject, given, "validation")
    assert [one.id for one in looks] == ["test/0", "test/1", "test/2"]
    assert [one.label for one in looks] == given.labels.tolist()
    assert [one.target for one in looks] == [int(one.probabilities.argmax()) for one in looks]
    unknown = attribute(subject, given.take(np.array([1])), targets=np.array([2]))[0]
    assert (unknown.label, unknown.split, unknown.target) == (-1, "", 2)
    assert dataclasses.asdict(unknown)["saliency"].dtype == np.float32
    assert unknown.saliency.shape == unknown.occlusion.shape == (10, 8)


def test_a_single_output_speaks_for_both_classes() -> None:
    pixels = images(2).pixels
    given = Images(pixels, np.array([0, 1]), np.array(["x", "y"]), ("no", "yes"))
    subject = one_logit(given)
    x = subject.prepared(pixels)
    yes, no = (subject.gradients(x, np.full(2, k)).dx for k in (1, 0))
    assert yes is not None
    assert no is not None
    np.testing.assert_allclose(yes, -no)
    assert np.abs(yes).max() > 0
    falls = [occlusion(subject, pixels[0], k) for k in (0, 1)]
    np.testing.assert_allclose(falls[0], -falls[1], atol=1e-6)


def test_a_net_of_one_map_size_one_has_no_grad_cam() -> None:
    given = images(2, (3, 3, 1))
    subject = made(Chain((Conv2D(2), ReLU(), Flatten(), Dense(3), Tanh(), Dense(3))), given)
    assert attribute(subject, given)[0].grad_cam is None
