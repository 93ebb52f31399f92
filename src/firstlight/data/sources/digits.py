"""The digits that are embedded in scikit-learn: no download."""

from firstlight.data import formats
from firstlight.data.source import DIGITS, SOURCES, Source

SOURCES.register(
    Source(
        name="digits",
        title="Optical recognition of handwritten digits",
        shows="handwritten digits",
        licence="CC BY 4.0",
        homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        class_names=DIGITS,
        shape=(8, 8, 1),
        counts={"train": 1_797},
        read=formats.read_digits,
        embedded="datasets/data/digits.csv.gz",
    )
)
