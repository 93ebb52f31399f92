"""What each augmentation draws and does, those that mix images, and one of one's own."""

from __future__ import annotations

import colorsys
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from annotated_types import Ge, Le
from scipy import stats

import firstlight as fl
from firstlight import kernels
from firstlight.errors import ExperimentError
from firstlight.kernels import Kernels
from firstlight.prepare import Augmentation, Augmented, batches, epoch_order
from firstlight.prepare.augmentation import augment_schema, kinds
from firstlight.prepare.augmentations import AUGMENTATIONS, Mixing, PixelTransform
from firstlight.prepare.augmentations.policies import USUAL, WIDE
from firstlight.prepare.augmented_images import sample_keys
from firstlight.types import Array, Images, MixedImages

SAMPLES = sample_keys(np.array([f"train/{i:05d}" for i in range(6000)]))
COMPILED = kernels.load()
NEW = ("elastic", "blur", "hue", "saturation", "rand_augment", "trivial_augment", "mixup", "cutmix")
EVERY: dict[str, Any] = {
    "rotate": 20, "noise": 0.05, "cutout": {"range": [0.2, 0.5], "p": 0.5}, "flip_horizontal": 0.5, "elastic": 0.05,
    "blur": {"range": 1.5, "p": 0.5}, "hue": 0.1, "saturation": {"range": 0.5, "p": 0.5}, "rand_augment": {"p": 0.5},
    "translate": {"pixels": 2, "p": 0.5},
    "trivial_augment": {"p": 0.5, "wide": True}, "mixup": {"alpha": 0.4, "p": 0.5}, "cutmix": {"p": 0.5},
}  # fmt: skip


def some_images(n: int = 60, shape: tuple[int, int, int] = (12, 10, 3)) -> Images:
    draw = np.random.default_rng(1)
    ids = np.array([f"train/{i:05d}" for i in range(n)])
    return Images(draw.integers(0, 256, (n, *shape), np.uint8), np.arange(n) % 3, ids, ("a", "b", "c"))


def made(images: Images, table: dict[str, Any], epoch: int = 0, kernels_: Kernels = COMPILED, seed: int = 0) -> Images:
    return Augmented(images, Augmentation.of(table), seed, kernels_).batch(np.arange(len(images)), epoch)


