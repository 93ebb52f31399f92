import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.data.names import look_alikes, merged, natural_order, nearly, one_form, split_of, without_label


@pytest.mark.parametrize(
    "alike",
    [
        ("Cat", "cat", "cat "),
        ("0", "0.0", "00", "0."),
        ("a b", "a  b", "A\u00a0b"),
        ("cat", "c\u200bat", "\ufeffcat"),
        ("12", "\uff11\uff12"),
        ("9" * 5000, "0" + "9" * 5000),
    ],
)
def test_names_that_are_nearly_the_same(alike):
    assert look_alikes([*alike, "dog"]) == [alike]
    assert nearly(alike[1], ["dog", alike[0]]) == alike[0]


def test_names_that_are_not():
    assert look_alikes(["1", "-1", "10", "1.5", "01a", "1a", "T-shirt", "T shirt"]) == []
    assert nearly("cat", ["cat", "dog"]) == ""


def test_one_form_of_unicode():
    names = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD", "NFC")]
    assert {one_form(name) for name in names} == {names[0]}
    assert len(merged([*names, "tea", "tea"])) == 1
    assert merged(["Café", "café"]) == []


def test_names_of_no_label():
    assert without_label(["nan", "NaN", "N/A", "None", "nane", "0", ""]) == ["nan", "NaN", "N/A", "None"]


def test_splits():
    assert [split_of(name) for name in (" Train", "TESTING", "Valid", "dev", "trian", "")] == [
        "train", "test", "validation", "validation", "", "",
    ]  # fmt: skip


def test_natural_order():
    assert natural_order(["class10", "class2", "Class1", "b", "A", "class2"]) == [
        "A", "b", "Class1", "class2", "class10",
    ]  # fmt: skip
    assert natural_order(["10", "9", "09", "x", ""]) == ["", "09", "9", "10", "x"]


@given(st.lists(st.text(alphabet="aB1²0_ é", max_size=6)), st.randoms())
def test_natural_order_does_not_depend_on_the_order_given(names, random):
    ordered = natural_order(names)
    random.shuffle(names)
    assert natural_order(names) == ordered
    assert set(ordered) == set(names)


@given(st.lists(st.integers(0, 10**9)))
def test_natural_order_counts(numbers):
    assert natural_order(f"x{n}y" for n in numbers) == [f"x{n}y" for n in sorted(set(numbers))]


def test_natural_order_of_long_numbers():
    assert natural_order(["9" * 5000, "1" + "0" * 5000, "x"]) == ["9" * 5000, "1" + "0" * 5000, "x"]
