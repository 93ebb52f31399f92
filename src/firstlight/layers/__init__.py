"""The layers: frozen values with shapes, parameters, a forward pass and a gradient derived by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firstlight.components import import_modules
from firstlight.errors import ModelError, nearest
from firstlight.layers.avgpool2d import AvgPool2D as AvgPool2D
from firstlight.layers.base import ACTIVATIONS as ACTIVATIONS
from firstlight.layers.base import LAYERS as LAYERS
from firstlight.layers.base import Activation as Activation
from firstlight.layers.base import Backward as Backward
from firstlight.layers.base import Example as Example
from firstlight.layers.base import Layer as Layer
from firstlight.layers.base import Parameter as Parameter
from firstlight.layers.base import Pass as Pass
from firstlight.layers.base import Tree as Tree
from firstlight.layers.base import TwinPass as TwinPass
from firstlight.layers.base import join as join
from firstlight.layers.batchnorm import BatchNorm as BatchNorm
from firstlight.layers.chain import Chain as Chain
from firstlight.layers.concat import Concat as Concat
from firstlight.layers.container import Container as Container
from firstlight.layers.conv2d import Conv2D as Conv2D
from firstlight.layers.dense import Dense as Dense
from firstlight.layers.depthwiseconv2d import DepthwiseConv2D as DepthwiseConv2D
from firstlight.layers.dropout import Dropout as Dropout
from firstlight.layers.elu import ELU as ELU
from firstlight.layers.flatten import Flatten as Flatten
from firstlight.layers.gelu import GELU as GELU
from firstlight.layers.globalavgpool2d import GlobalAvgPool2D as GlobalAvgPool2D
from firstlight.layers.groupnorm import GroupNorm as GroupNorm
from firstlight.layers.layer_step import LayerStep as LayerStep
from firstlight.layers.layernorm import LayerNorm as LayerNorm
from firstlight.layers.leakyrelu import LeakyReLU as LeakyReLU
from firstlight.layers.maxpool2d import MaxPool2D as MaxPool2D
from firstlight.layers.mish import Mish as Mish
from firstlight.layers.padchannels import PadChannels as PadChannels
from firstlight.layers.relu import ReLU as ReLU
from firstlight.layers.reshape import Reshape as Reshape
from firstlight.layers.residual import Residual as Residual
from firstlight.layers.selu import SELU as SELU
from firstlight.layers.separableconv2d import SeparableConv2D as SeparableConv2D
from firstlight.layers.sigmoid import Sigmoid as Sigmoid
from firstlight.layers.silu import SiLU as SiLU
from firstlight.layers.softmax import Softmax as Softmax
from firstlight.layers.tanh import Tanh as Tanh

# Those above are known to type checkers; one that has no line there comes in too.
import_modules(__name__, __path__)
globals().update({layer.__name__: layer for layer in LAYERS.ours().values()})


def from_json(settings: Mapping[str, Any]) -> Layer:
    """The layer that `Layer.to_json` described, or that a model file describes. Raises ModelError for anything else."""
    if not isinstance(settings, Mapping) or not isinstance(settings.get("type"), str):
        raise ModelError(f'A layer is a table with a type, such as type = "Dense", units = 10; received {settings!r}.')
    kind = settings["type"]
    if kind not in LAYERS:
        raise ModelError(f"There is no layer of type {kind!r}. {nearest(kind, LAYERS)}")
    known = {option.name: option for option in LAYERS.options(kind)}
    values = {name: _value(value) for name, value in settings.items() if name != "type"}
    for name in values:
        if name not in known:
            raise ModelError(f"{kind} has no setting {name!r}. {nearest(name, known)}")
    for name, option in known.items():
        if option.required and name not in values:
            raise ModelError(f"{kind} needs the setting {name!r}; received only {dict(settings)}.")
    return LAYERS[kind](**values)


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return from_json(value)
    return tuple(_value(item) for item in value) if isinstance(value, list | tuple) else value
