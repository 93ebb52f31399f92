import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.making import images

from firstlight.data import load, pooled, split
from firstlight.errors import DataError
from firstlight.types import Dataset


def dataset(counts, seed=0, **splits):
    labels = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(seed).shuffle(labels)
    names = tuple(f"class{k}" for k in range(len(counts)))
    return Dataset("some", {"train": images(labels, names), **splits})


fractions = st.sampled_from([0.05, 0.1, 0.2, 0.25, 1 / 3, 0.45])


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(20, 70), min_size=1, max_size=6),
    validation=fractions,
    test=fractions,
    seed=st.integers(0, 2**63),
)
def test_disjoint_exhaustive_stratified_and_by_seed(counts, validation, test, seed):
    data = dataset(counts)
    parts = split(data, validation=validation, test=test, seed=seed)
    ids = np.concatenate([part.ids for part in parts.values()])
    assert sorted(ids) == sorted(data.splits["train"].ids)
    for name, fraction in (("validation", validation), ("test", test)):
        assert len(parts[name]) == round(fraction * sum(counts))
        assert (np.abs(parts[name].counts - fraction * np.array(counts)) <= 1).all()
    for part in parts.values():
        assert (part.counts > 0).all()
        assert (np.diff(part.ids.argsort()) == 1).all()  # the first order is kept
    again = split(data, validation=validation, test=test, seed=seed)
    for name, part in parts.items():
        np.testing.assert_array_equal(again[name].ids, part.ids)
        np.testing.assert_array_equal(again[name].pixels, part.pixels)


def test_another_seed_draws_other_images_and_validation_does_not_move_the_test():
    data = dataset([50, 50])
    first = split(data, seed=1)
    assert set(split(data, seed=2)["test"].ids) != set(first["test"].ids)
    assert split(data, seed=1, validation=0.4)["test"].ids.tolist() == first["test"].ids.tolist()


def test_labels_stay_with_their_images():
    data = dataset([30, 30, 30])
    truth = dict(zip(data.splits["train"].ids, data.splits["train"].labels, strict=True))
    for part in split(data).values():
        assert [truth[sample] for sample in part.ids] == part.labels.tolist()


def test_published_splits_stay():
    test = images([0, 1, 1], ("class0", "class1"), ids=["test/0", "test/1", "test/2"])
    parts = split(dataset([50, 50], test=test), validation=0.1, test=0.9)
    assert parts["test"] is test
    assert (len(parts["validation"]), len(parts["train"])) == (10, 90)
    other = images([0, 1, 1], ("class0", "class1"), ids=["validation/0", "validation/1", "validation/2"])
    parts = split(dataset([50, 50], test=test, validation=other), validation=0.9, test=0.9)
    assert parts["validation"] is other
    assert len(parts["train"]) == 100


def test_a_fraction_of_nothing_gives_no_split():
    parts = split(dataset([5, 5]), validation=0, test=0.2)
    assert list(parts) == ["train", "test"]


@given(limit=st.integers(3, 200))
def test_limit_keeps_proportions(limit):
    data = dataset([40, 60, 80])
    full = split(data)["train"]
    few = split(data, limit=limit)["train"]
    assert len(few) == min(limit, len(full))
    assert set(few.ids) <= set(full.ids)
    assert (np.abs(few.counts - full.counts * len(few) / len(full)) <= 1).all()
    assert split(data, limit=limit)["test"].ids.tolist() == split(data)["test"].ids.tolist()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"validation": 1.0}, r"data\.validation is a fraction of the training images, 0 ≤ data\.validation < 1"),
        ({"test": -0.1}, r"data\.test is a fraction"),
        ({"test": 0.6, "validation": 0.4}, "together must leave images to train on; they take 1.0 of them"),
        ({"limit": 0}, r"data\.limit must be at least 2 training images, one per class; received 0"),
        ({"limit": 1}, r"data\.limit must be at least 2 training images, one per class; received 1"),
        (
            {"test": 0.45, "validation": 0.5},
            r"class 'class1' has 4 images, too few: with data\.test = 0\.45 and data\.validation = 0\.5, none of them "
            r"goes into train\. .* lower data\.test or data\.validation\.",
        ),
    ],
)
def test_what_cannot_be_split(options, says):
    with pytest.raises(DataError, match=says):
        split(dataset([40, 4]), **options)


