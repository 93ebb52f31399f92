"""Small files in the formats that the data part reads."""

import gzip
import hashlib
import io
import struct
import tarfile

import numpy as np
from PIL import Image

from firstlight.data.download import PublishedFile
from firstlight.types import Images


def pixels(n, height=4, width=5, channels=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, channels), dtype=np.uint8)


def images(labels, class_names="abc", seed=0, ids=None):
    labels = np.asarray(labels, np.int64)
    ids = np.array([f"train/{i:05d}" for i in range(len(labels))] if ids is None else ids, dtype=np.str_)
    return Images(pixels(len(labels), seed=seed), labels, ids, tuple(class_names))


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(path, array):
    path.write_bytes(gzip.compress(idx(array), mtime=0))
    return path


def write_image(path, array, **options):
    """Write an array (H, W), (H, W, 3) or (H, W, 4) in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def random_image(seed, shape=(6, 6, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def class_folders(root, classes, shape=(6, 6, 3), images_each=2):
    for k, name in enumerate(classes):
        for i in range(images_each):
            seed = int(hashlib.md5(f"{root}{name}{i}".encode()).hexdigest()[:6], 16)
            write_image(root / name / f"{i}.png", random_image(seed + k, shape))
    return root


def published(name, data, urls=(), algorithm="sha256"):
    return PublishedFile(name, f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}", tuple(urls))


def tarred(members):
    """A .tar.gz of files by name, as bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
