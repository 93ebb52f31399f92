"""Street View House Numbers (Netzer et al., 2011), cropped."""

from firstlight.data import formats
from firstlight.data.download import PublishedFile
from firstlight.data.source import DIGITS, SOURCES, Source

SOURCES.register(
    Source(
        name="svhn",
        title="Street View House Numbers, cropped",
        shows="digits of house numbers in photographs",
        licence="for non-commercial use only",
        homepage="http://ufldl.stanford.edu/housenumbers/",
        class_names=DIGITS,
        shape=(32, 32, 3),
        counts={"train": 73_257, "test": 26_032},
        read=formats.read_svhn,
        files=tuple(
            PublishedFile(name, f"md5:{digest}", (f"http://ufldl.stanford.edu/housenumbers/{name}",))
            for name, digest in (
                ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
                ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
            )
        ),
    )
)
