"""ResNet v1 and v2 as published with Keras, for any depth and freely shaped.

    v1 unit   x -> conv3 - BN - act - conv3 - BN - (+ shortcut x) - act
    v2 unit   x -> BN - act - conv1 - BN - act - conv3 - BN - act - conv1 - (+ shortcut x)

v2's very first unit has no BN and activation before its first convolution (the stem has just done that), and v2
ends with BN - act. Every stage after the first halves the image in its first unit. After the last stage: mean over the
image, dropout, dense layer. The output is logits; softmax belongs to the loss. Sums and activations overwrite
their input where no backward pass needs it (the output of a convolution or of BN).

References: He et al. 2015 (arXiv:1512.03385), He et al. 2016 (arXiv:1603.05027); Keras's example cifar10_resnet.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor, nn

from fewepochs import seeds
from fewepochs.errors import Problem, RecipeError
from fewepochs.nets import kernels as compiled
from fewepochs.nets.layers import BatchNorm, Conv, Dense, Dropout, activate, initialise
from fewepochs.specs import networks


@dataclass(frozen=True)
class ImageShape:
    """Height and width in pixels, and channels, of the images that go in."""

    height: int
    width: int
    channels: int

    def strided(self, stride: int, *, channels: int) -> ImageShape:
        """Return the shape after a "same" convolution with `stride` to `channels`."""
        return ImageShape(math.ceil(self.height / stride), math.ceil(self.width / stride), channels)

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.height * self.width


@dataclass(frozen=True)
class _Style:
    """What all layers of a network have in common."""

    activation: networks.Activation
    conv_bias: bool
    kernels: compiled.Kernels

    def conv(self, inputs: int, outputs: int, *, kernel: int, stride: int = 1) -> Conv:
        """Return a convolution."""
        return Conv(inputs, outputs, kernel=kernel, stride=stride, bias=self.conv_bias, kernels=self.kernels)

    def norm(self, channels: int, *, pixels: int, activate: bool = True) -> BatchNorm:
        """Return a batch normalisation, with the activation after it unless told otherwise."""
        activation = self.activation if activate else None
        return BatchNorm(channels, pixels=pixels, activation=activation, kernels=self.kernels)


class _UnitV1(nn.Module):
    def __init__(self, shape: ImageShape, *, filters: int, stride: int, shortcut_kernel: int, style: _Style) -> None:
        super().__init__()
        self.activation = style.activation
        out = shape.strided(stride, channels=filters)
        self.conv1 = style.conv(shape.channels, filters, kernel=3, stride=stride)
        self.bn1 = style.norm(filters, pixels=out.pixels)
        self.conv2 = style.conv(filters, filters, kernel=3)
        self.bn2 = style.norm(filters, pixels=out.pixels, activate=False)
        self.shortcut: Conv | None = None
        if out != shape:
            self.shortcut = style.conv(shape.channels, filters, kernel=shortcut_kernel, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        y = y.add_(x if self.shortcut is None else self.shortcut(x))
        return activate(y, activation=self.activation)


class _UnitV2(nn.Module):
    def __init__(
        self,
        shape: ImageShape,
        *,
        filters: int,
        bottleneck: int,
        stride: int,
        shortcut_kernel: int | None,
        first: bool,
        style: _Style,
    ) -> None:
        super().__init__()
        out = shape.strided(stride, channels=filters)
        self.bn1 = None if first else style.norm(shape.channels, pixels=shape.pixels)
        self.conv1 = style.conv(shape.channels, bottleneck, kernel=1, stride=stride)
        self.bn2 = style.norm(bottleneck, pixels=out.pixels)
        self.conv2 = style.conv(bottleneck, bottleneck, kernel=3)
        self.bn3 = style.norm(bottleneck, pixels=out.pixels)
        self.conv3 = style.conv(bottleneck, filters, kernel=1)
        self.shortcut: Conv | None = None
        if shortcut_kernel is not None:
            self.shortcut = style.conv(shape.channels, filters, kernel=shortcut_kernel, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.bn1 is None else self.bn1(x)
        y = self.conv3(self.bn3(self.conv2(self.bn2(self.conv1(y)))))
        total: Tensor = y.add_(x if self.shortcut is None else self.shortcut(x))
        return total


class ResNet(nn.Module):
    """A ResNet of either generation: images [N, C, H, W] -> logits [N, classes]. Made by `build`."""

    def __init__(
        self, spec: networks.Network, *, image: ImageShape, classes: int, dropout_seed: int, kernels: compiled.Kernels
    ) -> None:
        super().__init__()
        style = _Style(activation=spec.activation, conv_bias=spec.conv_bias, kernels=kernels)
        shape = image.strided(spec.stem.stride, channels=spec.stem.filters)
        self.stem = style.conv(image.channels, spec.stem.filters, kernel=spec.stem.kernel, stride=spec.stem.stride)
        self.stem_bn = style.norm(spec.stem.filters, pixels=shape.pixels)
        self.units = nn.ModuleList()
        for stage, count in enumerate(units_per_stage(spec)):
            for unit in range(count):
                stride = 2 if stage > 0 and unit == 0 else 1
                self.units.append(_unit(spec, shape, stage=stage, unit=unit, stride=stride, style=style))
                shape = shape.strided(stride, channels=spec.filters[stage])
        self.final_bn = style.norm(shape.channels, pixels=shape.pixels) if isinstance(spec, networks.ResNetV2) else None
        self.dropout = Dropout(spec.dropout, key=seeds.derive(dropout_seed, "dropout", "head"))
        self.dense = Dense(shape.channels, classes)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the logits [N, classes]."""
        x: Tensor = self.stem_bn(self.stem(x_NCHW))
        for unit in self.units:
            x = unit(x)
        if self.final_bn is not None:
            x = self.final_bn(x)
        logits: Tensor = self.dense(self.dropout(x.mean((2, 3))))
        return logits


