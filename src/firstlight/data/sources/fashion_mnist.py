"""Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017)."""

from firstlight.data import formats
from firstlight.data.source import SOURCES, Source

CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

SOURCES.register(
    Source(
        name="fashion-mnist",
        title="Fashion-MNIST",
        shows="articles of clothing",
        licence="MIT",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        class_names=CLASSES,
        shape=(28, 28, 1),
        counts={"train": 60_000, "test": 10_000},
        read=formats.read_idx_pairs,
        files=formats.idx_files(
            (
                "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
            (
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            ),
        ),
    )
)
