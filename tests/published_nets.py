"""The published nets in plain PyTorch, with torchvision's attribute names: what our own are held against.

`load_state_dict(strict=True)` then proves that a file carries the published names and shapes, no more and no fewer.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import nn


class Block(nn.Module):
    """Two 3×3 convolutions, or a bottleneck of 1×1, 3×3 and 1×1, and the way round them."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        widths = (inputs, width, width, outputs) if bottleneck else (inputs, width, outputs)
        strides = (1, stride, 1) if bottleneck else (stride, 1)
        self.depth = len(kernels)
        for i, (kernel, step) in enumerate(zip(kernels, strides, strict=True)):
            conv = nn.Conv2d(widths[i], widths[i + 1], kernel, step, kernel // 2, bias=False)
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(widths[i + 1]))
        self.downsample: Any = None
        if stride != 1 or inputs != outputs:
            way_round = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(way_round, nn.BatchNorm2d(outputs))

    def forward(self, x: Any) -> Any:
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.depth:
                y = y.relu()
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    """He et al. 2015, table 1; `depths` are the blocks of its four stages."""

    def __init__(self, depths: tuple[int, ...], bottleneck: bool, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for stage, depth in enumerate(depths):
            width = 64 << stage
            blocks = []
            for i in range(depth):
                blocks.append(Block(channels, width, 2 if stage and not i else 1, bottleneck))
                channels = width * (4 if bottleneck else 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Any) -> Any:
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


class DenseLayer(nn.Module):
    """32 new channels, behind those that there were."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 128, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(128)
        self.conv2 = nn.Conv2d(128, 32, 3, padding=1, bias=False)

    def forward(self, x: Any) -> Any:
        new = self.conv1(self.norm1(x).relu())
        return torch.cat((x, self.conv2(self.norm2(new).relu())), 1)


class DenseNet(nn.Module):
    """Huang et al. 2016, table 1; `depths` are the layers of its four blocks."""

    def __init__(self, depths: tuple[int, ...], classes: int = 1000) -> None:
        super().__init__()
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts["conv0"] = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        parts["norm0"] = nn.BatchNorm2d(64)
        parts["relu0"] = nn.ReLU()
        parts["pool0"] = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for i, depth in enumerate(depths, start=1):
            layers = (DenseLayer(channels + 32 * j) for j in range(depth))
            named: list[tuple[str, nn.Module]] = [(f"denselayer{j}", layer) for j, layer in enumerate(layers, start=1)]
            parts[f"denseblock{i}"] = nn.Sequential(OrderedDict(named))
            channels += 32 * depth
            if i < len(depths):
                transition = OrderedDict(norm=nn.BatchNorm2d(channels), relu=nn.ReLU())
                transition["conv"] = nn.Conv2d(channels, channels // 2, 1, bias=False)
                transition["pool"] = nn.AvgPool2d(2)
                parts[f"transition{i}"] = nn.Sequential(transition)
                channels //= 2
        parts["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(parts)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x).relu().mean((2, 3)))


class VGG(nn.Module):
    """Simonyan & Zisserman 2014, with timm's names for a head that is small here; it gives the features."""

    def __init__(self, depths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for count, width in zip(depths, (64, 128, 256, 512, 512), strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pre_logits = nn.ModuleDict({"fc1": nn.Conv2d(512, 5, 7), "fc2": nn.Conv2d(5, 5, 1)})
        self.head = nn.ModuleDict({"fc": nn.Linear(5, 1000)})

    def forward(self, x: Any) -> Any:
        return self.features(x).flatten(1)


NETS = {
    "densenet121": lambda: DenseNet((6, 12, 24, 16)),
    "densenet169": lambda: DenseNet((6, 12, 32, 32)),
    "densenet201": lambda: DenseNet((6, 12, 48, 32)),
    "resnet18": lambda: ResNet((2, 2, 2, 2), bottleneck=False),
    "resnet34": lambda: ResNet((3, 4, 6, 3), bottleneck=False),
    "resnet50": lambda: ResNet((3, 4, 6, 3), bottleneck=True),
    "vgg16": lambda: VGG((2, 2, 3, 3, 3)),
    "vgg19": lambda: VGG((2, 2, 4, 4, 4)),
}
