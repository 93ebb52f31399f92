"""EMNIST (Cohen et al., 2017): handwritten digits and letters of NIST's Special Database 19, as MNIST was made.

All six sets are in one archive. An image in it is written column by column, and the labels of the letters begin at 1.
"""

from functools import partial
from string import ascii_lowercase, ascii_uppercase

from firstlight.data import formats
from firstlight.data.download import PublishedFile
from firstlight.data.source import DIGITS, NOT_STATED, SOURCES, Source

CAPITALS, SMALL = tuple(ascii_uppercase), tuple(ascii_lowercase)
# Where a small letter looks like its capital, both are one class of the merged sets: c, i, j, k, …
MERGED = (*DIGITS, *CAPITALS, *"abdefghnqrt")

ARCHIVE = PublishedFile(
    "gzip.zip",
    "md5:58c8d27c78d21e728a6bc7b3cc06412e",
    ("https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",),
)

SETS = (
    (
        "balanced", "digits and letters, even", MERGED, (112_800, 18_800), 0,
        "4041b0d6f15785d3fa35263901b5496b", "7a35cc7b2b7ee7671eddf028570fbd20",
        "6818d20fe2ce1880476f747bbc80b22b", "acd3694070dcbf620e36670519d4b32f",
    ),
    (
        "byclass", "digits, capitals and small letters", (*DIGITS, *CAPITALS, *SMALL), (697_932, 116_323), 0,
        "712dda0bd6f00690f32236ae4325c377", "ee299a3ee5faf5c31e9406763eae7e43",
        "1435209e34070a9002867a9ab50160d7", "7a0f934bd176c798ecba96b36fda6657",
    ),
    (
        "bymerge", "digits and letters", MERGED, (697_932, 116_323), 0,
        "4a792d4df261d7e1ba27979573bf53f3", "491be69ef99e1ab1f5b7f9ccc908bb26",
        "8eb5d34c91f1759a55831c37ec2a283f", "c13f4cd5211cdba1b8fa992dae2be992",
    ),
    (
        "letters", "letters", CAPITALS, (124_800, 20_800), 1,
        "8795078f199c478165fe18db82625747", "c16de4f1848ddcdddd39ab65d2a7be52",
        "382093a19703f68edac6d01b8dfdfcad", "d4108920cd86601ec7689a97f2de7f59",
    ),
    (
        "digits", "digits", DIGITS, (240_000, 40_000), 0,
        "d2662ecdc47895a6bbfce25de9e9a677", "2223fcfee618ac9c89ef20b6e48bcf9e",
        "a159b8b3bd6ab4ed4793c1cb71a2f5cc", "8afde66ea51d865689083ba6bb779fac",
    ),
    (
        "mnist", "digits", DIGITS, (60_000, 10_000), 0,
        "3663598a39195d030895b6304abb5065", "6c092f03c9bb63e678f80f8bc605fe37",
        "fb51b6430fc4dd67deaada1bf25d4524", "ae7f6be798a9a5d5f2bd32e078a402dd",
    ),
)  # fmt: skip

for name, shows, classes, (train, test), first, *digests in SETS:
    SOURCES.register(
        Source(
            name=f"emnist-{name}",
            title=f"EMNIST, {name}",
            shows=f"handwritten {shows}",
            licence=NOT_STATED,
            homepage="https://www.nist.gov/itl/products-and-services/emnist-dataset",
            class_names=classes,
            written=True,
            shape=(28, 28, 1),
            counts={"train": train, "test": test},
            read=partial(formats.read_idx_pairs, columns_first=True, first_label=first),
            files=formats.idx_files(
                [f"md5:{digest}" for digest in digests],
                mirrors=(),
                named=f"gzip/emnist-{name}-{{split}}-{{role}}-idx{{ndim}}-ubyte.gz",
                test="test",
            ),
            archive=ARCHIVE,
            folder="emnist",
        )
    )
