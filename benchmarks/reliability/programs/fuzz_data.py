"""The files that images and labels come in, spoilt at random or lying on purpose: .npz (pickles, heads that claim
terabytes, a bomb of 3 GB), idx, CIFAR-10's binary files, .mat, CSV tables with odd cells, ARFF, Parquet, and files of
corrections. Survived: images and labels that fit each other, or refused, within 30 seconds and 2 GiB; and nothing in
them was executed."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix

from benchmarks.reliability.attack import Attack
from benchmarks.reliability.mutations import spoil_bytes
from firstlight.data import formats, load
from firstlight.data.arff import Arff
from firstlight.data.corrections import read_corrections
from firstlight.types import Array, Images

Files = dict[str, Any]  # contents by what they are: bytes, or what makes them when their turn comes
NAMES = [str(k) for k in range(10)]
CELLS = [
    "", "i0.png", "../csv/i0.png", "/etc/passwd", "pipe.png", "folder.png", "link.png", "notes.txt",
    "x" * 300 + ".png", "a/" * 3000, "\0", "i0.png\0", "~root/x", "~nobody_such/x", "/dev/null", "/dev/stdin",
    "=cmd()", '"', '""', '"a\nb"', "\u202e", "9" * 5000, "train", "TEST", "nan", "1", "01", "1.0", "é", "i0.png ",
    "./i0.png", "i0.png/../i1.png", "<b>", "\r", "x" * 200_000,
]  # fmt: skip


class _Command:
    """Unpickled, it makes a file: then something was executed."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def attack(a: Attack) -> None:
    """Lies first, then drawn files of each kind in turn."""
    marker = a.work / "executed"
    arrays = _arrays(marker)
    readers = {"npz": _npz, "idx": _idx, "cifar": _cifar, "mat": _mat, "csv": _csv(a.folder("csv"))}
    readers |= {"arff": _arff, "parquet": _parquet, "corrections": _corrections}
    lies = {"npz": arrays, "idx": _idx_lies(), "cifar": _cifar_lies(), "mat": _mat_lies(), "csv": _csv_lies()}
    lies |= {"arff": _arff_lies(), "parquet": _parquet_lies(), "corrections": _corrections_lies()}
    fixed = [(kind, label, data) for kind, files in lies.items() for label, data in files.items()]
    for kind, label, data in a.in_turn(fixed):
        readers[kind](a, f"{kind}: {label}", data() if callable(data) else data)
    number = 0
    while not a.over:
        draw = a.random(number)
        for kind, files in lies.items():
            whole = files["whole"]
            if kind == "idx" and draw.random() < 0.7:
                data = gzip.compress(spoil_bytes(gzip.decompress(whole), draw))
            elif kind == "csv" and draw.random() < 0.7:
                rows = [line.split(",") for line in whole.decode().split("\n")]
                for _ in range(draw.choice([1, 1, 2, 3])):
                    row = draw.choice(rows)
                    row[draw.randrange(len(row))] = draw.choice(CELLS)
                data = "\n".join(map(",".join, rows)).encode()
            else:
                data = spoil_bytes(whole, draw)
            readers[kind](a, f"{kind} {number}", data)
        number += 1
    a.count("nothing is executed", "a file that was read was executed" if marker.exists() else None)


def _npz(a: Attack, label: str, data: bytes) -> None:
    path = a.work / "x.npz"
    path.write_bytes(data)
    a.read(label, partial(load, path), lambda found: _fit(found.splits))


def _idx(a: Attack, label: str, data: bytes) -> None:
    _with_others(a, label, data, _idx_files(), "gz", formats.read_idx_pairs)


def _cifar(a: Attack, label: str, data: bytes) -> None:
    _with_others(a, label, data, [_cifar_file()] * 2, "bin", formats.read_cifar)


def _mat(a: Attack, label: str, data: bytes) -> None:
    _with_others(a, label, data, [_mat_file()] * 2, "mat", formats.read_svhn)


def _with_others(
    a: Attack, label: str, data: bytes, sound: Sequence[bytes], ending: str, read: Callable[..., dict[str, Images]]
) -> None:
    """The spoilt file in the first place of those that its reader takes."""
    paths = [a.work / f"{k}.{ending}" for k in range(len(sound))]
    for path, content in zip(paths, [data, *sound[1:]], strict=True):
        path.write_bytes(content)
    a.read(label, partial(read, paths, NAMES), _fit)


