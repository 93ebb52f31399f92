"""Whatever a line of an ARFF file holds, it is read or refused, in a time that grows with its length."""

import time

import numpy as np
import pytest

from firstlight.data.arff import Arff
from firstlight.errors import DataError

HEAD = b"@relation r\n@attribute a numeric\n@attribute s string\n@attribute c {x,y}\n@data\n"


def written(folder, data):
    path = folder / "set.arff"
    path.write_bytes(data)
    return path


def test_values_in_braces_and_in_quotation_marks(tmp_path):
    head = b"""@relation r\n@attribute c {x, 'y z' , "w}",} % as said\n@ATTRIBUTE 'a b' REAL [0, 1]\n@data\n'y z',2\n"""
    table = Arff(written(tmp_path, head))
    assert [attribute.name for attribute in table.attributes] == ["c", "a b"]
    assert table.attributes[0].values == ("x", "y z", "w}")
    [(labels, numbers)] = table.rows("c", ["a b"])
    assert labels == ["y z"]
    assert np.array_equal(numbers, [[2.0]])


@pytest.mark.parametrize(
    "row", [b"1,h\ri,x", b"1,'" + b"h" * 200_000 + b"',x"], ids=["a carriage return", "a cell of 200,000 letters"]
)
def test_a_row_that_no_table_has_is_refused_with_its_line(tmp_path, row):
    table = Arff(written(tmp_path, HEAD + row + b"\n"))
    with pytest.raises(DataError, match="line 6: 3 values were expected"):
        list(table.rows("c", ["a"]))


@pytest.mark.parametrize(
    "attribute",
    [
        b"c {" + b" " * 500_000 + b"{}",
        b"{" * 500_000,
        b"c {" + b"x," * 200_000,
        b"'" + b"\\'" * 200_000,
        b" " * 500_000,
    ],
    ids=["spaces", "braces", "no end", "no closing mark", "no name"],
)
def test_a_long_attribute_takes_no_square_of_its_length(tmp_path, attribute):
    path = written(tmp_path, b"@relation r\n@attribute " + attribute + b"\n@data\n1,x\n")
    began = time.process_time()
    with pytest.raises(DataError, match=r"an attribute has a name|stand in braces"):
        Arff(path)
    assert time.process_time() - began < 5  # with what was there before, minutes
