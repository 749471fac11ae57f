"""Where a typical run lies, from few runs and without a law of distribution: order statistics.

Of n runs in rising order, the k-th lowest and the k-th highest hold the median of all runs that there could be with
probability at least

    1 - 2 P(B <= k - 1),    B binomial with n trials and probability 1/2

because they miss it only if fewer than k of the n fall on one side of it (Thompson 1936; Conover 1999, section 3.2).
k is the largest that reaches the confidence asked for; below six runs even k = 1, lowest to highest, does not reach
95 percent, and is taken as it is: 15/16 for five runs.

A run whose number is not known may lie anywhere between its bounds. The interval's lower end takes every such run at
its lower bound, the upper end at its upper one: whatever the truth is, the interval is no narrower than it would be.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import scipy  # which loads `special` when it is first used: who reads a run may not need it

from fewepochs.records import Count, Finite, Fraction, Record


@dataclass(frozen=True)
class Bounds:
    """What is known of one run's number: not below `low`, not above `high`; None is no bound."""

    low: float
    high: float | None


def exactly(value: float) -> Bounds:
    """Return the bounds of a number that is known."""
    return Bounds(value, value)


class Interval(Record):
    """The median of `n` runs and where the median of all runs lies with probability `coverage` or more.

    `value` is None where runs that are not known decide it; `high` is None where there is no upper bound. `lowest` and
    `highest` are the range of the runs.
    """

    n: Count
    value: Finite | None
    low: Finite
    high: Finite | None
    lowest: Finite
    highest: Finite | None
    coverage: Fraction


def median(runs: Sequence[Bounds], *, confidence: float = 0.95) -> Interval:
    """Return the interval of the median, from one run or more.

    >>> found = median([exactly(x) for x in (82, 82, 83, 85, 97)])
    >>> (found.value, found.low, found.high, found.coverage)
    (83.0, 82.0, 97.0, 0.9375)
    """
    n = len(runs)
    k = rank(n, confidence=confidence)
    lows = sorted(run.low for run in runs)
    bounded = sorted(run.high for run in runs if run.high is not None)
    highs = [*bounded, *[None] * (n - len(bounded))]
    return Interval(
        n=n,
        value=_middle(lows) if _middle(lows) == _middle(highs) else None,
        low=lows[k - 1],
        high=highs[n - k],
        lowest=lows[0],
        highest=highs[-1],
        coverage=coverage(n, k),
    )


def _middle(ordered: Sequence[float | None]) -> float | None:
    """Return the median of numbers in rising order, those without a bound last; None where it has no bound."""
    first, second = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return None if first is None or second is None else statistics.fmean((first, second))


def rank(n: int, *, confidence: float) -> int:
    """Return k: the interval goes from the k-th lowest to the k-th highest of `n` runs.

    >>> [rank(n, confidence=0.95) for n in (1, 5, 6, 8, 9, 12, 20)]
    [1, 1, 1, 1, 2, 3, 6]
    """
    return max((k for k in range(1, n // 2 + 1) if coverage(n, k) >= confidence), default=1)


def coverage(n: int, k: int) -> float:
    """Return the least probability with which the k-th lowest and k-th highest of `n` runs hold the median.

    >>> [coverage(n, 1) for n in (1, 3, 5, 6)]
    [0.0, 0.75, 0.9375, 0.96875]
    """
    return max(0.0, 1 - 2 * float(scipy.special.bdtr(k - 1, n, 0.5)))
