"""Folds: even, stratified, and with no group in two of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.making import images

from firstlight.data.folds import assign_folds
from firstlight.errors import DataError


def grouped(labels, groups):
    return replace(images(labels), groups=np.array(groups, dtype=np.str_))


def drawn(seed, n_groups, kind):
    """Images of three classes in groups of uneven sizes: each of one class, or of all."""
    draw = np.random.default_rng(seed)
    sizes = draw.integers(3, 30, n_groups)
    group = np.repeat(np.arange(n_groups), sizes)
    labels = group % 3 if kind == "one class" else draw.integers(0, 3, len(group))
    shuffled = draw.permutation(len(group))
    return grouped(labels[shuffled], [f"patient {g}" for g in group[shuffled]])


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(7, 40), min_size=1, max_size=3), folds=st.integers(2, 7), seed=st.integers(0, 2**63))
def test_without_groups_folds_differ_by_one_image_of_each_class_and_altogether(counts, folds, seed):
    some = images(np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts)))
    found = assign_folds(some, folds, seed)
    by_class = np.array([np.bincount(found[some.labels == k], minlength=folds) for k in range(len(counts))])
    assert by_class.shape == (len(counts), folds)
    assert (np.ptp(by_class, axis=1) <= 1).all()
    assert np.ptp(by_class.sum(axis=0)) <= 1
    np.testing.assert_array_equal(found, assign_folds(some, folds, seed))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000), n=st.integers(15, 60), folds=st.integers(2, 5), kind=st.sampled_from(["one class", ""])
)
def test_no_group_is_in_two_folds_and_every_fold_has_every_class(seed, n, folds, kind):
    some = drawn(seed, n, kind)
    found = assign_folds(some, folds, seed)
    for group in np.unique(some.groups):
        assert len(set(found[some.groups == group])) == 1
    for fold in range(folds):
        assert (some.take(found == fold).counts > 0).all()
    np.testing.assert_array_equal(found, assign_folds(some, folds, seed))


def harm(some, found, folds):
    counts = np.array([some.take(found == fold).counts for fold in range(folds)])
    counts = np.column_stack([counts, counts.sum(axis=1)])
    targets = counts.sum(axis=0) / folds
    return ((counts - targets) ** 2 / targets).sum()


@pytest.mark.parametrize("kind", ["one class", ""])
def test_folds_are_more_even_than_those_of_scikit_learn(kind):
    from sklearn.model_selection import StratifiedGroupKFold

    ours, theirs = [], []
    for seed in range(10):
        some = drawn(seed, 40, kind)
        split = StratifiedGroupKFold(4, shuffle=True, random_state=seed).split(some.ids, some.labels, some.groups)
        other = np.empty(len(some), int)
        for fold, (_, test) in enumerate(split):
            other[test] = fold
        ours.append(harm(some, assign_folds(some, 4, seed), 4))
        theirs.append(harm(some, other, 4))
    assert np.median(ours) < np.median(theirs)


def test_another_seed_draws_other_folds():
    for some in (images([0, 1] * 20), drawn(0, 30, "")):
        assert (assign_folds(some, 4, 0) != assign_folds(some, 4, 1)).any()


def test_groups_of_one_image_each_are_as_even_as_images_without_groups():
    labels = np.repeat([0, 1, 2], [41, 25, 13])
    found = assign_folds(grouped(labels, np.arange(len(labels))), 5, 0)
    assert np.ptp(np.bincount(found)) <= 1
    assert all(np.ptp(np.bincount(found[labels == k], minlength=5)) <= 1 for k in range(3))


@pytest.mark.parametrize(
    ("some", "folds", "words"),
    [
        (images([0, 1] * 5), 1, "at least 2; received 1"),
        (images([0] * 9 + [1] * 3), 5, r"'b' has 3 images, too few for 5 folds.*most 3"),
        (images([0] * 9 + [1]), 5, "'b' has one image only"),
        (grouped([0, 1] * 6, [*"aabbcc"] * 2), 5, "'a' has 3 groups, too few for 5 folds"),
        (grouped([0, 1] * 6, ["a"] * 12), 2, "'a' has one group only"),
        (grouped([0, 0, 0, 0, 1, 1], [*"ababab"]), 3, "'a' has 2 groups"),
    ],
)
def test_too_few_for_the_folds_is_said_with_what_to_do(some, folds, words):
    with pytest.raises(DataError, match=words):
        assign_folds(some, folds, 0)


def test_groups_that_leave_a_fold_without_a_class_are_refused():
    some = grouped(
        [0, 1, 1, 2, 2, 0], [*"xxyyzz"]
    )  # each class is in two groups, and a fold of one group lacks a class
    with pytest.raises(DataError, match=r"of 2 would have no image of class .*fewer folds"):
        assign_folds(some, 2, 0)


def test_a_class_without_images_needs_none():
    some = images([0, 1] * 10, class_names="abc")
    assert np.bincount(assign_folds(some, 4, 0)).tolist() == [5, 5, 5, 5]
