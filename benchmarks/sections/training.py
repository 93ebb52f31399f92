"""Steps of training, and prediction, side by side."""

from __future__ import annotations

from benchmarks import contest
from benchmarks.cases import Case
from benchmarks.contestants import TORCH
from benchmarks.sections import Options
from firstlight.types import Json

GREY32 = (32, 32, 1)
STEPS = (
    Case("lenet5, batch 32", "lenet5", 32, steps=240),
    Case("lenet5-batchnorm, batch 32", "lenet5-batchnorm", 32, steps=240),
    Case("mlp-128-64, batch 32", "mlp-128-64", 32, steps=1200),
    Case("mlp-128-64, batch 128", "mlp-128-64", 128, steps=480),
    Case("mnist-cnn, batch 64", "mnist-cnn", 64, steps=32),
    Case("vgg-small, 32×32×1, batch 64", "vgg-small", 64, GREY32, steps=8),
)
PREDICTION = Case("prediction, lenet5, 10,000 images", "lenet5", 10_000, predict=True)
SINGLE = Case("prediction, lenet5, one image at a time", "lenet5", 1, predict=True)
ALONE = ("firstlight", "firstlight-predict", "onnxruntime", *TORCH)
ENGINES = ("firstlight", "firstlight-torch", "firstlight-torch-auto", "torch")

# name: times faster than the fastest of PyTorch eager and compiled, and than Keras on TensorFlow
GOALS = {
    "lenet5, batch 32": (4.0, 5.0),
    "lenet5-batchnorm, batch 32": (4.0, 6.0),
    "mlp-128-64, batch 32": (1.8, 5.0),
    "mlp-128-64, batch 128": (1.3, 4.0),
    "mnist-cnn, batch 64": (1.5, 3.0),
    "vgg-small, 32×32×1, batch 64": (1.0, 1.5),
    "prediction, lenet5, 10,000 images": (3.0, 10.0),
}


def steps(options: Options) -> Json:
    """float32, Adam, every peer."""
    return contest.together(STEPS, ("firstlight", *options.peers), options)


def prediction(options: Options) -> Json:
    """The outputs of lenet5 for 10,000 images."""
    return contest.together([PREDICTION], ("firstlight", *options.peers), options)


def single(options: Options) -> Json:
    """The outputs of lenet5, and its probabilities, for an image at a time."""
    return contest.together([SINGLE], [name for name in ALONE if name not in TORCH or name in options.peers], options)


def engines(options: Options) -> Json:
    """firstlight's engines beside each other and beside PyTorch by hand."""
    return contest.together(STEPS, ENGINES, options)