def build(
    spec: networks.Network,
    *,
    image: ImageShape,
    classes: int,
    init_seed: int,
    dropout_seed: int,
    device: torch.device | str = "cpu",
    kernels: compiled.Kernels = "torch",
) -> ResNet:
    """Return the network of `spec` on `device`, in float32, with its initial weights.

    `kernels` "fused" lets compiled kernels do what they can, "inductor" what torch compiles, batch normalisation with
    ReLU first of all (see nets.kernels, nets.inductor). On the device "meta" the weights have shapes and no values.
    Raises RecipeError where the images are too small for the number of stages.
    """
    halvings = len(spec.filters) - 1
    if min(image.height, image.width) < 2**halvings * spec.stem.stride:
        problem = Problem(
            "network.filters",
            f"{len(spec.filters)} stages halve the image {halvings} times",
            value=f"images of {image.height}x{image.width}",
            allowed=f"sides of {2**halvings * spec.stem.stride} pixels and more, or fewer stages",
        )
        raise RecipeError("network", (problem,))
    with torch.device(device):
        network = ResNet(spec, image=image, classes=classes, dropout_seed=dropout_seed, kernels=kernels)
    if torch.device(device).type != "meta":
        initialise(network, seed=init_seed)
    return network


def units_per_stage(spec: networks.Network) -> tuple[int, ...]:
    """Return the number of units of each stage: as given, or as the depth says (6n+2 for v1, 9n+2 for v2)."""
    if spec.units is not None:
        return spec.units
    assert spec.depth is not None, "a spec has units or a depth"
    match spec:
        case networks.ResNetV1():
            return ((spec.depth - 2) // 6,) * 3
        case networks.ResNetV2():
            return ((spec.depth - 2) // 9,) * 3
        case _:
            assert_never(spec)


def _unit(spec: networks.Network, shape: ImageShape, *, stage: int, unit: int, stride: int, style: _Style) -> nn.Module:
    filters = spec.filters[stage]
    kernel = spec.shortcut_kernels[stage] if spec.shortcut_kernels is not None else 1
    match spec:
        case networks.ResNetV1():
            return _UnitV1(shape, filters=filters, stride=stride, shortcut_kernel=kernel, style=style)
        case networks.ResNetV2():
            return _UnitV2(
                shape,
                filters=filters,
                bottleneck=spec.bottleneck[stage],
                stride=stride,
                shortcut_kernel=kernel if unit == 0 else None,
                first=stage == 0 and unit == 0,
                style=style,
            )
        case _:
            assert_never(spec)
