"""All weights of a model in one flat vector, with a named view of each array.

Trained numbers come first, frozen ones and running statistics last, so that an optimizer sees one contiguous vector
and knows nothing of layers. The names are paths, such as "block1.conv1.W".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from firstlight.errors import ModelError, RunError, brief
from firstlight.files import WEIGHTS_LIMIT, is_file, read_bytes
from firstlight.kernels.graph import Slot
from firstlight.layers import Parameter, Tree
from firstlight.layers.initializers import initialize
from firstlight.randomness import generator
from firstlight.records.run_folder import WEIGHTS, RunFolder
from firstlight.types import Array


@dataclass(frozen=True)
class Entry:
    """One array of the model: the numbers from `start` to `stop` of the vector."""

    path: tuple[str, ...]
    parameter: Parameter
    start: int

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def stop(self) -> int:
        return self.start + self.parameter.size


@dataclass(frozen=True)
class Layout:
    """Where each array of a model lies in its vector."""

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, parameters: Mapping[str, Any], frozen: Sequence[str] = ()) -> Layout:
        """Lay out a tree of `Parameter`: the trained ones first, each group in the order of the layers.

        frozen  patterns of names that are not trained, as `chosen` reads them
        """
        leaves = [
            (path, replace(parameter, trainable=False) if chosen(".".join(path), frozen) else parameter)
            for path, parameter in _leaves(parameters)
        ]
        leaves.sort(key=lambda leaf: not leaf[1].trainable)
        entries, start = [], 0
        for path, parameter in leaves:
            entries.append(Entry(path, parameter, start))
            start += parameter.size
        return cls(tuple(entries))

    @cached_property
    def size(self) -> int:
        """How many numbers the model has."""
        return sum(entry.parameter.size for entry in self.entries)

    @cached_property
    def trainable(self) -> int:
        """How many of them are trained; they are the first of the vector."""
        return sum(entry.parameter.size for entry in self.entries if entry.parameter.trainable)

    @cached_property
    def trained(self) -> frozenset[str]:
        """The paths of the layers that are trained, and of the containers that they lie in."""
        paths = (entry.path[:-1] for entry in self.entries if entry.parameter.trainable)
        return frozenset(".".join(path[:depth]) for path in paths for depth in range(1, len(path) + 1))

    def initial(self, seed: int, dtype: Any = np.float32) -> Array:
        """A new vector of initial weights, drawn by (seed, "weights", name) for each array."""
        vector = np.empty(self.size, dtype)
        for entry in self.entries:
            draw = initialize(entry.parameter, generator(seed, "weights", entry.name), dtype)
            vector[entry.start : entry.stop] = draw.ravel()
        return vector

    def tree(self, vector: Array) -> Tree:
        """Views of `vector`, nested by layer: what `Layer.forward` takes."""
        tree: dict[str, Any] = {}
        for entry in self.entries:
            branch = tree
            for name in entry.path[:-1]:
                branch = branch.setdefault(name, {})
            branch[entry.path[-1]] = vector[entry.start : entry.stop].reshape(entry.parameter.shape)
        return tree

    @cached_property
    def slots(self) -> Mapping[str, Any]:
        """Where each array lies in the vector, nested by layer: what `Layer.record` takes."""
        tree: dict[str, Any] = {}
        for entry in self.entries:
            branch = tree
            for name in entry.path[:-1]:
                branch = branch.setdefault(name, {})
            branch[entry.path[-1]] = Slot(entry.start, entry.parameter.shape, entry.parameter.trainable)
        return tree

    def collect(self, gradients: Tree, vector: Array) -> None:
        """Write a tree of gradients into the trained part of `vector`."""
        for entry in self.entries:
            if entry.parameter.trainable:
                leaf: Any = gradients
                for name in entry.path:
                    leaf = leaf[name]
                vector[entry.start : entry.stop] = leaf.ravel()

    def named(self, vector: Array) -> dict[str, Array]:
        """The arrays by name, as copies."""
        return {e.name: vector[e.start : e.stop].reshape(e.parameter.shape).copy() for e in self.entries}

    def vector(self, arrays: Mapping[str, Array], dtype: Any = np.float32) -> Array:
        """The vector that holds `arrays`. ModelError names the first name, shape, type or value that does not fit."""
        for entry in self.entries:
            if entry.name not in arrays:
                raise ModelError(f"The weights have no {entry.name}, which the model needs.")
            array = arrays[entry.name]
            if array.shape != entry.parameter.shape:
                raise ModelError(
                    f"The weights of {entry.name} have shape {array.shape}; the model needs {entry.parameter.shape}."
                )
        extra = sorted(set(arrays) - {entry.name for entry in self.entries})
        if extra:
            raise ModelError(f"The weights hold {brief(extra[0])}, which the model does not have.")
        vector = np.empty(self.size, dtype)
        for entry in self.entries:
            array = arrays[entry.name]
            if array.dtype.kind != "f":
                raise ModelError(f"The weights of {entry.name} are {array.dtype}, not floating-point numbers.")
            numbers = vector[entry.start : entry.stop]
            with np.errstate(over="ignore"):
                numbers[:] = array.ravel()
            if not np.isfinite(numbers).all():
                raise ModelError(f"The weights of {entry.name} are not all finite numbers: the file is damaged.")
        return vector


def chosen(name: str, patterns: Sequence[str]) -> bool:
    """Whether `patterns` choose the array or layer called `name`: the last one that fits it says so, or no, with "!".

    A pattern is a name with * and ?, and chooses all that lies inside what it names: "head" chooses "head.W".
    """
    for pattern in reversed(patterns):
        if fits(name, pattern.removeprefix("!")):
            return not pattern.startswith("!")
    return False


def fits(name: str, pattern: str) -> bool:
    """Whether `pattern` names the array called `name`, or a layer that it lies in."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def to_bytes(arrays: Mapping[str, Array]) -> bytes:
    """The arrays as a safetensors file."""
    return save(dict(arrays))


def from_bytes(data: bytes, origin: str) -> dict[str, Array]:
    """The arrays of a safetensors file. Raises ModelError that names `origin` where it is damaged."""
    try:
        return dict(load(data))
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise ModelError(f"{origin} is not a valid safetensors file: {brief(str(error))}.") from None


def from_file(path: Path) -> dict[str, Array]:
    """The arrays of the safetensors file at `path`. Raises ModelError where it is missing or damaged."""
    try:
        return from_bytes(read_bytes(path, limit=WEIGHTS_LIMIT), str(path))
    except OSError as error:
        raise ModelError(f"{brief(path)} cannot be read: {error.strerror}.") from None


def of_run(folder: RunFolder, layout: Layout) -> Array:
    """The weights of a run as its model lays them out. Raises RunError or ModelError where they are not its own."""
    path = folder.path / WEIGHTS
    arrays = from_bytes(bytes_of_run(folder), str(path))
    try:
        return layout.vector(arrays)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def bytes_of_run(folder: RunFolder) -> bytes:
    """A run's file of weights, as the run wrote it. Raises RunError where there is none, or another one."""
    if not is_file(folder.path / WEIGHTS):
        _ = folder.result  # an unfinished run says so
        raise RunError(f"{folder.path} has no {WEIGHTS}: the file was removed.")
    return folder.read(WEIGHTS, WEIGHTS_LIMIT)


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Parameter]]:
    for name, value in tree.items():
        if isinstance(value, Parameter):
            yield (*path, name), value
        else:
            yield from _leaves(value, (*path, name))
