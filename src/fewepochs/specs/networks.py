"""Networks: the residual networks of He et al., as published and freely varied."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fewepochs.specs.base import Ints, PositiveInt, Spec, Unit

Activation = Literal["relu", "elu", "gelu", "silu"]


class Stem(Spec):
    """The first convolution: `filters` output channels, a `kernel` x `kernel` window, `stride` pixels a step."""

    filters: PositiveInt = 16
    kernel: PositiveInt = 3
    stride: PositiveInt = 1


class _ResNet(Spec):
    """What both generations share; `depth` and `units` are two ways to say the same, exactly one is given.

    `bn_momentum`: the moving statistics keep that share of themselves at each step, as Keras counts (torch's 0.01 is
    0.99 here).
    """

    kind: str  # first, whoever adds to it
    depth: PositiveInt | None = None
    units: Ints | None = None
    stem: Stem = Stem()
    shortcut_kernels: Ints | None = None
    activation: Activation = "relu"
    conv_bias: bool = True
    dropout: Unit = 0.0
    bn_momentum: Unit = 0.99

    def _check(self, *, step: int, stages: int, generation: str) -> None:
        if (self.depth is None) == (self.units is None):
            raise ValueError("give exactly one of depth and units")
        if self.depth is not None and ((self.depth - 2) % step or self.depth < step + 2):
            raise ValueError(f"the depth of a {generation} is {step}n+2: {step + 2}, {2 * step + 2}, ...")
        if self.depth is not None and stages != 3:
            raise ValueError("a depth speaks of three stages; give units for another number")
        for name, value in (("units", self.units), ("shortcut_kernels", self.shortcut_kernels)):
            if value is not None and len(value) != stages:
                raise ValueError(f"{name} needs {stages} numbers, one a stage, as filters has")


class ResNetV1(_ResNet):
    """ResNet v1 (He et al. 2015, arXiv:1512.03385): two 3x3 convolutions a unit, activation after the addition.

    Depth 6n+2, n units in each of three stages. `filters` = channels of each stage. A 1x1 convolution
    (or `shortcut_kernels`, one a stage) stands in the shortcut where the shape changes.
    """

    kind: Literal["resnet-v1"] = "resnet-v1"
    filters: Ints = (16, 32, 64)

    @model_validator(mode="after")
    def _shape(self) -> Self:
        self._check(step=6, stages=len(self.filters), generation="ResNet v1")
        return self


class ResNetV2(_ResNet):
    """ResNet v2 (He et al. 2016, arXiv:1603.05027): pre-activation bottlenecks, as in Atienza's Keras script.

    Depth 9n+2, n units in each of three stages. `filters` = channels leaving each stage, `bottleneck` = channels
    inside its units. The first unit of a stage has a convolution in its shortcut (`shortcut_kernels`, one a
    stage, 1 as published).
    """

    kind: Literal["resnet-v2"] = "resnet-v2"
    filters: Ints = (64, 128, 256)
    bottleneck: Ints = (16, 64, 128)

    @model_validator(mode="after")
    def _shape(self) -> Self:
        self._check(step=9, stages=len(self.filters), generation="ResNet v2")
        if len(self.bottleneck) != len(self.filters):
            raise ValueError(f"bottleneck needs {len(self.filters)} numbers, one a stage, as filters has")
        return self


Network = Annotated[ResNetV1 | ResNetV2, Field(discriminator="kind")]
