"""From seconds to figures: medians with their spread, ratios pair by pair, an epoch from its parts.

Every figure is the median of the rounds with the 10th and the 90th percentile. A ratio is taken within each round,
where both took their turn on the machine as it then was, and its median and percentiles over the rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

INTERVAL = "10th to 90th percentile of the rounds"
TRAINING_IMAGES, TEST_IMAGES = 50_000, 10_000
DIGITS = 4
"""Significant digits that are kept."""


@dataclass(frozen=True)
class Figure:
    """A median, its 10th and 90th percentile, and of how many rounds."""

    median: float
    p10: float
    p90: float
    n: int


def figure(values: Sequence[float]) -> Figure:
    """Return median and percentiles of `values`, at least one; percentiles are interpolated linearly."""
    low, middle, high = (float(f"{value:.{DIGITS}g}") for value in np.percentile(values, (10, 50, 90)))
    return Figure(middle, low, high, len(values))


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Return over[i] / under[i] of each round that both took part in: who fails takes no part in later ones."""
    return [a / b for a, b in zip(over, under, strict=False)]


def epoch_seconds(*, plan: float, step: float, batch: int, evaluation: float, evaluated: int) -> float:
    """Return the seconds of an epoch of CIFAR-10, scaled up from a share of it.

    plan + step * 50,000 / batch + evaluation * 10,000 / evaluated: `plan` seconds for the order and the draws of a
    whole epoch, `step` for a step, `evaluation` for `evaluated` images.
    """
    return plan + step * TRAINING_IMAGES / batch + evaluation * TEST_IMAGES / evaluated


def share_of_peak(seconds: Sequence[float], *, flops: int, peaks: Sequence[float]) -> list[float]:
    """Return FLOP/s over the machine's peak FLOP/s, round by round: `flops` FLOPs a step of so many `seconds`."""
    return [flops / second / peak for second, peak in zip(seconds, peaks, strict=False)]
