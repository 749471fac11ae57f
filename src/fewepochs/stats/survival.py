"""How long until a target is reached, where not every run reaches it: Kaplan-Meier, its median, its restricted mean.

    S(t)    = product over t_i <= t of (1 - d_i / n_i)       the share of runs that need more than t
    median  = the smallest t with S(t) <= 1/2                the time by which half of the runs are there
    RMST(h) = integral of S from 0 to h                      the mean of min(time to the target, h)

d_i of the n_i runs still on their way reach the target at t_i. A run that ended before the target is censored: it
counts among the n_i up to where it ended. Where runs end and others arrive at the same time, those arrive first.
Times are epochs, seconds or joules; nothing here knows which.

Kaplan and Meier 1958, "Nonparametric estimation from incomplete observations"; Greenwood 1926 for the variance; Royston
and Parmar 2013, "Restricted mean survival time", for the mean up to a horizon.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy  # which loads `special` when it is first used: who reads a run may not need it

from fewepochs.records import Count, Finite, Fraction, Record

Floats = npt.NDArray[np.float64]

HALF = 0.5 + 1e-9
"""A product of fractions that is one half may be off by a rounding."""


@dataclass(frozen=True)
class Sample:
    """One arm's times to a target: run i reached it at `times[i]`, or was censored there. Finite, 0 or more."""

    times: tuple[float, ...]
    reached: tuple[bool, ...]

    def __post_init__(self) -> None:
        """Refuse what is no time."""
        if len(self.times) != len(self.reached):
            raise ValueError(f"{len(self.times)} times, but {len(self.reached)} outcomes")
        if not all(math.isfinite(time) and time >= 0 for time in self.times):
            raise ValueError("a time must be finite and not negative")

    @property
    def n(self) -> int:
        """The number of runs."""
        return len(self.times)

    def until(self, horizon: float) -> Sample:
        """Return the sample as it would be, had every run ended at `horizon` at the latest."""
        reached = tuple(r and t <= horizon for t, r in zip(self.times, self.reached, strict=True))
        return Sample(tuple(min(time, horizon) for time in self.times), reached)


class Step(Record):
    """The survival curve after `time`: of `at_risk` runs, `reached` arrived there and `censored` ended.

    `survival` is S; `variance` Greenwood's, S^2 times the sum of d / (n (n - d)). `low` and `high` are pointwise
    limits of S on the scale log(-log S), None where S is 0 or 1 and that scale ends.
    """

    time: Finite
    at_risk: Count
    reached: Count
    censored: Count
    survival: Fraction
    variance: Finite
    low: Fraction | None
    high: Fraction | None


def curve(sample: Sample, *, confidence: float = 0.95) -> tuple[Step, ...]:
    """Return the survival curve, a step for each time at which a run arrived or ended, in rising order.

    >>> [step.survival for step in curve(Sample((3.0, 5.0), (True, False)))]
    [0.5, 0.5]
    """
    steps = []
    survival, hazard = 1.0, 0.0
    at_risk = sample.n
    for time in sorted(set(sample.times)):
        here = [r for t, r in zip(sample.times, sample.reached, strict=True) if t == time]
        arrived = sum(here)
        survival *= 1 - arrived / at_risk
        hazard += arrived / (at_risk * (at_risk - arrived)) if at_risk > arrived else 0.0
        low, high = _limits(survival, hazard, confidence=confidence)
        steps.append(
            Step(
                time=time,
                at_risk=at_risk,
                reached=arrived,
                censored=len(here) - arrived,
                survival=survival,
                variance=survival**2 * hazard,
                low=low,
                high=high,
            )
        )
        at_risk -= len(here)
    return tuple(steps)


def _limits(survival: float, hazard: float, *, confidence: float) -> tuple[float | None, float | None]:
    """Return S^exp(-+ z sqrt(hazard) / log S), the limits of Kalbfleisch and Prentice."""
    if not 0 < survival < 1:
        return None, None
    width = -normal_quantile((1 + confidence) / 2) * math.sqrt(hazard) / math.log(survival)
    return survival ** math.exp(width), survival ** math.exp(-width)


def normal_quantile(p: float) -> float:
    """Return the z below which a standard normal variable falls with probability `p`, 0 < p < 1."""
    return float(scipy.special.ndtri(p))


# --- one number of a curve ----------------------------------------------------------------------------------------


def median(sample: Sample) -> float | None:
    """Return the smallest time by which half of the runs are estimated to be there; None where the curve stays above.

    Where S is exactly one half over a stretch, this is the stretch's beginning (as in lifelines; R's survfit gives
    its middle): 10 for two runs that need 10 and 20.

    >>> median(Sample((10.0, 20.0, 30.0), (True, True, False)))
    20.0
    """
    return next((step.time for step in curve(sample) if step.survival <= HALF), None)