def _csv(root: Path) -> Callable[[Attack, str, bytes], None]:
    draw = np.random.default_rng(0)
    for k in range(12):
        Image.fromarray(draw.integers(0, 256, (6, 5), np.uint8)).save(root / f"i{k}.png")
    os.mkfifo(root / "pipe.png")
    (root / "folder.png").mkdir()
    (root / "notes.txt").write_text("no image")
    (root / "link.png").symlink_to("/etc/passwd")

    def feed(a: Attack, label: str, data: bytes) -> None:
        (root / "t.csv").write_bytes(data)
        a.read(label, partial(load, root / "t.csv"), lambda found: _fit(found.splits))

    return feed


def _arff(a: Attack, label: str, data: bytes) -> None:
    (a.work / "x.arff").write_bytes(data)

    def read() -> list[Any]:
        table = Arff(a.work / "x.arff")
        used = [attribute.name for attribute in table.attributes[:-1] if attribute.numeric]
        return list(table.rows(table.attributes[-1].name, used)) if used else []

    a.read(label, read, lambda found: None)


def _parquet(a: Attack, label: str, data: bytes) -> None:
    (a.work / "x.parquet").write_bytes(data)
    a.read(label, partial(load, a.work / "x.parquet"), lambda found: _fit(found.splits))


def _corrections(a: Attack, label: str, data: bytes) -> None:
    (a.work / "corrections.csv").write_bytes(data)
    a.read(label, partial(read_corrections, a.work / "corrections.csv"), lambda found: None)


def _fit(splits: Mapping[str, Images]) -> str | None:
    for images in splits.values():
        if images.pixels.dtype != np.uint8 or images.pixels.ndim != 4:
            return "taken, and no pixels uint8 (N, H, W, C)"
        if not len(images.pixels) == len(images.labels) == len(images.ids) == len(set(images.ids.tolist())):
            return "taken, and pixels, labels and ids do not fit"
        if len(images) and not 0 <= images.labels.min() <= images.labels.max() < len(images.class_names):
            return "taken, with labels outside of the classes"
    return None


def _arff_lies() -> Files:
    head = b"@relation r\n@attribute a numeric\n@attribute s string\n@attribute c {x,'y z'}\n@data\n"
    return {
        "whole": head + b"1,h,x\n2.5,'i j','y z'\n" * 20,
        "a carriage return": head + b"1,h\ri,x\n",
        "a cell of 200,000 letters": head + b"1,'" + b"h" * 200_000 + b"',x\n",
        "5,000 digits": head + b"9" * 5000 + b",h,x\n",
        "spaces": b"@relation r\n@attribute c {" + b" " * 500_000 + b"{}\n@data\n",
        "braces": b"@relation r\n@attribute " + b"{" * 500_000 + b"\n@data\n",
        "no end": b"@attribute a numeric\n" * 100_000,
        "nothing": b"",
    }


def _parquet_lies() -> Files:
    from pyarrow import BufferOutputStream, parquet, table

    def written(images: list[bytes]) -> bytes:
        sink = BufferOutputStream()
        labels = [f"{n % 2}" for n in range(len(images))]
        parquet.write_table(table({"image": images, "label": labels}), sink, compression="zstd")
        return bytes(sink.getvalue().to_pybytes())

    draw = np.random.default_rng(0)
    pictures = [io.BytesIO() for _ in range(12)]
    for picture in pictures:
        Image.fromarray(draw.integers(0, 256, (6, 5), np.uint8)).save(picture, "PNG")
    sound = [picture.getvalue() for picture in pictures]
    return {
        "whole": written(sound),
        "a bomb of 1.5 GB": lambda: written([*sound, bytes(1_500_000_000)]),
        "no pictures": written([b"x", b"", b"\xff"]),
        "nothing": b"",
    }


def _corrections_lies() -> Files:
    head = b"id,pixels,old,new,reason,by,at\n"
    row = b"train/00001," + b"0" * 64 + b",1,7,said,someone,2026-01-01T00:00:00+00:00\n"
    return {
        "whole": head + row,
        "twice": head + row + row,
        "a cell of 200,000 letters": head + row.replace(b"said", b"x" * 200_000),
        "another head": b"a,b\n1,2\n",
        "not UTF-8": head + row.replace(b"said", b"\xff"),
        "NUL": head + row.replace(b"said", b"\0"),
        "nothing": b"",
    }


