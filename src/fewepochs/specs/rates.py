"""Schedules: how the learning rate, or whatever else follows one, moves over the budget.

A schedule is a factor over time. Positions are epochs done (`unit = "epochs"`: pinned, the budget does not move
them) or fractions of the budget (`unit = "budget"`). `every = "epoch"` keeps the epoch's first value for the whole
epoch, as a Keras callback does; "step" moves with each step. Values: `fewepochs.schedules`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self, assert_never

from pydantic import Field, Strict, model_validator

from fewepochs.specs.base import Fraction, NonNegative, NonNegativeInt, Positive, Spec, Unit

TimeUnit = Literal["epochs", "budget"]
Every = Literal["step", "epoch"]
Factor = Annotated[float, Field(ge=0, le=1e9)]
"""Bounded, so that no schedule leaves the finite numbers, and no tensor is multiplied by what float32 has not."""
PositiveFactor = Annotated[float, Field(gt=0, le=1e9)]
Factors = Annotated[tuple[Factor, ...], Strict(False), Field(min_length=1, max_length=4096)]
Positions = Annotated[tuple[Positive, ...], Strict(False), Field(max_length=4095)]
Point = Annotated[tuple[NonNegative, Factor], Strict(False)]
Range = Annotated[tuple[Unit, Unit], Strict(False)]


class Budget(Spec):
    """The number of epochs that is trained, and that a schedule with `unit = "budget"` is stretched to."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)]


class Constant(Spec):
    """The factor is 1: the rate stays what the optimizer says."""

    kind: Literal["constant"] = "constant"