def follow_up(sample: Sample) -> float | None:
    """Return up to where the curve is known: None means without end, because it has come down to 0; 0 without runs."""
    if not sample.n:
        return 0.0
    last = max(sample.times)
    done = any(t == last and r for t, r in zip(sample.times, sample.reached, strict=True))
    all_done = done and all(r for t, r in zip(sample.times, sample.reached, strict=True) if t == last)
    return None if all_done else last


def restricted_mean(sample: Sample, *, horizon: float) -> float | None:
    """Return the mean of min(time, `horizon`), or None where the curve is not known up to the horizon.

    >>> restricted_mean(Sample((10.0, 50.0), (True, False)), horizon=50)
    30.0
    """
    if not _known(sample, horizon=horizon):
        return None
    ends, survival = _stretches(sample, horizon=horizon)
    return float(np.diff(ends) @ survival)


def restricted_variance(sample: Sample, *, horizon: float) -> float | None:
    """Return the variance of the estimated restricted mean, Greenwood's way; None where that is not known.

    The sum over t_i < h of A_i^2 d_i / (n_i (n_i - d_i)), A_i the integral of S from t_i to h. Without censoring it is
    the variance of the restricted times (divided by n) over n.
    """
    if not _known(sample, horizon=horizon):
        return None
    total = 0.0
    ends, survival = _stretches(sample, horizon=horizon)
    for step in curve(sample):
        if step.time < horizon and step.at_risk > step.reached:
            lengths = np.clip(ends[1:], step.time, None) - np.clip(ends[:-1], step.time, None)
            area = float(lengths @ survival)
            total += area**2 * step.reached / (step.at_risk * (step.at_risk - step.reached))
    return total


def _known(sample: Sample, *, horizon: float) -> bool:
    known = follow_up(sample)
    return sample.n > 0 and (known is None or horizon <= known)


def _stretches(sample: Sample, *, horizon: float) -> tuple[Floats, Floats]:
    """Return the ends of the stretches on which S is constant, from 0 to `horizon`, and S on each."""
    steps = [step for step in curve(sample) if step.time < horizon]
    ends = np.array([0.0, *(step.time for step in steps), horizon])
    return ends, np.array([1.0, *(step.survival for step in steps)])


# --- the same numbers for many resamples at once ------------------------------------------------------------------


def replicates(
    sample: Sample, counts_BN: npt.NDArray[np.integer], *, horizons: Sequence[float]
) -> tuple[Floats, Floats]:
    """Return median [B] and restricted means [H, B] of resamples: in resample b, run i stands `counts_BN[b, i]` times.

    A median that a resample does not have is infinite: the value is for comparisons inside this room, never a result.
    Beyond its last run a resample's curve goes on level (Gill 1980), so that each has a restricted mean.
    """
    times, reached = np.array(sample.times), np.array(sample.reached, dtype=np.bool_)
    steps = np.unique(times[reached])  # the curve falls nowhere else
    counts = counts_BN.astype(np.float64)
    at_risk = counts @ (times[:, None] >= steps).astype(np.float64)
    arrived = counts @ (reached[:, None] & (times[:, None] == steps)).astype(np.float64)
    survival = np.cumprod(1 - arrived / np.maximum(at_risk, 1.0), axis=1)
    below = np.concatenate((survival <= HALF, np.ones((len(counts), 1), dtype=np.bool_)), axis=1)
    medians = np.append(steps, np.inf)[np.argmax(below, axis=1)]
    ends = np.concatenate(([0.0], steps, [np.inf]))
    lengths = [np.diff(np.minimum(ends, horizon)) for horizon in horizons]
    means = [lengths_S[0] + survival @ lengths_S[1:] for lengths_S in lengths]
    return medians, np.array(means).reshape(len(horizons), len(counts))


def seeds_needed(sample: Sample, *, horizon: float, width: float, confidence: float = 0.95) -> int | None:
    """Return the smallest n for which the restricted mean's interval should be `width` wide, or None: no spread known.

    The smallest n of 2 or more with 2 t_{n-1} s / sqrt(n) <= width, where s^2 is the variance of one run's restricted
    time: restricted_variance times n^2 / (n - 1). s itself comes from few runs: for n = 5 the true spread may be
    0.6 to 2.9 times s (chi-square, 95 percent).
    """
    variance = restricted_variance(sample, horizon=horizon)
    if not variance or sample.n < 2 or width <= 0:
        return None
    deviation = math.sqrt(variance * sample.n**2 / (sample.n - 1))

    def wide(n: int) -> bool:
        quantile = float(scipy.special.stdtrit(n - 1, (1 + confidence) / 2))
        return 2 * quantile * deviation / math.sqrt(n) > width

    low, high = 1, 2  # an n that is too few (one run has no spread), and one to be tried
    while wide(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wide(middle) else (low, middle)
    return high


def largest_time(samples: Sequence[Sample]) -> float:
    """Return the latest time at which a run of any sample arrived or ended; 0 without runs."""
    return max((time for sample in samples for time in sample.times), default=0.0)
