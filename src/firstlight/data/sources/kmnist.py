"""Kuzushiji-MNIST (Clanuwat et al., 2018)."""

from firstlight.data import formats
from firstlight.data.source import SOURCES, Source

SOURCES.register(
    Source(
        name="kmnist",
        title="Kuzushiji-MNIST",
        shows="ten hiragana in cursive writing",
        licence="CC BY-SA 4.0",
        homepage="http://codh.rois.ac.jp/kmnist/",
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        written=True,
        shape=(28, 28, 1),
        counts={"train": 60_000, "test": 10_000},
        read=formats.read_idx_pairs,
        files=formats.idx_files(
            (
                "md5:bdb82020997e1d708af4cf47b453dcf7",
                "md5:e144d726b3acfaa3e44228e80efcd344",
                "md5:5c965bf0a639b31b8f53240b1b52f4d7",
                "md5:7320c461ea6c1c855c0b718fb2a4b134",
            ),
            (
                "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
                "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
            ),
        ),
    )
)
