"""Steps of training, and prediction, side by side."""

from __future__ import annotations

from benchmarks import contest
from benchmarks.cases import Case
from benchmarks.contestants import RUNTIMES, TORCH
from benchmarks.sections import Options
from firstlight.types import Json

GREY32, COLOUR32 = (32, 32, 1), (32, 32, 3)
STEPS = (
    Case("lenet5, batch 32", "lenet5", 32, steps=240),
    Case("lenet5-batchnorm, batch 32", "lenet5-batchnorm", 32, steps=240),
    Case("lenet5-dropout, batch 32", "lenet5-dropout", 32, steps=240),
    Case("mlp-128-64, batch 32", "mlp-128-64", 32, steps=1200),
    Case("mlp-128-64, batch 128", "mlp-128-64", 128, steps=480),
    Case("mlp-500-250-100, batch 64", "mlp-500-250-100", 64, steps=160),
    Case("two-layer, 32×32×3, batch 32", "two-layer", 32, COLOUR32, steps=40),
    Case("two-layer, 32×32×3, batch 1,000", "two-layer", 1000, COLOUR32, steps=4),
    Case("pyramid, 32×32×3, batch 64", "pyramid", 64, COLOUR32, steps=160),
    Case("pyramid-regularised, batch 64", "pyramid-regularised", 64, GREY32, steps=320),
    Case("mnist-cnn, batch 32", "mnist-cnn", 32, steps=64),
    Case("mnist-cnn, batch 64", "mnist-cnn", 64, steps=32),
    Case("fashion-cnn, batch norm, batch 32", "fashion-cnn", 32, steps=64, options={"batch_norm": True}),
    Case("vgg-small, 32×32×1, batch 64", "vgg-small", 64, GREY32, steps=8),
    Case("vgg-small, 32×32×3, batch 64", "vgg-small", 64, COLOUR32, steps=8),
)
# Nets that no peer here builds from plain values: beside our own PyTorch engine, whose layers are PyTorch's own.
LARGE = (
    Case("resnet20, 32×32×3, batch 64", "resnet20", 64, COLOUR32, steps=4),
    Case("resnet18, 32×32×3, batch 32", "resnet18", 32, COLOUR32, steps=4),
    Case("vgg16, 32×32×3, batch 64", "vgg16", 64, COLOUR32, steps=1),
    Case("densenet121, 32×32×3, batch 32", "densenet121", 32, COLOUR32, steps=2),
)
PREDICTION = Case("prediction, lenet5, 10,000 images", "lenet5", 10_000, predict=True)
CALLS = tuple(Case(f"lenet5, {count:,} images per call", "lenet5", count, predict=True) for count in (10, 100, 1000))
SINGLE = Case("prediction, lenet5, one image at a time", "lenet5", 1, predict=True)
ALONE = ("firstlight", "firstlight-predict", *RUNTIMES, *TORCH)
ENGINES = ("firstlight", "firstlight-torch", "firstlight-torch-auto", "torch")

# name: times faster than the fastest of PyTorch eager and compiled, and than Keras on TensorFlow where that is asked
GOALS: dict[str, tuple[float, float | None]] = {
    "lenet5, batch 32": (6.0, 5.0),
    "lenet5-batchnorm, batch 32": (4.0, 6.0),
    "lenet5-dropout, batch 32": (5.0, None),
    "mlp-128-64, batch 32": (1.8, 5.0),
    "mlp-128-64, batch 128": (1.3, 4.0),
    "mlp-500-250-100, batch 64": (2.0, None),
    "two-layer, 32×32×3, batch 32": (1.4, None),
    "two-layer, 32×32×3, batch 1,000": (1.1, None),
    "pyramid, 32×32×3, batch 64": (1.8, None),
    "pyramid-regularised, batch 64": (2.8, None),
    "mnist-cnn, batch 32": (2.2, None),
    "mnist-cnn, batch 64": (1.5, 3.0),
    "fashion-cnn, batch norm, batch 32": (2.8, None),
    "vgg-small, 32×32×1, batch 64": (1.0, 1.5),
    "vgg-small, 32×32×3, batch 64": (1.8, None),
    "resnet20, 32×32×3, batch 64": (1.8, None),
    "resnet18, 32×32×3, batch 32": (1.4, None),
    "vgg16, 32×32×3, batch 64": (1.5, None),
    "densenet121, 32×32×3, batch 32": (1.2, None),
    "prediction, lenet5, 10,000 images": (3.0, 10.0),
}


def steps(options: Options) -> Json:
    """float32, Adam, every peer."""
    return contest.together(STEPS, ("firstlight", *options.peers), options)


def large(options: Options) -> Json:
    """float32, Adam, nets with residual or concatenated paths and large ones, beside our own PyTorch engine."""
    return contest.together(LARGE, ("firstlight", "firstlight-torch"), options)


def prediction(options: Options) -> Json:
    """The outputs of lenet5 for 10,000 images, and its probabilities by the runtimes."""
    return contest.together([PREDICTION, *CALLS], ("firstlight", *RUNTIMES, *options.peers), options)


def single(options: Options) -> Json:
    """The outputs of lenet5, and its probabilities, for an image at a time."""
    return contest.together([SINGLE], [name for name in ALONE if name not in TORCH or name in options.peers], options)


def engines(options: Options) -> Json:
    """firstlight's engines beside each other and beside PyTorch by hand."""
    return contest.together(STEPS, ENGINES, options)