def _arrays(marker: Path) -> Files:
    """Archives of arrays, sound ("whole") and lying."""
    draw = np.random.default_rng(0)
    pixels, labels = draw.integers(0, 256, (20, 6, 5, 1), np.uint8), np.arange(20) % 3
    images = {
        "object": _npy(np.array([_Command(marker), 1], object), allow_pickle=True),
        "pickle": pickle.dumps(_Command(marker)),
        "code in the head": _npy_head(f"__import__('os').mkdir({str(marker)!r})"),
        "fortran": _npy(np.asfortranarray(pixels)),
        "two terabytes": _npy_head(_head("|u1", "(2000000, 1000, 1000, 3)"), b"x"),
        "more than can be counted": _npy_head(_head("|u1", "(99999999999999999999999, 2)"), b"x"),
        "negative sides": _npy_head(_head("|u1", "(-2, -6, 5, 1)"), pixels.tobytes()),
        "no side": _npy_head(_head("|u1", "(20, 0, 5, 1)")),
        "half a side": _npy_head(_head("|u1", "(2.5, 6)"), b"x" * 99),
        "long texts": _npy_head(_head("<U999999999", "(1,)"), b"x"),
        "a head 900 deep": _npy_head("{'descr': " + "(" * 900 + ")" * 900 + ", 'fortran_order': False, 'shape': (1,)}"),
        "version 9": b"\x93NUMPY\x09\x00" + b"x" * 100,
        "a head of 4 GB": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{",
        "nothing": b"",
        "a scalar": _npy(np.array(3)),
        "32 axes": _npy(np.zeros((1,) * 32, np.uint8)),
        "dates": _npy(np.zeros(20, "datetime64[s]")),
        "fractions": _npy(pixels / 255),
        "complex": _npy(pixels.astype(complex)),
        "four channels": _npy(np.zeros((20, 5, 5, 4), np.uint8)),
        "channels first": _npy(np.zeros((20, 3, 5, 5), np.uint8)),
    }
    label_arrays = {
        "not numbers": np.full(20, np.nan),
        "large": np.full(20, 2**64 - 1, np.uint64),
        "5,000 digits": np.array(["9" * 5000, "b"] * 10),
        "odd texts": np.array(["<script>", "\x00", "\u202e", ""] * 5),
        "half a surrogate pair": np.array(["\ud800", "b"] * 10),
        "nearly equal": np.array(["1", "01", "1 ", "1.0"] * 5),
        "one-hot": np.eye(3, dtype=int)[labels],
        "too few": labels[:3],
    }
    whole = {"images.npy": _npy(pixels), "labels.npy": _npy(labels)}
    files: Files = {"whole": _zip(whole)}
    for name, data in images.items():
        for member in ("images", "labels", "class_names", "more"):
            files[f"{member}: {name}"] = _zip({**whole, f"{member}.npy": data})
    for name, array in label_arrays.items():
        files[f"labels: {name}"] = _zip({**whole, "labels.npy": _npy(array)})
    for name, method in {"bzip2": zipfile.ZIP_BZIP2, "LZMA": zipfile.ZIP_LZMA}.items():
        files[name] = _zip(whole, method)
        for k in range(20):
            files[f"{name}, spoilt {k}"] = spoil_bytes(_zip(whole, method), random.Random(k))
    files["a flipped byte"] = files["whole"][:100] + bytes([files["whole"][100] ^ 255]) + files["whole"][101:]
    files["a bomb of 3 GB"] = lambda: _bomb(3000, whole["labels.npy"])
    return files


def _npy(array: Array, **options: Any) -> bytes:
    target = io.BytesIO()
    np.lib.format.write_array(target, array, **options)
    return target.getvalue()


def _head(kind: str, shape: str) -> str:
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}"


