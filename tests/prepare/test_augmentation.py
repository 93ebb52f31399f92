"""Augmentation: what is drawn, for whom, and what a file may ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from firstlight import kernels
from firstlight.errors import ExperimentError
from firstlight.prepare import Augmentation, Augmented, balanced_order, batches, epoch_order
from firstlight.prepare.augmentation import FLIPS, PLACES, kinds
from firstlight.prepare.augmentations import AUGMENTATIONS, Ranged
from firstlight.prepare.augmented_images import AHEAD, sample_keys
from firstlight.types import Array, Images

SIZE = (28, 20)
ALL: dict[str, Any] = {
    "crop": 0.8,
    "zoom": 0.2,
    "shear": 10,
    "rotate": 20,
    "shift": 0.1,
    "contrast": 0.3,
    "brightness": 0.2,
    "noise": 0.05,
    "cutout": {"range": [0.2, 0.5], "p": 0.5},
    "flip_horizontal": 0.5,
    "flip_vertical": 0.1,
    "fill": "reflect",
    "fill_value": 7,
}
NEW: dict[str, Any] = {
    "elastic": 0.05,
    "blur": 1.5,
    "hue": {"range": 0.1, "p": 0.5},
    "saturation": 0.5,
    "rand_augment": {"p": 0.5},
    "trivial_augment": {"p": 0.5, "wide": True},
    "mixup": {"alpha": 0.4, "p": 0.5},
    "cutmix": {"p": 0.5},
}
SAMPLES = sample_keys(np.array([f"train/{i:05d}" for i in range(20_000)]))
COMPILED = kernels.load()
FIRST = [name for name in PLACES if name not in FLIPS]
RANGES = [name for name in kinds() if issubclass(AUGMENTATIONS[name], Ranged)]


def drawn(table: dict[str, Any], seed: int = 0, epoch: int = 0, samples: Array = SAMPLES) -> Any:
    return Augmentation.of(table).draws(seed, epoch, samples, SIZE)


def some_images(n: int = 90, shape: tuple[int, int, int] = (12, 10, 1)) -> Images:
    draw = np.random.default_rng(1)
    ids = np.array([f"train/{i:05d}" for i in range(n)])
    return Images(draw.integers(0, 256, (n, *shape), np.uint8), draw.integers(0, 3, n), ids, ("a", "b", "c"))


def augmented(images: Images, table: dict[str, Any] | None = None, seed: int = 0) -> Augmented:
    return Augmented(images, Augmentation.of(table or ALL), seed, COMPILED)


# --- what is drawn ----------------------------------------------------------------------------------------------------


def test_every_kind_is_drawn_evenly_within_its_range_and_by_its_probability() -> None:
    maps = drawn({"rotate": {"range": [-30, 10], "p": 0.4}}).maps
    angles = np.degrees(np.arctan2(maps[:, 0, 1], maps[:, 0, 0]))
    turned = angles[angles != 0]
    assert len(turned) / len(angles) == pytest.approx(0.4, abs=0.02)
    assert stats.kstest(turned, "uniform", (-30, 40)).pvalue > 0.01

    sizes = 1 / drawn({"zoom": [-0.5, 1]}).maps[:, 0, 0] - 1
    assert stats.kstest(sizes, "uniform", (-0.5, 1.5)).pvalue > 0.01

    moved = -drawn({"shift": 0.2}).maps[:, :, 2] / SIZE
    for axis in range(2):
        assert stats.kstest(moved[:, axis], "uniform", (-0.2, 0.4)).pvalue > 0.01
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.03, "both ways of their own"

    light = drawn({"contrast": 0.5, "brightness": [0, 0.1], "noise": [0.1, 0.3]}).light
    for column, (low, width) in enumerate([(0.5, 1.0), (0.0, 25.5), (25.5, 51.0)]):
        assert stats.kstest(light[:, column], "uniform", (low, width)).pvalue > 0.01

    for name, (row, column) in zip(FLIPS, ((1, 1), (0, 0)), strict=True):
        signs = drawn({name: 0.3}).maps[:, row, column]
        assert set(signs) == {-1, 1}
        assert (signs < 0).mean() == pytest.approx(0.3, abs=0.02)


def test_nothing_drawn_is_nothing_done() -> None:
    for table in ({}, {name: {"range": [0.5, 0.9], "p": 0} for name in ("crop", "zoom", "noise", "cutout", "shift")}):
        assert not Augmentation.of(table)
        found = drawn(table)
        assert (found.maps == np.eye(2, 3)).all()
        assert (found.light == [1, 0, 0]).all()
        assert (found.patches[:, ::2] == found.patches[:, 1::2]).all(), "no pixel"
    assert Augmentation.of({"flip_vertical": 0.1})
    assert Augmentation.of({"rotate": 5})


def test_maps_are_the_product_of_their_parts() -> None:
    """By homogeneous matrices, forward from the source, inverted by NumPy: the map goes from the result to there."""
    found = drawn({key: ALL[key] for key in (*FIRST[:5], *FLIPS)})
    parts = {
        name: drawn({name: ALL[name]}).maps for name in ("crop", "zoom", "shear", "rotate", "shift", *FLIPS)
    }  # alone, each is drawn as in company
    to, back = (np.array([[1, 0, s * 13.5], [0, 1, s * 9.5], [0, 0, 1]]) for s in (-1, 1))

    def about(m: Array) -> Array:
        """The map as a matrix about the centre."""
        return to @ np.vstack([m, [0, 0, 1]]) @ back

    for n in range(50):
        whole = np.eye(3)
        for name in ("crop", "flip_vertical", "flip_horizontal", "zoom", "shear", "rotate", "shift"):
            whole = np.linalg.inv(about(parts[name][n])) @ whole
        np.testing.assert_allclose(about(found.maps[n]), np.linalg.inv(whole), atol=1e-9)
    wrong = np.linalg.inv(about(parts["rotate"][0]) @ about(parts["shift"][0]))
    assert np.abs(about(found.maps[0]) - np.linalg.inv(wrong)).max() > 0.1, "the check can fail"


def test_positive_numbers_turn_anticlockwise_and_move_down_and_right() -> None:
    pixels = np.zeros((1, 21, 21, 1), np.uint8)
    pixels[0, 10, 18] = 255  # right of the middle
    images = Images(pixels, np.zeros(1, np.int64), np.array(["one"]), ("a",))

    def brightest(table: dict[str, Any]) -> tuple[int, ...]:
        found = augmented(images, table).batch(np.arange(1), 0).pixels[0, :, :, 0]
        return tuple(int(i) for i in np.unravel_index(found.argmax(), found.shape))

    assert brightest({"rotate": [90, 90]}) == (2, 10)
    assert brightest({"shift": [2 / 21, 2 / 21]}) == (12, 20)
    assert brightest({"zoom": [-0.5, -0.5]}) == (10, 14)
    assert brightest({"flip_horizontal": 1.0}) == (10, 2)
    pixels[:] = 0
    pixels[0, 14, 10] = 255  # below the middle: a shear of 45 degrees moves it right by as much
    assert brightest({"shear": [45, 45]}) == (14, 14)


@pytest.mark.parametrize("least", [0.3, 0.9])
def test_a_crop_looks_nowhere_outside_the_image_and_everywhere_inside(least: float) -> None:
    maps = drawn({"crop": least}).maps
    height, width = SIZE
    corners = np.array([[i, j, 1] for i in (-0.5, height - 0.5) for j in (-0.5, width - 0.5)])  # of pixels, outermost
    seen = np.einsum("nrc,kc->nkr", maps, corners)
    assert (seen >= -0.5 - 1e-9).all()
    assert (seen <= np.array([height, width]) - 0.5 + 1e-9).all()
    assert seen.min() < -0.4
    assert seen[:, :, 0].max() > height - 0.6


def test_patches_have_their_size_and_their_centres_lie_in_the_image() -> None:
    found = drawn({"cutout": 0.25}).patches
    top, bottom, left, right = found.T
    assert ((top >= 0) & (bottom <= 28) & (left >= 0) & (right <= 20)).all()
    assert ((bottom - top) <= 7).all()
    assert ((right - left) <= 5).all()
    assert ((bottom - top) == 7).mean() == pytest.approx(22 / 28, abs=0.02), "cut off at the edges alone"
    assert ((bottom - top).min(), (right - left).min()) == (4, 3), "of which half can be cut off"
    assert {*range(22)} <= {*top.tolist()}, "anywhere"
    whole = drawn({"cutout": 1.0}).patches
    assert ((whole[:, 1] - whole[:, 0]) >= 14).all()


# --- for whom ---------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.permutations(range(40)), st.integers(0, 5))
def test_draws_belong_to_the_sample_whatever_its_company(order: list[int], epoch: int) -> None:
    index = np.array(order)
    whole, some = drawn(ALL, epoch=epoch, samples=SAMPLES[:40]), drawn(ALL, epoch=epoch, samples=SAMPLES[index])
    for name, values in vars(whole.take(index)).items():
        assert np.array_equal(getattr(some, name), values, equal_nan=False) or values is None, name


def test_another_seed_or_epoch_or_sample_gives_others() -> None:
    usual = drawn({"rotate": 20}).maps[:, 0, 1]
    for other in (drawn({"rotate": 20}, seed=1), drawn({"rotate": 20}, epoch=1)):
        assert abs(np.corrcoef(usual, other.maps[:, 0, 1])[0, 1]) < 0.03
    assert abs(np.corrcoef(usual[1:], usual[:-1])[0, 1]) < 0.03
    assert len(np.unique(usual)) == len(usual)


def test_a_kind_more_does_not_change_what_is_drawn_for_another() -> None:
    assert np.array_equal(drawn({"rotate": 20}).maps[:, 0, 1], drawn({"rotate": 20, "noise": 0.1}).maps[:, 0, 1])


def test_the_draws_of_a_seed_are_those_of_earlier_versions() -> None:
    """Keys go by place: a kind that came before another would change what every experiment draws for that one."""
    earlier = ["crop", "zoom", "shear", "rotate", "shift", "contrast", "brightness", "noise", "cutout"]
    assert list(PLACES) == [*earlier, "flip_horizontal", "flip_vertical"]


def test_keys_are_of_the_ids_alone() -> None:
    assert sample_keys(np.array(["b", "a"])).tolist() == sample_keys(np.array(["a", "b", "long"]))[[1, 0]].tolist()
    assert len(np.unique(SAMPLES)) == len(SAMPLES)


# --- as pixels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 32, 90])
def test_an_epoch_is_the_same_in_batches_of_any_size(batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = some_images()
    monkeypatch.setattr("firstlight.prepare.augmented_images.AHEAD", 20 * 120)  # 20 images
    whole = augmented(images)
    order = epoch_order(0, 3, len(images))
    truth = whole.batch(np.arange(len(images)), 3)
    done = 0
    for made, parts in whole.runs(order, 3, batches(np.arange(len(order)), batch_size)):
        assert len(made) <= max(20, batch_size + 1)
        assert np.array_equal(np.concatenate(parts), np.arange(len(made)))
        for part in parts:
            index = order[done : done + len(part)]
            assert np.array_equal(made.pixels[part], truth.pixels[index])
            assert made.ids[part].tolist() == images.ids[index].tolist()
            assert made.labels[part].tolist() == images.labels[index].tolist()
            done += len(part)
    assert done == len(images)
    assert not np.array_equal(truth.pixels, images.pixels)
    assert not np.array_equal(truth.pixels, whole.batch(np.arange(len(images)), 4).pixels)


def test_both_kernels_make_the_same_pixels() -> None:
    images = some_images(shape=(9, 11, 3))
    reference = Augmented(images, Augmentation.of(ALL), 0, kernels.load("reference"))
    index = np.arange(len(images))
    assert np.array_equal(reference.batch(index, 1).pixels, augmented(images).batch(index, 1).pixels)


def test_an_image_that_comes_twice_in_an_epoch_is_drawn_twice() -> None:
    images = some_images()
    rare = images.take(np.flatnonzero((images.labels != 2) | (np.arange(90) < 20)))
    order = balanced_order(0, 0, rare.labels)
    assert np.bincount(order).max() > 1
    [(made, _)] = augmented(rare).runs(order, 0, [np.arange(len(order))])
    first = {}
    for place, sample in enumerate(order.tolist()):
        pixels = made.pixels[place].tobytes()
        if sample in first:
            assert pixels != first[sample]
        else:
            first[sample] = pixels
            assert pixels == augmented(rare).batch(np.array([sample]), 0).pixels[0].tobytes()


def test_only_some_images_are_made_at_once() -> None:
    images = some_images(4000, (28, 28, 1))
    sizes = [len(made) for made, _ in augmented(images).runs(np.arange(4000), 0, batches(np.arange(4000), 32))]
    assert sum(sizes) == 4000
    assert max(sizes) <= AHEAD // 784 < 1000


# --- what a file may ask for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RANGES)
def test_a_number_stands_for_a_range(name: str) -> None:
    others = {"crop": (0.25, 1.0), "noise": (0.25, 0.25), "cutout": (0.25, 0.25), "blur": (0.0, 0.25)}
    short = others.get(name, (-0.25, 0.25))
    for given_ in (0.25, list(short), {"range": 0.25}, {"range": list(short), "p": 1.0}):
        assert Augmentation.of({name: given_}).get(name) == AUGMENTATIONS[name](*short)  # type: ignore[call-arg]
    half = Augmentation.of({name: {"range": 0.25, "p": 0.5}}).get(name)
    assert half is not None
    assert half.p == 0.5


def test_the_resolved_table_says_everything_and_means_the_same() -> None:
    for table in ({}, ALL, NEW, {"flip_horizontal": {"p": 0.5}}):
        found = Augmentation.of(table)
        assert Augmentation.of(found.table()) == found
        assert {"fill", "fill_value", *FLIPS} <= set(found.table())
    assert Augmentation.of({"rotate": 15}).table()["rotate"] == {"range": [-15.0, 15.0], "p": 1.0}
    assert Augmentation.of({"flip_horizontal": {"p": 0.5}}).table()["flip_horizontal"] == 0.5


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"rotat": 15}, r"augment\.rotat: there is no such key\. Did you mean rotate"),
        ({"rotate": {"rang": 15}}, r"augment\.rotate\.rang: there is no such key\. Did you mean range"),
        ({"rotate": {"p": 0.5}}, r"augment\.rotate\.range is required"),
        ({"rotate": "15"}, r"augment\.rotate is a number from 0, or a range .*received '15'"),
        ({"rotate": True}, r"augment\.rotate is a number.*received True"),
        ({"rotate": -15}, r"augment\.rotate is a number from 0.*received -15"),
        ({"rotate": [1, 2, 3]}, r"augment\.rotate is .*received \[1, 2, 3\]"),
        ({"rotate": {"range": "x"}}, r"augment\.rotate\.range is .*received 'x'"),
        ({"rotate": [20, 10]}, r"augment\.rotate must be a range within -180 to 180 .*received 20 to 10"),
        ({"rotate": 200}, r"augment\.rotate must be a range within -180 to 180 .*received -200 to 200"),
        ({"rotate": [0, float("nan")]}, r"augment\.rotate must be a range .*received 0 to nan"),
        ({"zoom": 0.9}, r"augment\.zoom must be a range within -0\.8 to 4 .*received -0\.9 to 0\.9"),
        ({"crop": 0}, r"augment\.crop must be a range within 0\.05 to 1 .*received 0 to 1"),
        ({"noise": [-0.1, 0.1]}, r"augment\.noise must be a range within 0 to 1"),
        ({"rotate": {"range": 5, "p": 1.5}}, r"augment\.rotate\.p must be a probability.*received 1\.5"),
        ({"flip_horizontal": 50}, r"augment\.flip_horizontal must be a probability.*received 50"),
        ({"flip_horizontal": np.zeros(2)}, r"augment\.flip_horizontal must be a probability"),
        ({"flip_horizontal": True}, r"augment\.flip_horizontal must be a probability.*received True"),
        ({"flip_vertical": {"range": 1}}, r"augment\.flip_vertical\.range: there is no such key"),
        ({"flip_vertical": {}}, r"augment\.flip_vertical\.p is required"),
        ({"fill": "mirror"}, r"augment\.fill: there is no 'mirror'\. Known: constant, nearest, reflect"),
        ({"fill_value": 256}, r"augment\.fill_value must be an integer from 0 to 255; received 256"),
        ({"fill_value": 0.5}, r"augment\.fill_value must be an integer"),
        ({"hue": 0.6}, r"augment\.hue must be a range within -0\.5 to 0\.5 \(a share of the way round"),
        ({"blur": -1}, r"augment\.blur is a number from 0, or a range"),
        ({"mixup": 0}, r"augment\.mixup\.alpha must be a number above 0, to 100; received 0"),
        ({"mixup": {"alpha": 1, "p": 2}}, r"augment\.mixup\.p must be a probability, from 0 to 1; received 2"),
        ({"mixup": {"alhpa": 1}}, r"augment\.mixup\.alhpa: mixup has no such option\. Did you mean alpha"),
        ({"cutmix": "often"}, r"augment\.cutmix\.alpha must be a number above 0, to 100; received 'often'"),
        ({"rand_augment": 11}, r"augment\.rand_augment\.magnitude must be a number from 0 to 10; received 11"),
        ({"rand_augment": {"ops": 0}}, r"augment\.rand_augment\.ops must be an integer from 1 to 5; received 0"),
        ({"trivial_augment": 3}, r"augment\.trivial_augment must be true, or a table.*received 3"),
        ({"elastic": {"amount": 2}}, r"augment\.elastic\.amount must be a number above 0, to 0\.5; received 2"),
    ],
)
def test_bad_input_is_named(table: dict[str, Any], says: str) -> None:
    with pytest.raises(ExperimentError, match=says):
        Augmentation.of(table)
