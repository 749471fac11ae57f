"""The parts of a recipe, as frozen, strict values.

Each part is a model that knows its own ranges; a choice between parts is a union told apart by `kind`. Nothing
here computes anything: builders (nets, optim, data, schedules) dispatch on these types with `match`. Torch is not
imported.

Units: rates and strengths are plain floats; `shift` is a fraction of the image's side; positions of a
schedule are epochs done or fractions of the budget, as the schedule's `unit` says.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Unit = Annotated[float, Field(ge=0, lt=1)]
# Whole numbers are those of TOML: 64 bits.
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
PositiveInt = Annotated[int, Field(ge=1, le=2**63 - 1)]
NonNegativeInt = Annotated[int, Field(ge=0, le=2**63 - 1)]
# TOML has arrays, not tuples: the container may be a list, its items stay strict.
Ints = Annotated[tuple[PositiveInt, ...], Strict(False), Field(min_length=1, max_length=64)]
Factors = Annotated[tuple[NonNegative, ...], Strict(False), Field(min_length=1, max_length=4096)]
Positions = Annotated[tuple[Positive, ...], Strict(False), Field(max_length=4095)]
Point = Annotated[tuple[NonNegative, NonNegative], Strict(False)]

Precision = Literal["float32", "bfloat16", "float16", "float64"]
Activation = Literal["relu", "elu", "gelu", "silu"]
TimeUnit = Literal["epochs", "budget"]
Every = Literal["step", "epoch"]


class Spec(BaseModel):
    """A part of a recipe: frozen; unknown keys, other types, NaN and infinities are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


# --- data -------------------------------------------------------------------------------------------------------


class HeldOut(Spec):
    """Validate on `images` images taken out of the training set; the same ones for every run.

    The choice depends on `split_seed` and the size of the training set alone, never on the run's seed.
    """

    kind: Literal["held-out"] = "held-out"
    images: PositiveInt = 5000
    split_seed: Seed = 0


class TestImages(Spec):
    """Validate on the data set's test images, as the published studies do."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    kind: Literal["test"] = "test"


Validation = Annotated[HeldOut | TestImages, Field(discriminator="kind")]


class DataSpec(Spec):
    """Which images, and what is done to all of them alike.

    `normalise`: "mean-image" = pixel/white minus the mean training image (a [H, W, C] array; Atienza);
    "per-channel" = (pixel/white - mean) / std with one mean and std a channel; "none" = pixel/white.
    Statistics come from the images trained on, never from validation images. `white` is the
    largest pixel value the data set can have (255; 16 for digits).
    """

    kind: Literal["cifar10", "cifar100", "digits", "npz"]
    validation: Validation = TestImages()
    normalise: Literal["mean-image", "per-channel", "none"] = "mean-image"


class NoAugmentation(Spec):
    """Images go in as they are."""

    kind: Literal["none"] = "none"


class ShiftFlip(Spec):
    """A random shift and a horizontal flip of each image, as Keras's ImageDataGenerator.

    Shifts are real-valued, uniform in [-shift*side, shift*side] on either axis, bilinear, the edge pixel
    repeated outside; `flip` mirrors left and right with probability 1/2.
    """

    kind: Literal["shift-flip"] = "shift-flip"
    shift: Unit = 0.1
    flip: bool = True


Augmentation = Annotated[NoAugmentation | ShiftFlip, Field(discriminator="kind")]


# --- network ----------------------------------------------------------------------------------------------------


class Stem(Spec):
    """The first convolution: `filters` output channels, a `kernel` x `kernel` window, `stride` pixels a step."""

    filters: PositiveInt = 16
    kernel: PositiveInt = 3
    stride: PositiveInt = 1


class _ResNet(Spec):
    """What both generations share; `depth` and `units` are two ways to say the same, exactly one is given."""

    depth: PositiveInt | None = None
    units: Ints | None = None
    stem: Stem = Stem()
    shortcut_kernels: Ints | None = None
    activation: Activation = "relu"
    conv_bias: bool = True
    dropout: Unit = 0.0

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


# --- optimizer and regularisation ---------------------------------------------------------------------------------


class Adam(Spec):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980) with Keras's update rule: epsilon beside sqrt(v)."""

    kind: Literal["adam"] = "adam"
    lr: Positive = 1e-3
    beta_1: Unit = 0.9
    beta_2: Unit = 0.999
    epsilon: Positive = 1e-7