def _npy_head(head: str, data: bytes = b"") -> bytes:
    text = head.encode("latin-1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def _zip(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


def _bomb(megabytes: int, labels: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("labels.npy", labels)
        with archive.open("images.npy", "w", force_zip64=True) as member:
            member.write(_npy_head(_head("|u1", f"({megabytes}, 1000, 1000, 1)")))
            for _ in range(megabytes):
                member.write(bytes(1_000_000))
    return target.getvalue()


def _idx_files() -> list[bytes]:
    draw = np.random.default_rng(0)
    pixels, labels = draw.integers(0, 256, (20, 6, 5), np.uint8), (np.arange(20) % 10).astype(np.uint8)
    return [_idx_file(array) for array in (pixels, labels, pixels[:5], labels[:5])]


def _idx_file(array: Array) -> bytes:
    sides = b"".join(struct.pack(">I", side) for side in array.shape)
    return gzip.compress(struct.pack(">BBBB", 0, 0, 8, array.ndim) + sides + array.tobytes())


def _idx_lies() -> Files:
    whole = _idx_files()[0]
    files: Files = {"whole": whole, "nothing": b"", "more behind": whole + b"garbage", "twice": whole + whole}
    for sides in [(2**32 - 1,) * 3, (0, 6, 5), (20, 0, 5), (2**31, 1, 1), (120, 5, 1)]:
        files[f"sides {sides}"] = gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">III", *sides) + bytes(600))
    files["a bomb of 2 GB"] = lambda: gzip.compress(bytes(2_000_000_000), 6)
    return files


def _cifar_file() -> bytes:
    draw = np.random.default_rng(0)
    return np.concatenate([np.arange(10)[:, None], draw.integers(0, 256, (10, 3072))], 1).astype(np.uint8).tobytes()


def _cifar_lies() -> dict[str, bytes]:
    return {"whole": _cifar_file(), "nothing": b"", "half an image": _cifar_file()[:1500]}


def _mat_file(**other: Any) -> bytes:
    draw = np.random.default_rng(0)
    sound = {
        "X": draw.integers(0, 256, (32, 32, 3, 12), np.uint8),
        "y": (np.arange(12) % 10 + 1)[:, None].astype(np.uint8),
    }
    target = io.BytesIO()
    savemat(target, {**sound, **other}, do_compression=True)
    return target.getvalue()


def _mat_lies() -> dict[str, bytes]:
    labels: dict[str, Any] = {
        "texts": np.array(["a"] * 12),
        "cells": np.array([1, "a"] * 6, object),
        "a record": {"a": 1},
        "not numbers": np.full((12, 1), np.nan),
        "halves": np.full((12, 1), 1.5),
        "none": np.zeros((0, 1)),
        "zero": np.zeros((12, 1)),
        "eleven": np.full((12, 1), 11),
        "one more": np.ones((13, 1)),
        "sparse": csc_matrix(np.ones((12, 1))),
    }
    pixels: dict[str, Any] = {
        "a record": {"a": 1},
        "a text": "abc",
        "three axes": np.zeros((32, 32, 12), np.uint8),
        "fractions": np.zeros((32, 32, 3, 12)),
        "another size": np.zeros((5, 32, 3, 12), np.uint8),
        "no image": np.zeros((32, 32, 3, 0), np.uint8),
        "sparse": csc_matrix(np.eye(3)),
    }
    return {
        "whole": _mat_file(),
        **{f"labels: {name}": _mat_file(y=value) for name, value in labels.items()},
        **{f"pixels: {name}": _mat_file(X=value) for name, value in pixels.items()},
        "version 4 of 8 TB": bytes(4) + struct.pack("<IIII", 10**6, 10**6, 0, 2) + b"X\0",
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(500),
        "nothing": b"",
    }


def _csv_lies() -> dict[str, bytes]:
    splits = ["train", "val", "test"]
    whole = "path,label,split\n" + "".join(f"i{k}.png,{'ab'[k % 2]},{splits[k % 3]}\n" for k in range(12))
    files = {
        "whole": whole,
        "nothing": "",
        "a head alone": "path,label\n",
        "no head": "i0.png,a\n",
        "semicolons": whole.replace(",", ";"),
        "a row too short": whole + "i1.png\n",
        "a row too long": whole + "i1.png,a,train,x,y\n",
        "an image twice": whole + "i1.png,b,train\n",
        "a column twice": "path,path,label\ni0.png,i1.png,a\n",
        "an open quote": whole + '"i1.png,a,train\n' * 3,
    }
    for cell in CELLS:
        short = repr(cell[:12])
        files[f"path {short}"] = whole + f"{cell},a,train\n"
        files[f"label {short}"] = whole.replace("i0.png,a", f"i0.png,{cell}")
        files[f"split {short}"] = whole.replace("i0.png,a,train", f"i0.png,a,{cell}")
        files[f"column {short}"] = whole.replace("path,label,split", f"path,label,{cell}")
    return {name: text.encode() for name, text in files.items()} | {"UTF-16": whole.encode("utf-16")}
