"""The form in which `fewepochs noise` prints what it found: the points of the laws, their lines, and the laws."""

from __future__ import annotations

from typing import Literal

from fewepochs.records import Finite
from fewepochs.report import probed
from fewepochs.stats import noise_law


class Point(probed.Row):
    """A phase of constant rate of one run: `x` is g, or the rate, and `noise` that of val_loss."""

    arm: probed.Text
    run: probed.Text
    first: probed.Epoch
    last: probed.Epoch
    over: Literal["g", "rate"]
    x: probed.Positive
    noise: probed.Positive


class End(probed.Row):
    """An end of an arm's line."""

    arm: probed.Text
    x: probed.Positive
    noise: probed.Positive


class Law(probed.Row):
    """By which powers the noise of a family's curve goes with rate and batch size."""

    optimizer: probed.Text
    noise_of: probed.Text
    runs: int
    phases: int
    rate_value: Finite | None
    rate_low: Finite | None
    rate_high: Finite | None
    rate_reason: probed.Text | None
    batch_value: Finite | None
    batch_low: Finite | None
    batch_high: Finite | None
    batch_reason: probed.Text | None

    @property
    def rate(self) -> noise_law.Exponent:
        """The power of the rate."""
        return noise_law.Exponent(
            value=self.rate_value, low=self.rate_low, high=self.rate_high, reason=self.rate_reason
        )

    @property
    def batch(self) -> noise_law.Exponent:
        """The power of the batch size."""
        return noise_law.Exponent(
            value=self.batch_value, low=self.batch_low, high=self.batch_high, reason=self.batch_reason
        )


class LengthLaw(probed.Row):
    """By which power of the measured length of a step's random part the noise of a family's curve goes."""

    optimizer: probed.Text
    noise_of: probed.Text
    runs: int
    phases: int
    length_value: Finite | None
    length_low: Finite | None
    length_high: Finite | None
    length_reason: probed.Text | None

    @property
    def length(self) -> noise_law.Exponent:
        """The power of the length."""
        return noise_law.Exponent(
            value=self.length_value, low=self.length_low, high=self.length_high, reason=self.length_reason
        )


Tables = tuple[probed.Table[probed.Row], probed.Table[Law]]
WithLengths = tuple[probed.Table[probed.Row], probed.Table[Law], probed.Table[LengthLaw]]


class Noise(probed.Probed):
    """What `fewepochs noise` found in `runs`; there may be none, and no points."""

    probe: Literal["noise"]
    runs: tuple[probed.Run, ...]
    points: tuple[Point, ...]
    lines: tuple[End, ...]
    tables: Tables | WithLengths

    @property
    def laws(self) -> tuple[Law, ...]:
        """The law of each family and curve."""
        return self.tables[1].data

    @property
    def length_laws(self) -> tuple[LengthLaw, ...]:
        """The law of each family and curve against measured lengths, if there are any."""
        return self.tables[2].data if len(self.tables) == 3 else ()
