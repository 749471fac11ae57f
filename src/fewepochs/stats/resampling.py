"""What might have come out with other seeds: resamples of an arm's runs, and intervals from them.

A resample draws n of the n runs with replacement (Efron 1979; with censored runs 1981). Its draws are named by the
seeds of the runs: arms with the same seeds are resampled alike, seed by seed, so that a ratio between them is a
paired one; arms with other seeds are resampled independently. The same runs, in any order, give the same bits.

The percentile interval is too narrow for few runs, because a resample of n has the spread of n - 1 degrees of freedom.
The expanded percentile interval takes the percentiles that would make it a t interval if the statistic were a
mean (Hesterberg 2015, "What teachers should know about the bootstrap"):

    q = Phi(-sqrt(n / (n - 1)) t_{n-1}(1 - alpha/2))        0.0086 for n = 10 and 95 percent, 0.001 for n = 5
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy  # which loads `special` when it is first used: who reads a run may not need it

from fewepochs import seeds
from fewepochs.stats import survival

DRAWS = 10_000
"""So many resamples: ten of them lie beyond the percentile that n = 5 asks for."""

BLOCK_NUMBERS = 1 << 20
"""Resamples are drawn in blocks of about so many numbers, so that memory stays small."""

ALIKE = "the runs are alike: no spread to resample"
SINGLE = "one run has no spread"


@functools.lru_cache(maxsize=4)
def blocks(n: int, name: tuple[int | str, ...], draws: int = DRAWS) -> tuple[npt.NDArray[np.uint16], ...]:
    """Return, block by block, how often each of `n` runs stands in each resample: integers [b, n], rows sum to n."""
    rows = max(1, BLOCK_NUMBERS // max(n, 1))
    found = []
    for block, start in enumerate(range(0, draws, rows)):
        size = min(rows, draws - start)
        chosen = seeds.uniform(seeds.derive(0, "bootstrap", *name, block), size * n) * n
        places = np.repeat(np.arange(size), n) * n + chosen.astype(np.int64)
        found.append(np.bincount(places, minlength=size * n).reshape(size, n).astype(np.uint16))
    return tuple(found)


def survival_replicates(
    sample: survival.Sample, *, name: Sequence[int | str], horizons: Sequence[float], draws: int = DRAWS
) -> tuple[survival.Floats, dict[float, survival.Floats]]:
    """Return the medians [B] of `draws` resamples, infinite where there is none, and the restricted means [B]."""
    counts = blocks(sample.n, tuple(name), draws)
    found = [survival.replicates(sample, block, horizons=horizons) for block in counts]
    means = np.concatenate([part for _, part in found], axis=1)
    return np.concatenate([part for part, _ in found]), dict(zip(horizons, means, strict=True))


def mean_replicates(values: Sequence[float], *, name: Sequence[int | str], draws: int = DRAWS) -> survival.Floats:
    """Return the means [B] of `draws` resamples of `values`."""
    n = len(values)
    return np.concatenate([counts @ np.array(values) / n for counts in blocks(n, tuple(name), draws)])


def level(n: int, *, confidence: float) -> float:
    """Return the share of resamples to be left out at either end, for `n` runs (2 or more).

    >>> round(level(10, confidence=0.95), 4)
    0.0086
    """
    quantile = float(scipy.special.stdtrit(n - 1, (1 + confidence) / 2))
    return float(scipy.special.ndtr(-math.sqrt(n / (n - 1)) * quantile))


def interval(
    replicates: survival.Floats, *, n: int, value: float, confidence: float
) -> tuple[float | None, float | None, str | None]:
    """Return (low, high, reason): the expanded percentile interval around `value` of `replicates` [B] from `n` runs.

    An end beyond every number is None: the interval is open there. Where both are None, the reason says why there is no
    interval. Ends are values of resamples, never between two; an interval always holds `value`.
    """
    if n < 2:
        return None, None, SINGLE
    ordered = np.sort(replicates)
    if ordered[0] == ordered[-1]:
        return None, None, ALIKE
    out = int(level(n, confidence=confidence) * len(ordered))
    low, high = min(float(ordered[out]), value), max(float(ordered[-1 - out]), value)
    return low, (high if math.isfinite(high) else None), None


def ratio_interval(
    above: survival.Floats, below: survival.Floats, *, n: int, value: float, confidence: float
) -> tuple[float | None, float | None, str | None]:
    """Return (low, high, reason) for the ratio of two arms' replicates [B], infinite where a resample has none.

    `n` is that of the arm with fewer runs. Where both are infinite the ratio could be anything: such a resample
    counts as 0 for the lower end and as infinite for the upper one. An end at 0 or infinity is None.
    """
    if n < 2:
        return None, None, SINGLE
    if not (below > 0).all():
        return None, None, "a resample of the second needs no time at all"
    unknown = np.isinf(above) & np.isinf(below)
    with np.errstate(invalid="ignore"):
        ratios = np.where(unknown, 0.0, above / below)
    low, _, reason = interval(ratios, n=n, value=value, confidence=confidence)
    _, high, _ = interval(np.where(unknown, np.inf, ratios), n=n, value=value, confidence=confidence)
    low = low or None
    if low is None and high is None and reason is None:
        reason = "too many runs are censored to close the interval at either end"
    return low, high, reason
