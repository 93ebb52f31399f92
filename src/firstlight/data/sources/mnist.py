"""MNIST (LeCun, Cortes and Burges)."""

from firstlight.data import formats
from firstlight.data.source import DIGITS, NOT_STATED, SOURCES, Source

SOURCES.register(
    Source(
        name="mnist",
        title="MNIST",
        shows="handwritten digits",
        licence=NOT_STATED,
        homepage="http://yann.lecun.com/exdb/mnist/",
        class_names=DIGITS,
        shape=(28, 28, 1),
        counts={"train": 60_000, "test": 10_000},
        read=formats.read_idx_pairs,
        files=formats.idx_files(
            (
                "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
            # the publisher's own server no longer gives the files
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
        ),
    )
)
