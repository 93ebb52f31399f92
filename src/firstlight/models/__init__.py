"""Models: values made of layers, and the named architectures."""

from firstlight.components import import_modules
from firstlight.layers import ACTIVATIONS
from firstlight.models.convolutional import (
    airbench,
    fashion_cnn,
    lenet5,
    lenet5_batchnorm,
    lenet5_dropout,
    mnist_cnn,
    slim_cnn,
    vgg16,
    vgg19,
    vgg_small,
)
from firstlight.models.dense import (
    mlp_128,
    mlp_128_64,
    mlp_500_250_100,
    pyramid,
    pyramid_regularised,
    softmax_regression,
    two_layer,
)
from firstlight.models.densenet import densenet121, densenet169, densenet201
from firstlight.models.model import Model
from firstlight.models.registry import (
    ARCHITECTURES,
    OUTPUTS,
    architecture,
    build,
    complete,
    custom,
    default_shape,
    defaults,
)
from firstlight.models.residual import resnet18, resnet20, resnet34, resnet50, resnet101v2, resnet152v2

# Those above are known to type checkers; one that has no line there comes in too.
import_modules(__name__, __path__)
globals().update({each.__name__: each for each in ARCHITECTURES.ours().values()})

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "OUTPUTS",
    "Model",
    "airbench",
    "architecture",
    "build",
    "complete",
    "custom",
    "default_shape",
    "defaults",
    "densenet121",
    "densenet169",
    "densenet201",
    "fashion_cnn",
    "lenet5",
    "lenet5_batchnorm",
    "lenet5_dropout",
    "mlp_128",
    "mlp_128_64",
    "mlp_500_250_100",
    "mnist_cnn",
    "pyramid",
    "pyramid_regularised",
    "resnet18",
    "resnet20",
    "resnet34",
    "resnet50",
    "resnet101v2",
    "resnet152v2",
    "slim_cnn",
    "softmax_regression",
    "two_layer",
    "vgg16",
    "vgg19",
    "vgg_small",
]