def mixed(images: Images, table: dict[str, Any], epoch: int = 0) -> MixedImages:
    found = made(images, table, epoch)
    assert isinstance(found, MixedImages)
    return found


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 60])
def test_an_epoch_is_the_same_in_batches_of_any_size(batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = some_images()
    monkeypatch.setattr("firstlight.prepare.augmented_images.AHEAD", 20 * 360)
    truth, order, done = mixed(images, EVERY, 3), epoch_order(0, 3, len(images)), 0
    whole = Augmented(images, Augmentation.of(EVERY), 0, COMPILED)
    for run, parts in whole.runs(order, 3, batches(np.arange(len(order)), batch_size)):
        assert isinstance(run, MixedImages)
        for part in parts:
            index = order[done : done + len(part)]
            for name in ("pixels", "labels", "targets"):
                assert np.array_equal(getattr(run, name)[part], getattr(truth, name)[index]), name
            done += len(part)
    assert done == len(images)


def test_both_kernels_make_the_same_pixels() -> None:
    images = some_images(20)
    found = [mixed(images, EVERY).take(np.arange(20)), made(images, EVERY, kernels_=kernels.load("reference"))]
    assert np.array_equal(found[0].pixels, found[1].pixels)


@pytest.mark.parametrize("name", NEW)
def test_each_makes_a_difference_its_own_in_each_epoch_and_seed(name: str) -> None:
    images = some_images()
    one = made(images, {name: EVERY[name]})
    for other in (images, made(images, {name: EVERY[name]}, epoch=1), made(images, {name: EVERY[name]}, seed=1)):
        assert not np.array_equal(one.pixels, other.pixels)
    assert np.array_equal(made(images, {name: {**_table(name), "p": 0.0}}).pixels, images.pixels)


def _table(name: str) -> dict[str, Any]:
    return dict(Augmentation.of({name: EVERY[name]}).table()[name])


@pytest.mark.parametrize("name", NEW)
def test_a_kind_more_does_not_change_what_is_drawn_for_another(name: str) -> None:
    plain = Augmentation.of({"rotate": 20, "noise": 0.1}).draws(0, 0, SAMPLES[:50], (12, 10, 3))
    more = Augmentation.of({"rotate": 20, "noise": 0.1, name: EVERY[name]}).draws(0, 0, SAMPLES[:50], (12, 10, 3))
    assert np.array_equal(plain.keys, more.keys)
    if "augment" not in name:  # these turn and light too
        assert np.array_equal(plain.maps, more.maps)
        assert np.array_equal(plain.light, more.light)


@pytest.mark.parametrize(
    ("table", "shape", "n", "says"),
    [
        ({"hue": 0.1}, (8, 8, 1), 5, r"augment\.hue changes colours, and the images are grey"),
        ({"saturation": 0.1}, (8, 8, 1), 5, r"augment\.saturation changes colours"),
        ({"blur": 1}, (1, 1, 3), 5, r"augment\.blur averages neighbouring pixels"),
        ({"elastic": 0.1}, (1, 8, 3), 5, r"augment\.elastic moves pixels apart, and the images are 1×8"),
        ({"mixup": 0.2}, (8, 8, 3), 1, r"augment\.mixup mixes each training image with another.*only 1"),
        ({"cutmix": True}, (8, 8, 3), 1, r"augment\.cutmix mixes each training image with another.*only 1"),
        ({"cutmix": True}, (1, 1, 3), 5, r"augment\.cutmix pastes a part of an image"),
    ],
)
def test_what_cannot_be_done_to_the_images_is_told(table: dict[str, Any], shape: Any, n: int, says: str) -> None:
    with pytest.raises(ExperimentError, match=says):
        made(some_images(n, shape), table)
    name, value = next(iter(table.items()))
    off = {name: {**Augmentation.of({name: value}).table()[name], "p": 0.0}}
    assert len(made(some_images(n, shape), off)) == n, "what cannot happen does no harm"


def test_each_has_a_schema_and_says_what_it_may_be() -> None:
    schema = augment_schema()
    assert set(schema) == {*kinds(), "fill", "fill_value"}
    for name in kinds():
        assert schema[name]["description"], name
        assert AUGMENTATIONS[name].allowed(), name
    assert schema["rand_augment"]["anyOf"][0]["maximum"] == 10


# --- colours and forms ------------------------------------------------------------------------------------------------


def test_hue_turns_the_colour_wheel_and_luma_stays() -> None:
    red = np.zeros((1, 4, 4, 3), np.uint8) + np.array([150, 60, 60], np.uint8)
    images = Images(red, np.zeros(1, np.int64), np.array(["red"]), ("a",))
    for share, nearest in ((1 / 3, 1), (-1 / 3, 2)):
        found = made(images, {"hue": [share, share]}).pixels[0, 0, 0].astype(float)
        assert found.argmax() == nearest, "a third of the way makes red green, or blue"
        assert found @ [0.299, 0.587, 0.114] == pytest.approx(red[0, 0, 0] @ [0.299, 0.587, 0.114], abs=1)
    assert np.array_equal(made(images, {"hue": [0.0, 0.0]}).pixels, red)


def test_saturation_is_that_of_pillow() -> None:
    from PIL import Image, ImageEnhance

    images = some_images(3)
    for change in (-1.0, -0.4, 0.5):
        found = made(images, {"saturation": [change, change]}).pixels
        for mine, pixels in zip(found, images.pixels, strict=True):
            theirs = np.asarray(ImageEnhance.Color(Image.fromarray(pixels)).enhance(1 + change)).astype(int)
            assert np.abs(mine - theirs).max() <= 2
    strong = made(images, {"saturation": [0.5, 0.5]}).pixels[0, 0, 0] / 255
    assert colorsys.rgb_to_hsv(*strong)[1] > colorsys.rgb_to_hsv(*(images.pixels[0, 0, 0] / 255))[1]


def test_a_blur_smooths_and_a_deformation_keeps_the_grey_levels() -> None:
    images = some_images(shape=(20, 20, 1))
    rough = np.abs(np.diff(images.pixels.astype(float), axis=1)).mean()
    assert np.abs(np.diff(made(images, {"blur": [1, 1]}).pixels.astype(float), axis=1)).mean() < 0.3 * rough
    assert np.array_equal(made(images, {"blur": [0, 0]}).pixels, images.pixels)
    plain = Images(np.full_like(images.pixels, 77), images.labels, images.ids, images.class_names)
    assert (made(plain, {"elastic": 0.2, "blur": 2}).pixels == 77).all()


# --- policies ---------------------------------------------------------------------------------------------------------


def angles(table: dict[str, Any]) -> Array:
    maps = Augmentation.of(table).draws(0, 0, SAMPLES, (12, 10, 3)).maps
    return np.degrees(np.arctan2(maps[:, 0, 1], maps[:, 0, 0]))


@pytest.mark.parametrize(("wide", "most"), [(False, USUAL), (True, WIDE)])
def test_trivial_augment_does_one_thing_of_any_strength(wide: bool, most: Any) -> None:
    found = angles({"trivial_augment": {"wide": wide}})
    turned = found[np.abs(found) > 1e-9]
    assert len(turned) / len(found) == pytest.approx(30 / 31 / 8, abs=0.02), "one of eight, in colour"
    assert {*np.round(np.abs(turned) / most.rotate * 30).astype(int)} == {*range(1, 31)}
    assert (turned < 0).mean() == pytest.approx(0.5, abs=0.06)


def test_rand_augment_does_so_many_of_one_strength() -> None:
    found = angles({"rand_augment": {"ops": 1, "magnitude": 5}})
    assert {*np.round(found, 6)} == {-15.0, 0.0, 15.0}
    assert (found != 0).mean() == pytest.approx(1 / 8, abs=0.02)
    twice = angles({"rand_augment": {"ops": 2, "magnitude": 5}})
    assert (np.round(np.abs(twice), 6) == 30).mean() == pytest.approx(1 / 128, abs=0.005), "both may be the same"
    grey = Augmentation.of({"rand_augment": 9}).draws(0, 0, SAMPLES, (12, 10, 1))
    assert grey.colours is None


# --- mixing -----------------------------------------------------------------------------------------------------------


def test_mixup_lays_any_other_image_over_it_by_a_share_of_beta() -> None:
    images = some_images(2000, (2, 2, 1))
    found = mixed(images, {"mixup": 0.4})
    others = (found.pixels.astype(float)).reshape(2000, -1)
    own = found.targets[np.arange(2000), images.labels]
    assert found.targets.sum(axis=1) == pytest.approx(1)
    assert ((found.targets > 0).sum(axis=1) <= 2).all()
    between = own[(own > 0.1) & (own < 0.9)]  # beyond, shares are rounded to 0 and 1, or both are of one class
    low, high = stats.beta.cdf([0.1, 0.9], 0.4, 0.4)
    assert stats.kstest(between, lambda x: (stats.beta.cdf(x, 0.4, 0.4) - low) / (high - low)).pvalue > 0.01
    assert len(between) / 2000 == pytest.approx(2 / 3 * (high - low), abs=0.04)
    assert np.abs(others - images.pixels.reshape(2000, -1)).max() > 200, "some are nearly the other one"
    for n in range(20):  # the other image is found again by its share
        share = own[n]
        if 0.2 < share < 0.8 and found.targets[n].max() < 1:
            rest = (others[n] - share * images.pixels[n].ravel()) / (1 - share)
            away = np.abs(images.pixels.reshape(2000, -1) - rest).max(axis=1)
            assert away.min() <= 3.5
            assert found.targets[n, images.labels[away.argmin()]] == pytest.approx(1 - share)


def test_cutmix_pastes_a_patch_and_labels_go_by_the_area() -> None:
    n = 600
    pixels = np.broadcast_to((np.arange(n) % 3 * 100)[:, None, None, None], (n, 10, 8, 1)).astype(np.uint8)
    images = Images(pixels, np.arange(n) % 3, np.arange(n).astype(str), ("a", "b", "c"))
    found = mixed(images, {"cutmix": 1.0})
    for k in range(3):
        seen = (found.pixels == 100 * k).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(found.targets[:, k], seen, atol=1e-12)
    own = found.targets[np.arange(n), images.labels]
    assert own.min() < 0.5
    assert 0.6 < own.mean() < 0.9
    assert (found.labels == found.targets.argmax(axis=1)).mean() > 0.99


def test_an_image_may_be_mixed_twice() -> None:
    found = mixed(some_images(300), {"mixup": 1.0, "cutmix": 1.0})
    assert ((found.targets > 0).sum(axis=1) == 3).any()
    assert found.targets.sum(axis=1) == pytest.approx(1)


def test_the_other_image_is_augmented_too() -> None:
    images = some_images(40, (6, 6, 1))
    white = Images(images.pixels // 2, images.labels, images.ids, images.class_names)
    found = mixed(white, {"brightness": [0.5, 0.5], "mixup": 1.0})
    assert found.pixels.min() >= 127


# --- one's own --------------------------------------------------------------------------------------------------------


def test_a_function_is_an_augmentation() -> None:
    with AUGMENTATIONS.restored():

        @fl.augmentation
        def solarize(images: Array, uniform: Array, least: Annotated[int, Ge(0), Le(255)] = 128) -> Array:
            """Turn bright pixels over.

            least  the darkest that is turned over
            """
            threshold = least + (255 - least) * uniform[:, :1, None, None]
            return np.where(images >= threshold, 255 - images, images).astype(np.uint8)

        images, table = some_images(), {"solarize": {"p": 0.5, "least": 20}}
        asked = Augmentation.of(table)
        assert asked.table()["solarize"] == {"p": 0.5, "least": 20}
        assert (
            fl.Experiment.of({"data": {"source": "digits"}, "augment": table}).augment.options["solarize"]["p"] == 0.5
        )
        found = made(images, table).pixels
        assert (found == images.pixels).all(axis=(1, 2, 3)).mean() == pytest.approx(0.5, abs=0.2)
        for index in (np.array([3, 50]), np.array([50])):
            few = Augmented(images, asked, 0, COMPILED).batch(index, 0)
            assert np.array_equal(few.pixels, found[index]), "whatever its company"
        with pytest.raises(ExperimentError, match=r"augment\.solarize\.least must be an integer from 0 to 255"):
            Augmentation.of({"solarize": {"least": 300}})
        with pytest.raises(ExperimentError, match="solarize has no such option"):
            Augmentation.of({"solarize": {"most": 300}})
        assert "solarize" in augment_schema()
    assert "solarize" not in AUGMENTATIONS


def test_a_class_is_one_and_what_it_gives_is_looked_at() -> None:
    with AUGMENTATIONS.restored():

        @fl.augmentation(name="halved")
        class Halved(PixelTransform):
            """Half as bright."""

            numbers: ClassVar[int] = 20

            def apply(self, images: Array, uniform: Array) -> Array:
                assert uniform.shape == (len(images), 20)
                return images / 2 if images[0, 0, 0, 0] % 2 else images // 2

        images = some_images()
        odd = np.flatnonzero(images.pixels[:, 0, 0, 0] % 2)
        augmented = Augmented(images, Augmentation.of({"halved": True}), 0, COMPILED)
        with pytest.raises(ExperimentError, match=r"augment\.halved must give images .* uint8 .*it gave float64"):
            augmented.batch(odd, 0)
        with pytest.raises(ExperimentError, match=r"a function \(images, uniform, …\)"):
            fl.augmentation(_wrong)


def _wrong(pixels: Array) -> Array:
    """Wrong."""
    return pixels


def test_a_way_of_mixing_of_ones_own() -> None:
    with AUGMENTATIONS.restored():

        @fl.augmentation
        class HalfAndHalf(Mixing):
            """The upper half of one image and the lower half of another."""

            def mix(self, images: Array, others: Array, uniform: Array, kernels: Kernels) -> tuple[Array, Array]:
                half = images.shape[1] // 2
                return np.concatenate([images[:, :half], others[:, half:]], axis=1), np.full(len(images), 0.5)

        images = some_images()
        found = mixed(images, {"half_and_half": True})
        assert np.array_equal(found.pixels[:, :6], images.pixels[:, :6])
        assert {*found.targets.ravel()} == {0.0, 0.5, 1.0}


def test_a_class_of_ones_own_without_the_method_that_it_needs_is_refused() -> None:
    class Nothing(PixelTransform):
        """Nothing."""

    class Unmixed(Mixing):
        """Nothing."""

    class Fast(PixelTransform):
        """As it is."""

        def run(self, images: Array, uniform: Array, kernels: Kernels) -> Array:
            return images

    with AUGMENTATIONS.restored():
        with pytest.raises(ExperimentError, match=r"Nothing: an augmentation needs a method `apply` \(uint8 \(n, H"):
            fl.augmentation(Nothing)
        with pytest.raises(ExperimentError, match=r"Unmixed: an augmentation needs a method `mix` \(The mixed images"):
            fl.augmentation(Unmixed)
        fl.augmentation(Fast)


# --- shifts by whole pixels, and flips by turns -----------------------------------------------------------------------


def shifted(image: Array, down: int, right: int, fill: str) -> Array:
    """The image moved by whole pixels, by NumPy's own padding."""
    mode: Any = {"nearest": "edge", "reflect": "symmetric"}[fill]
    wide = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode)
    return wide[2 - down : 2 - down + image.shape[0], 2 - right : 2 - right + image.shape[1]]


@pytest.mark.parametrize("fill", ["nearest", "reflect"])
def test_a_shift_by_whole_pixels_moves_each_pixel_and_changes_none(fill: str) -> None:
    images = some_images(300)
    found = made(images, {"translate": 2, "fill": fill}).pixels
    seen = []
    for before, after in zip(images.pixels, found, strict=True):
        ways = [
            (d, r) for d in range(-2, 3) for r in range(-2, 3) if np.array_equal(after, shifted(before, d, r, fill))
        ]
        assert len(ways) == 1
        seen += ways
    counts = np.array([seen.count((d, r)) for d in range(-2, 3) for r in range(-2, 3)])
    assert stats.chisquare(counts).pvalue > 0.001, counts


def test_flips_by_turns_show_both_sides_in_any_two_epochs() -> None:
    images = some_images(400)
    plain, mirrored = images.pixels, images.pixels[:, :, ::-1]
    epochs = [made(images, {"alternating_flip": True}, epoch).pixels for epoch in range(1, 5)]
    flipped = [(found == mirrored).all(axis=(1, 2, 3)) for found in epochs]
    for turn, found in zip(flipped, epochs, strict=True):
        assert np.array_equal(found, np.where(turn[:, None, None, None], mirrored, plain))
    assert stats.binomtest(int(flipped[0].sum()), 400).pvalue > 0.001
    assert (flipped[0] != flipped[1]).all()
    assert np.array_equal(flipped[0], flipped[2])
    assert np.array_equal(flipped[1], flipped[3])
    other = made(images, {"alternating_flip": True}, 1, seed=1).pixels
    assert not np.array_equal(other, epochs[0]), "another seed begins otherwise"


def test_flips_by_turns_can_be_of_some_images_alone() -> None:
    images = some_images(400)
    epochs = [made(images, {"alternating_flip": {"p": 0.5}}, epoch).pixels for epoch in (1, 2)]
    still = (epochs[0] == epochs[1]).all(axis=(1, 2, 3))
    assert np.array_equal(epochs[0][still], images.pixels[still])
    assert stats.binomtest(int(still.sum()), 400).pvalue > 0.001


def test_a_shift_beyond_the_image_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"translate shifts by up to 10 pixels.*12 × 10"):
        made(some_images(), {"translate": 10})
