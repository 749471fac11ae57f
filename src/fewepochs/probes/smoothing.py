"""From losses to a curve: exponentially weighted on both sides, with its noise, and the rule that ends a sweep.

With w the weight of a neighbour (`Sweep.weight`):

    past        p_k = sum_{j<=k} w^(k-j) l_j / sum_{j<=k} w^(k-j)              the usual mean, its bias corrected
    curve       s_k = sum_j w^|k-j| m_j / sum_j w^|k-j|                        the same to both sides
    capped      m_k = min(l_k, factor * min_{j<=k} p_j)
    noise       sigma = 1.4826 * median_k |l_(k-1) - 2 l_k + l_(k+1)| / sqrt(6)
    error       e_k = sigma * sqrt(sum_j w^(2|k-j|)) / sum_j w^|k-j|

The rule that ends a sweep sees only the past: p_k > factor * min_{j<=k} p_j. Everything else uses the curve. The past
lags behind by w / (1 - w) steps once it is long, and rates read from it are too high: with fastai's w = 0.98, half-way
through 100 steps over eight decades, by 21 steps, which is a factor of 47. The curve does not lag. What explodes at the
end is capped, or it would reach back.

The noise is a robust form of Gasser, Sroka and Jennen-Steinmetz (Biometrika 73, 1986): second differences do not see a
slope, the median does not see an explosion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from fewepochs.probes.sweeps import Curve, Sweep, Values


@dataclass(frozen=True)
class Smooth:
    """A seed's curve: `loss` and its standard `error`, float64 [n], at `rates`; `noise` of a single step's loss.

    `edge`: so many steps at either end see the curve from one side mainly. `exploded`: whether the sweep ended because
    the loss did, so that it does rise after what was measured, however low it ends.
    """

    rates: Values
    loss: Values
    error: Values
    noise: float
    edge: int
    exploded: bool


@dataclass(frozen=True)
class Band:
    """Median, lowest and highest loss over seeds at `rates`, float64 [n]; `highest` is infinite once a seed exploded.

    A single curve has no range over seeds; its band goes two standard errors to both sides.
    """

    rates: Values
    median: Values
    lowest: Values
    highest: Values


def smooth(curve: Curve, *, sweep: Sweep) -> Smooth:
    """Return the smoothed `curve`."""
    ones = np.ones_like(curve.losses)
    weights = _around(ones, weight=sweep.weight)
    squares = _around(ones, weight=sweep.weight**2)
    deviation = noise(curve.losses)
    return Smooth(
        rates=curve.rates,
        loss=_around(_capped(curve.losses, sweep=sweep), weight=sweep.weight) / weights,
        error=deviation * np.sqrt(squares) / weights,
        noise=deviation,
        edge=max(1, round(sweep.smoothing * sweep.steps)),
        exploded=curve.stop.kind in ("loss", "not finite"),
    )


def past(losses: Values, *, weight: float) -> Values:
    """Return the exponentially weighted mean of the past at each step: float64 [n]."""
    return _decaying(losses, weight=weight) / _decaying(np.ones_like(losses), weight=weight)


def stop_step(losses: Values, *, sweep: Sweep) -> int | None:
    """Return the first step (from 0) whose smoothed loss is above the factor times the lowest before, if there is one.

    `losses` may end in values that are not finite; the first of them counts as above.
    """
    finite = np.isfinite(losses)
    end = len(losses) if finite.all() else int(np.argmin(finite))
    mean = past(losses[:end], weight=sweep.weight)
    above = mean > sweep.factor * np.minimum.accumulate(mean)
    if above.any():
        return int(np.argmax(above))
    return None if end == len(losses) else end


def noise(losses: Values) -> float:
    """Return the standard deviation of a single loss around a curve straight over three steps; 0 below three."""
    if len(losses) < 3:
        return 0.0
    return 1.4826 * float(np.median(np.abs(np.diff(losses, n=2)))) / math.sqrt(6.0)


def band(curves: Sequence[Smooth]) -> Band:
    """Return the band of at least one curve.

    A seed whose loss exploded counts as higher than all others from there on; the band ends with its median.
    """
    if len(curves) == 1:
        (only,) = curves
        return Band(only.rates, only.loss, only.loss - 2.0 * only.error, only.loss + 2.0 * only.error)
    longest = max(curves, key=lambda curve: len(curve.loss))
    losses = np.full((len(curves), len(longest.loss)), np.inf)
    for row, curve in zip(losses, curves, strict=True):
        row[: len(curve.loss)] = curve.loss
    median = np.median(losses, axis=0)
    kept = np.isfinite(median)  # a beginning: no curve goes on after its end
    return Band(longest.rates[kept], median[kept], losses.min(axis=0)[kept], losses.max(axis=0)[kept])


def _capped(losses: Values, *, sweep: Sweep) -> Values:
    lowest = np.minimum.accumulate(past(losses, weight=sweep.weight))
    return np.minimum(losses, sweep.factor * lowest)


def _around(values: Values, *, weight: float) -> Values:
    ahead = _decaying(values[::-1], weight=weight)[::-1]
    return _decaying(values, weight=weight) + ahead - values


def _decaying(values: Values, *, weight: float) -> Values:
    return np.array(list(accumulate(values.tolist(), lambda total, value: weight * total + value)), dtype=np.float64)
