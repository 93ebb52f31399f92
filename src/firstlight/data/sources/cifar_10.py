"""CIFAR-10 (Krizhevsky, 2009), the binary version."""

from firstlight.data import formats
from firstlight.data.download import PublishedFile
from firstlight.data.source import NOT_STATED, SOURCES, Source

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

SOURCES.register(
    Source(
        name="cifar-10",
        title="CIFAR-10",
        shows="photographs of animals and vehicles",
        licence=NOT_STATED,
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        class_names=CLASSES,
        shape=(32, 32, 3),
        counts={"train": 50_000, "test": 10_000},
        read=formats.read_cifar,
        files=tuple(
            PublishedFile(f"cifar-10-batches-bin/{name}.bin", f"sha256:{digest}")
            for name, digest in (
                ("data_batch_1", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
                ("data_batch_2", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
                ("data_batch_3", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
                ("data_batch_4", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
                ("data_batch_5", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
                ("test_batch", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
            )
        ),
        archive=PublishedFile(
            "cifar-10-binary.tar.gz",
            "md5:c32a1d4ab5d03f1284b67883e8d87530",
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        ),
    )
)
