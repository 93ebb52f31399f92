"""Weights that others trained on ImageNet: where they are published, fetched once, and read by our names.

The files are timm's copies of torchvision's weights on the Hugging Face hub, each at a pinned revision. Their arrays
have the shapes of ours; a rule for each family of nets gives our names their published ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstlight.errors import DataError, ModelError
from firstlight.models import Model
from firstlight.types import Array


@dataclass(frozen=True)
class Pretrained:
    """A file of weights on the Hugging Face hub.

    licence  as its publisher names it
    """

    repository: str
    revision: str
    licence: str
    file: str = "model.safetensors"

    @property
    def homepage(self) -> str:
        """The page that describes the weights."""
        return f"https://huggingface.co/{self.repository}"

    @property
    def url(self) -> str:
        """The address of the file itself."""
        return f"{self.homepage}/resolve/{self.revision}/{self.file}"


PRETRAINED = {
    "densenet121": Pretrained("timm/densenet121.tv_in1k", "d42603aa2960ebf044e46628536b6f0edf7c0c6b", "apache-2.0"),
    "densenet169": Pretrained("timm/densenet169.tv_in1k", "8c033a1f91d746e37e23229bf0445fff2125c89e", "apache-2.0"),
    "resnet18": Pretrained("timm/resnet18.tv_in1k", "bbd144b3e5565108aad885f145491d11bc6ce807", "bsd-3-clause"),
    "resnet34": Pretrained("timm/resnet34.tv_in1k", "1b7b21cca82ff974d341713f777bf740c2db38c4", "bsd-3-clause"),
    "resnet50": Pretrained("timm/resnet50.tv_in1k", "78f3ecfdb38e06d9b8397f662e7ab8fee96026fa", "bsd-3-clause"),
    "vgg16": Pretrained("timm/vgg16.tv_in1k", "b8d8aa2dd860af9233c8c67385a8097fd6c35d3f", "bsd-3-clause"),
}

# Nets whose published names are known, but no revision of their file that we have checked: it is given by its path.
BY_PATH = ("densenet201", "vgg19")

# The last part of a name, in ours and in PyTorch's.
LEAVES = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var"}

# torchvision numbers the convolutions of VGG16 and VGG19 among their activations and poolings.
VGG_CONVOLUTIONS = {
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "vgg19": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
}


def published(name: str) -> Pretrained:
    """Where the weights of the architecture called `name` are published. Raises ModelError if they are not."""
    if name in BY_PATH:
        raise ModelError(
            f"{name}: no revision of its published weights was verified, so none is downloaded. Get the "
            f"model.safetensors of https://huggingface.co/timm/{name}.tv_in1k, and give its path as weights.init_from."
        )
    if name not in PRETRAINED:
        raise ModelError(f"{name} has no published weights. These architectures have: {', '.join(PRETRAINED)}.")
    return PRETRAINED[name]


def fetch(name: str) -> Path:
    """The file of the architecture's published weights, from the hub's cache on this machine or by a download.

    Raises ModelError where there are none or huggingface_hub is not installed, and DataError where the download fails.
    """
    source = published(name)
    by_hand = f"Or download {source.url} by hand, and give the path of that file."
    try:
        from huggingface_hub import hf_hub_download  # optional
    except ImportError:
        raise ModelError(
            f"Fetching the weights of {name} needs huggingface_hub: pip install 'firstlight[hub]'. {by_hand}"
        ) from None
    try:
        return Path(hf_hub_download(repo_id=source.repository, filename=source.file, revision=source.revision))
    except Exception as error:  # by its version: errors of requests, of httpx or of its own, with no base in common
        raise DataError(
            f"The weights of {name} could not be downloaded from {source.homepage}: {type(error).__name__}: {error}\n"
            f"Try again with a network connection. {by_hand}"
        ) from error


def published_names(model: Model) -> dict[str, str]:
    """The published name of each array of the model that has one, by our name.

    VGG16 and VGG19 have their convolutions alone, for the head here is a smaller one. Raises ModelError for a model
    without published weights.
    """
    if model.name not in BY_PATH:
        published(model.name)
    rule = RULES[model.name.rstrip("0123456789")]
    names = {}
    for entry in model.layout.entries:
        *path, leaf = entry.path
        layer = rule(".".join(path), model.name)
        if layer is not None:
            names[entry.name] = f"{layer}.{LEAVES[leaf]}"
    return names


def is_published(names: Iterable[str], model: Model) -> bool:
    """Whether `names`, those of a file's arrays, are the published ones of the model's weights and not ours."""
    return model.name in (*PRETRAINED, *BY_PATH) and not set(published_names(model).values()).isdisjoint(names)


def translate(model: Model, arrays: Mapping[str, Array], fresh: Callable[[str], bool], origin: str) -> dict[str, Array]:
    """The arrays of a published file by our names, float32.

    fresh  whether the array of that (our) name is re-initialized: it is left out, and need not fit
    Arrays without a published name are left out too, and so are those of the file that the model does not have.

    Raises ModelError at the first array that is missing or has another shape, before any is converted.
    """
    names = {ours: theirs for ours, theirs in published_names(model).items() if not fresh(ours)}
    shapes = {entry.name: entry.parameter.shape for entry in model.layout.entries}
    for ours, theirs in names.items():
        found = arrays[theirs].shape if theirs in arrays else None
        if found != shapes[ours]:
            has = f"has no {theirs}" if found is None else f"has {theirs} of shape {found}"
            layer = ours.rpartition(".")[0]
            raise ModelError(
                f"{origin} {has}; {model.name} needs it for its {ours} of shape {shapes[ours]}. "
                f'To re-initialize that layer: weights.fresh = ["{layer}"].'
            )
    for theirs in names.values():
        if arrays[theirs].dtype.kind != "f":
            raise ModelError(f"{origin} has {theirs} of {arrays[theirs].dtype}, not of floating-point numbers.")
    return {ours: np.asarray(arrays[theirs], np.float32) for ours, theirs in names.items()}


def _resnet(layer: str, net: str) -> str:
    """Our layer2_0.body.conv1 is layer2.0.conv1; a shortcut is a pair without names, such as layer2.0.downsample."""
    layer = re.sub(r"^layer(\d)_(\d+)\.(body\.)?", r"layer\1.\2.", layer)
    layer = layer.replace("shortcut.conv1", "downsample.0").replace("shortcut.batchnorm1", "downsample.1")
    return layer.replace("batchnorm", "bn").replace("head", "fc")


def _densenet(layer: str, net: str) -> str:
    """Our denselayer1_2.body.conv1 is features.denseblock1.denselayer2.conv1; all but the head are features."""
    if layer == "head":
        return "classifier"
    return "features." + re.sub(r"^denselayer(\d)_(\d+)\.body", r"denseblock\1.denselayer\2", layer)


def _vgg(layer: str, net: str) -> str | None:
    """Our conv3 is features.5; the head has no counterpart."""
    convolution = re.fullmatch(r"conv(\d+)", layer)
    return convolution and f"features.{VGG_CONVOLUTIONS[net][int(convolution[1]) - 1]}"


# From the path of a layer in our model, and the net's name, to its published name, by family.
RULES: dict[str, Callable[[str, str], str | None]] = {"densenet": _densenet, "resnet": _resnet, "vgg": _vgg}