Optimizer = Adam


class L2(Spec):
    """Adds strength * sum(w^2) over all convolution kernels to the loss (gradient 2*strength*w), as Keras does."""

    kind: Literal["l2"] = "l2"
    strength: NonNegative = 1e-4


class NoRegularisation(Spec):
    """The loss is the cross-entropy alone."""

    kind: Literal["none"] = "none"


Regularisation = Annotated[L2 | NoRegularisation, Field(discriminator="kind")]


# --- schedule ---------------------------------------------------------------------------------------------------


class Constant(Spec):
    """The learning rate stays what the optimizer says."""

    kind: Literal["constant"] = "constant"


class PiecewiseConstant(Spec):
    """The rate is lr * factors[i] between boundaries[i-1] and boundaries[i].

    `boundaries` count epochs done (`unit = "epochs"`: pinned, the budget does not move them) or fractions of
    the budget (`unit = "budget"`). Boundary 81 means that the 82nd epoch is the first with the next factor.
    `every = "epoch"` changes the rate between epochs only, as a Keras callback does: a boundary inside an epoch holds
    from the next one on; "step" changes it there.
    """

    kind: Literal["piecewise-constant"] = "piecewise-constant"
    unit: TimeUnit = "budget"
    every: Every = "epoch"
    boundaries: Positions = ()
    factors: Factors = (1.0,)

    @model_validator(mode="after")
    def _order(self) -> Self:
        if len(self.factors) != len(self.boundaries) + 1:
            raise ValueError(f"{len(self.boundaries)} boundaries need {len(self.boundaries) + 1} factors")
        _check_positions(self.boundaries, unit=self.unit, name="boundaries")
        return self


class PiecewiseLinear(Spec):
    """The rate is lr times the straight line between `points`, each [position, factor].

    Positions are epochs done or fractions of the budget, as `unit` says; before the first and after the last
    point the factor stays. `every = "epoch"` keeps the epoch's first value for the whole epoch, as a Keras
    callback does; "step" moves with each step.
    """

    kind: Literal["piecewise-linear"] = "piecewise-linear"
    unit: TimeUnit = "budget"
    every: Every = "step"
    points: Annotated[tuple[Point, ...], Strict(False), Field(min_length=2, max_length=4096)]

    @model_validator(mode="after")
    def _order(self) -> Self:
        _check_positions(tuple(position for position, _ in self.points), unit=self.unit, name="positions")
        return self


def _check_positions(positions: tuple[float, ...], *, unit: TimeUnit, name: str) -> None:
    if any(later <= earlier for earlier, later in pairwise(positions)):
        raise ValueError(f"{name} must rise")
    if unit == "budget" and positions and positions[-1] > 1:
        raise ValueError(f"{name} are fractions of the budget here, at most 1; for epochs say unit = 'epochs'")


Schedule = Annotated[Constant | PiecewiseConstant | PiecewiseLinear, Field(discriminator="kind")]


class Plateau(Spec):
    """ReduceLROnPlateau on val_loss: times `factor` after `patience` epochs without an improvement of `min_delta`.

    Two readings. "overwritten": the schedule sets the rate anew at every epoch's begin, so that the
    reduction shows in the logged rate and nowhere else (what Atienza's script does). "effective": the reductions
    stay, and multiply the schedule.
    """

    reading: Literal["overwritten", "effective"] = "effective"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: NonNegativeInt = 10
    min_delta: NonNegative = 1e-4
    cooldown: NonNegativeInt = 0
    min_lr: NonNegative = 0.0


# --- budget and seeds -------------------------------------------------------------------------------------------


class Budget(Spec):
    """The number of epochs that is trained, and that a schedule with `unit = "budget"` is stretched to."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)]


class StreamSeeds(Spec):
    """Seeds of single streams; a stream without one takes the recipe's seed.

    Two recipes with the same seed of a stream share its draws: initial weights, the order of every
    epoch, augmentation, dropout masks.
    """

    init: Seed | None = None
    order: Seed | None = None
    augmentation: Seed | None = None
    dropout: Seed | None = None
