"""MedMNIST (Yang et al., 2023), version 3: medical images of 28 × 28 pixels, with training, validation and test splits.

The sets of single labels are sources. Not read are ChestMNIST, whose images have several labels each, and the
volumes (…MNIST3D).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firstlight.data import formats
from firstlight.data.download import PublishedFile
from firstlight.data.source import SOURCES, Source
from firstlight.errors import DataError
from firstlight.files import arrays_of
from firstlight.types import Images

ADDRESS = "https://zenodo.org/records/10519652/files/"
SPLITS = {"train": "train", "val": "validation", "test": "test"}

_ORGANS = (
    "bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver", "lung-left", "lung-right",
    "pancreas", "spleen",
)  # fmt: skip
CC_BY, CC_BY_NC = "CC BY 4.0", "CC BY-NC 4.0"

SETS = (
    (
        "PathMNIST", "tissue of the colon under the microscope", 3, CC_BY, (89_996, 10_004, 7_180),
        "a8b06965200029087d5bd730944a56c1",
        ("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa",
         "cancer-associated stroma", "colorectal adenocarcinoma epithelium"),
    ),
    (
        "DermaMNIST", "pigmented lesions of the skin", 3, CC_BY_NC, (7_007, 1_003, 2_005),
        "0744692d530f8e62ec473284d019b0c7",
        ("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma", "benign keratosis-like lesions",
         "dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions"),
    ),
    (
        "OCTMNIST", "retinas by optical coherence tomography", 1, CC_BY, (97_477, 10_832, 1_000),
        "c68d92d5b585d8d81f7112f81e2d0842",
        ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    ),
    (
        "PneumoniaMNIST", "chests of children by X-ray", 1, CC_BY, (4_708, 524, 624),
        "28209eda62fecd6e6a2d98b1501bb15f",
        ("normal", "pneumonia"),
    ),
    (
        "RetinaMNIST", "retinas, by the severity of retinopathy", 3, CC_BY, (1_080, 120, 400),
        "bd4c0672f1bba3e3a89f0e4e876791e4",
        ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4"),
    ),
    (
        "BreastMNIST", "breasts by ultrasound", 1, CC_BY, (546, 78, 156),
        "750601b1f35ba3300ea97c75c52ff8f6",
        ("malignant", "normal, benign"),
    ),
    (
        "BloodMNIST", "blood cells under the microscope", 3, CC_BY, (11_959, 1_712, 3_421),
        "7053d0359d879ad8a5505303e11de1dc",
        ("basophil", "eosinophil", "erythroblast", "immature granulocytes", "lymphocyte", "monocyte", "neutrophil",
         "platelet"),
    ),
    (
        "TissueMNIST", "cells of the kidney under the microscope", 1, CC_BY, (165_466, 23_640, 47_280),
        "ebe78ee8b05294063de985d821c1c34b",
        ("collecting duct, connecting tubule", "distal convoluted tubule", "glomerular endothelial cells",
         "interstitial endothelial cells", "leukocytes", "podocytes", "proximal tubule segments",
         "thick ascending limb"),
    ),
    (
        "OrganAMNIST", "organs by computed tomography, axial", 1, CC_BY, (34_561, 6_491, 17_778),
        "68e3f8846a6bd62f0c9bf841c0d9eacc", _ORGANS,
    ),
    (
        "OrganCMNIST", "organs by computed tomography, coronal", 1, CC_BY, (12_975, 2_392, 8_216),
        "b9ceb9546e10131b32923c5bbeaea2b1", _ORGANS,
    ),
    (
        "OrganSMNIST", "organs by computed tomography, sagittal", 1, CC_BY, (13_932, 2_452, 8_827),
        "9ab87b696fb54e2a387ebe992d6ed5f1", _ORGANS,
    ),
)  # fmt: skip


def read(paths: Sequence[Path], class_names: Sequence[str]) -> dict[str, Images]:
    """An .npz of train_images uint8 (N, 28, 28) or (N, 28, 28, 3), train_labels (N, 1), val_images, … test_labels."""
    [path] = paths
    packed = formats.bytes_of(path)
    try:
        arrays = arrays_of(packed, limit=formats.unpacked_limit(len(packed)))
    except ValueError as error:
        raise DataError(f"{path}: not a readable .npz file of plain arrays ({error}). Download it again.") from None
    splits = {}
    for prefix, split in SPLITS.items():
        pixels, labels = arrays.get(f"{prefix}_images"), arrays.get(f"{prefix}_labels")
        if pixels is None or labels is None:
            raise DataError(f"{path}: it lacks {prefix}_images or {prefix}_labels; it has {', '.join(arrays)}.")
        if labels.ndim != 2 or labels.shape[1] != 1 or labels.dtype.kind not in "iu":
            raise DataError(
                f"{path}: {prefix}_labels must be one integer per image, (N, 1); received {labels.dtype} "
                f"{labels.shape}."
            )
        pixels = pixels[..., None] if pixels.ndim == 3 else pixels
        splits[split] = formats.labelled_images(split, pixels, labels[:, 0], class_names, path)
    return splits


for title, shows, channels, licence, counts, digest, classes in SETS:
    name = title.lower()
    SOURCES.register(
        Source(
            name=name,
            title=title,
            shows=shows,
            licence=licence,
            homepage="https://medmnist.com/",
            class_names=classes,
            shape=(28, 28, channels),
            counts=dict(zip(SPLITS.values(), counts, strict=True)),
            read=read,
            files=(PublishedFile(f"{name}.npz", f"md5:{digest}", (f"{ADDRESS}{name}.npz?download=1",)),),
        )
    )

SOURCES.refuse("chestmnist", "each of its images has any number of 14 labels, and a classifier here says one of them")
for volume in ("organ", "nodule", "adrenal", "fracture", "vessel", "synapse"):
    SOURCES.refuse(f"{volume}mnist3d", "its images are volumes of 28 × 28 × 28, and those read here are flat")
