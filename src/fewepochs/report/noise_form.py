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


class Noise(probed.Probed):
    """What `fewepochs noise` found in `runs`; there may be none, and no points."""

    probe: Literal["noise"]
    runs: tuple[probed.Run, ...]
    points: tuple[Point, ...]
    lines: tuple[End, ...]
    tables: tuple[probed.Table[probed.Row], probed.Table[Law]]

    @property
    def laws(self) -> tuple[Law, ...]:
        """The law of each family and curve."""
        return self.tables[1].data
