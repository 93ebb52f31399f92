"""CIFAR-100 (Krizhevsky, 2009), the binary version: each image has one of 100 fine labels and of 20 coarse ones."""

from functools import partial

from firstlight.data import formats
from firstlight.data.download import PublishedFile
from firstlight.data.source import NOT_STATED, SOURCES, Source

FINE = (
    "apple", "aquarium fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest",
    "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn mower", "leopard", "lion", "lizard",
    "lobster", "man", "maple tree", "motorcycle", "mountain", "mouse", "mushroom", "oak tree", "orange", "orchid",
    "otter", "palm tree", "pear", "pickup truck", "pine tree", "plain", "plate", "poppy", "porcupine", "possum",
    "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper",
    "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet pepper", "table", "tank", "telephone",
    "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow tree", "wolf",
    "woman", "worm",
)  # fmt: skip
COARSE = (
    "aquatic mammals", "fish", "flowers", "food containers", "fruit and vegetables", "household electrical devices",
    "household furniture", "insects", "large carnivores", "large man-made outdoor things",
    "large natural outdoor scenes", "large omnivores and herbivores", "medium mammals", "non-insect invertebrates",
    "people", "reptiles", "small mammals", "trees", "vehicles 1", "vehicles 2",
)  # fmt: skip

for name, title, shows, classes, label in (
    ("cifar-100", "CIFAR-100", "photographs of 100 kinds of things", FINE, 1),
    ("cifar-100-coarse", "CIFAR-100, coarse labels", "the same, in 20 classes", COARSE, 0),
):
    SOURCES.register(
        Source(
            name=name,
            title=title,
            shows=shows,
            licence=NOT_STATED,
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
            class_names=classes,
            shape=(32, 32, 3),
            counts={"train": 50_000, "test": 10_000},
            read=partial(formats.read_cifar, label_bytes=2, label=label),
            files=(
                PublishedFile("cifar-100-binary/train.bin", "md5:6172c7755cfe09b2fe270c85cebc1b15"),
                PublishedFile("cifar-100-binary/test.bin", "md5:4499cfba6c016c1be1438163640a0898"),
            ),
            archive=PublishedFile(
                "cifar-100-binary.tar.gz",
                "md5:03b5dce01913d631647c71ecec9e9cb8",
                ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
            ),
            folder="cifar-100",
        )
    )