class PiecewiseConstant(Spec):
    """The factor is factors[i] between boundaries[i-1] and boundaries[i].

    Boundary 81 means that the 82nd epoch is the first with the next factor. With `every = "epoch"` a boundary inside an
    epoch holds from the next one on.
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
    """The factor is the straight line between `points`, each [position, factor].

    Before the first and after the last point it stays.
    """

    kind: Literal["piecewise-linear"] = "piecewise-linear"
    unit: TimeUnit = "budget"
    every: Every = "step"
    points: Annotated[tuple[Point, ...], Strict(False), Field(min_length=2, max_length=4096)]

    @model_validator(mode="after")
    def _order(self) -> Self:
        _check_positions(tuple(position for position, _ in self.points), unit=self.unit, name="positions")
        return self


class _Fall(Spec):
    """From 1 at the begin to `end` at the position `until`; there it stays."""

    kind: str  # first, whoever adds to it
    unit: TimeUnit = "budget"
    every: Every = "step"
    until: Positive = 1.0
    end: Factor = 0.0

    @model_validator(mode="after")
    def _inside(self) -> Self:
        _check_positions((self.until,), unit=self.unit, name="until")
        return self


class Polynomial(_Fall):
    """end + (1 - end) * (1 - p)^power, p from 0 to 1; power 1 is a straight line."""

    kind: Literal["polynomial"] = "polynomial"
    power: Positive = 1.0


class Exponential(_Fall):
    """end^p, p from 0 to 1: the same ratio every step."""

    kind: Literal["exponential"] = "exponential"
    end: PositiveFactor = 0.01


class Cosine(_Fall):
    """A falling cosine, p from 0 to 1.

    "half" wave: end + (1 - end) * (1 + cos(pi p)) / 2 (Loshchilov & Hutter 2016, arXiv:1608.03983); "quarter" wave:
    end + (1 - end) * cos(pi p / 2), steepest at the end.
    """

    kind: Literal["cosine"] = "cosine"
    wave: Literal["half", "quarter"] = "half"


class CosineRestarts(Spec):
    """Half waves of a cosine, one after the other (SGDR, arXiv:1608.03983).

    The first is `first` long, each next one `stretch` times as long and beginning `shrink` times as high; all fall to
    `end`.
    """

    kind: Literal["cosine-restarts"] = "cosine-restarts"
    unit: TimeUnit = "budget"
    every: Every = "step"
    first: Annotated[float, Field(ge=1e-6)]
    stretch: Annotated[float, Field(ge=1, le=1e6)] = 1.0
    shrink: Annotated[float, Field(gt=0, le=1)] = 1.0
    end: Factor = 0.0

    @model_validator(mode="after")
    def _inside(self) -> Self:
        _check_positions((self.first,), unit=self.unit, name="first")
        return self


class OneCycle(Spec):
    """Smith's 1cycle (arXiv:1708.07120): up from `start` to 1 in the share `rise` of the steps, then down to `end`.

    The optimizer's lr is the highest rate. `three_phase`: down to `start` as symmetrically as up, then to `end`.
    `momentum` = [low, high]: the momentum goes the other way, from high to low and back; without it, it stays.
    """

    kind: Literal["1cycle"] = "1cycle"
    rise: Annotated[float, Field(gt=0, lt=1)] = 0.3
    start: Factor = 0.04
    end: Factor = 4e-6
    anneal: Literal["cosine", "linear"] = "cosine"
    three_phase: bool = False
    momentum: Range | None = None

    @model_validator(mode="after")
    def _phases(self) -> Self:
        if self.three_phase and self.rise >= 0.5:
            raise ValueError("three phases need rise below 0.5: the second is as long as the first")
        if self.momentum is not None and self.momentum[0] > self.momentum[1]:
            raise ValueError("momentum is [low, high]")
        return self


class Trapezoid(Spec):
    """In a straight line from `start` up to 1 until `rise`, level, and from `fall` on down to `end` with the budget."""

    kind: Literal["trapezoid"] = "trapezoid"
    every: Every = "step"
    rise: Fraction = 0.1
    fall: Fraction = 0.7
    start: Factor = 0.0
    end: Factor = 0.0

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.fall < self.rise:
            raise ValueError("fall must not come before rise")
        return self


class WarmUp(Spec):
    """Up in a straight line from `start` times the first value of `then` for the time `length`; after it, `then`.

    `then` is stretched to what is left of the budget; where it counts epochs, it counts them from its own begin.
    """

    kind: Literal["warm-up"] = "warm-up"
    unit: TimeUnit = "budget"
    length: Positive
    start: Factor = 0.0
    then: Course = Constant()

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.unit == "budget" and self.length >= 1:
            raise ValueError("length is a fraction of the budget here, below 1; for epochs say unit = 'epochs'")
        return self


Course = Annotated[
    Constant
    | PiecewiseConstant
    | PiecewiseLinear
    | Polynomial
    | Exponential
    | Cosine
    | CosineRestarts
    | OneCycle
    | Trapezoid,
    Field(discriminator="kind"),
]
"""A schedule that can follow a warm-up."""

Schedule = Annotated[
    Constant
    | PiecewiseConstant
    | PiecewiseLinear
    | Polynomial
    | Exponential
    | Cosine
    | CosineRestarts
    | OneCycle
    | Trapezoid
    | WarmUp,
    Field(discriminator="kind"),
]

BatchSchedule = Annotated[Constant | PiecewiseConstant, Field(discriminator="kind")]
"""What the batch size may follow: factors on it, changed between epochs."""


def highest(schedule: Schedule) -> float:
    """Return what no factor of `schedule` exceeds.

    >>> highest(WarmUp(length=0.1, then=PiecewiseConstant(boundaries=(0.5,), factors=(1.0, 2.0))))
    2.0
    """
    match schedule:
        case Constant():
            return 1.0
        case PiecewiseConstant():
            return max(schedule.factors)
        case PiecewiseLinear():
            return max(factor for _, factor in schedule.points)
        case Polynomial() | Exponential() | Cosine() | CosineRestarts():
            return max(1.0, schedule.end)
        case OneCycle() | Trapezoid():
            return max(1.0, schedule.start, schedule.end)
        case WarmUp():
            return highest(schedule.then) * max(1.0, schedule.start)
        case _:
            assert_never(schedule)


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


def _check_positions(positions: tuple[float, ...], *, unit: TimeUnit, name: str) -> None:
    if any(later <= earlier for earlier, later in pairwise(positions)):
        raise ValueError(f"{name} must rise")
    if unit == "budget" and positions and positions[-1] > 1:
        raise ValueError(f"{name} are fractions of the budget here, at most 1; for epochs say unit = 'epochs'")