@pytest.mark.parametrize(
    ("counts", "options", "says"),
    [
        ([9, 2], {}, "'class1' has 2 training images, too few: it needs 3, one each for train, validation, test"),
        ([1, 9], {"validation": 0}, "'class0' has 1 training image, too few: it needs 2, one each for train, test"),
        (
            [9, 0],
            {"validation": 0, "test": 0},
            "'class1' has 0 training images, too few: it needs 1, one each for train",
        ),
    ],
)
def test_a_class_too_small_for_its_splits(counts, options, says):
    with pytest.raises(DataError, match=says):
        split(dataset(counts), **options)


@given(counts=st.lists(st.integers(3, 12), min_size=1, max_size=6), seed=st.integers(0, 9))
def test_three_images_a_class_are_enough(counts, seed):
    data = dataset(counts)
    parts = split(data, validation=0.1, test=0.2, seed=seed)
    assert sorted(np.concatenate([part.ids for part in parts.values()])) == sorted(data.splits["train"].ids)
    for name, fraction in (("validation", 0.1), ("test", 0.2)):
        assert (parts[name].counts >= 1).all()
        assert (np.abs(parts[name].counts - fraction * np.array(counts)) < 1).all()
    assert (parts["train"].counts >= 1).all()


def test_a_limit_leaves_one_of_a_rare_class():
    parts = split(dataset([1000, 10, 10]), limit=12)
    assert parts["train"].counts.tolist() == [10, 1, 1]


def test_digits():
    parts = split(load("digits"))
    assert {name: len(part) for name, part in parts.items()} == {"train": 1258, "validation": 180, "test": 359}


# --- of which only some classes will be used --------------------------------------------------------------------------


@given(st.lists(st.integers(4, 40), min_size=3, max_size=5), st.integers(0, 5))
def test_the_classes_that_are_wanted_are_split_as_among_all(counts, seed):
    data = dataset(counts)
    whole = split(data, seed=seed)
    some = split(data, seed=seed, classes=data.class_names[:2])
    for name, all_of_them in whole.items():
        assert all_of_them.ids.tolist() == some[name].ids.tolist()


def test_a_class_that_is_left_out_may_be_too_small():
    data = dataset([50, 1, 40])
    first, small, last = data.class_names
    parts = split(data, classes=(first, last))
    assert all((part.counts[[0, 2]] > 0).all() for part in parts.values())
    with pytest.raises(DataError, match="too few"):
        split(data, classes=(first, small))


def test_a_limit_counts_the_wanted_classes_alone():
    data = dataset([400, 300, 300])
    names = data.class_names
    assert split(data, limit=70, classes=names[:2])["train"].counts[:2].tolist() == [40, 30]
    with pytest.raises(DataError, match="at least 2 training images"):
        split(data, limit=1, classes=names[:2])


def test_pooled_images_are_all_there_and_split_anew(digits):
    parts = split(digits, test=0.3, validation=0, seed=4)
    published = Dataset("published", {"train": parts["train"], "test": parts["test"]})
    together = pooled(published)
    assert set(together.splits) == {"train"}
    assert pooled(together) is together, "what is in one split already is not copied"
    assert sorted(together.splits["train"].ids.tolist()) == sorted(
        [*parts["train"].ids.tolist(), *parts["test"].ids.tolist()]
    )
    anew = split(together, test=0.2, validation=0.16)
    n = len(together.splits["train"])
    assert [len(anew[name]) for name in ("test", "validation")] == [round(0.2 * n), round(0.16 * n)]
    assert set(anew["test"].ids.tolist()) & set(parts["train"].ids.tolist())
