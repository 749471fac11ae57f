"""A number with its interval and its n, or the reason why there is none.

What cannot be estimated is absent, never 0 or infinite: where too few runs reached a target there is no median, but
there is a bound ("more than 50 epochs"), and an interval may be open at one end ("at least 40").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import scipy  # which loads `special` when it is first used: who reads a run may not need it

from fewepochs.records import Count, Finite, Fraction, Record
from fewepochs.stats import arms, resampling, survival

NO_RUNS = "no runs"
NEVER = "no run reached the target"


class Estimate(Record):
    """An estimate from `n` runs.

    `low` and `high` are the interval at `confidence`; an end that is None is open, and where both are, `reason` says
    why there is no interval. Where `value` is None, `above` or `below` is what can be said of it (of a share, the
    interval), and `reason` why not more.
    """

    value: Finite | None
    low: Finite | None = None
    high: Finite | None = None
    above: Finite | None = None
    below: Finite | None = None
    n: Count
    confidence: Fraction
    reason: str | None = None


@dataclass(frozen=True)
class Resampled:
    """An arm's observations of one target; of its resamples the medians [B] and restricted means [B], by horizon."""

    observed: arms.Observed
    medians: survival.Floats
    means: dict[float, survival.Floats]

    @property
    def sample(self) -> survival.Sample:
        """The times."""
        return self.observed.sample


def resample(observed: arms.Observed, *, horizons: Sequence[float]) -> Resampled | None:
    """Return the resamples of an arm's runs, or None where it has none."""
    if not observed.sample.n:
        return None
    medians, means = resampling.survival_replicates(
        observed.sample, name=seed_name(observed.seeds), horizons=sorted(set(horizons))
    )
    return Resampled(observed, medians, means)


def seed_name(seeds: Sequence[arms.SeedKey]) -> tuple[int, ...]:
    """Return the seeds of runs as one name: arms with the same seeds are resampled alike."""
    return tuple(seed for key in seeds for seed in key)


def median(found: Resampled | None, *, confidence: float) -> Estimate:
    """Return the median time to the target, with its interval."""
    if found is None:
        return Estimate(value=None, n=0, confidence=confidence, reason=NO_RUNS)
    bare = bare_median(found.sample, confidence=confidence)
    if bare.value is None:
        return bare
    low, high, reason = resampling.interval(found.medians, n=bare.n, value=bare.value, confidence=confidence)
    return bare.model_copy(update={"low": low, "high": high, "reason": reason})


def bare_median(sample: survival.Sample, *, confidence: float) -> Estimate:
    """Return the median time to the target without an interval, or the bound that is known of it."""
    n, value = sample.n, survival.median(sample)
    if value is not None:
        return Estimate(value=value, n=n, confidence=confidence, reason="no interval was asked for")
    why = NO_RUNS if not n else "fewer than half of the runs reached the target" if any(sample.reached) else NEVER
    return Estimate(value=None, above=survival.follow_up(sample) or None, n=n, confidence=confidence, reason=why)


def restricted_mean(found: Resampled | None, *, horizon: float | None, confidence: float) -> Estimate:
    """Return the mean of min(time, `horizon`); absent where nobody reached the target or was followed that far."""
    if found is None or horizon is None:
        n = found.sample.n if found is not None else 0
        return Estimate(value=None, n=n, confidence=confidence, reason="no epoch done" if n else NO_RUNS)
    n, known = found.sample.n, survival.follow_up(found.sample)
    value = survival.restricted_mean(found.sample, horizon=horizon)
    if value is None:
        why = f"no run was followed to the horizon, {horizon:g}; the longest ended at {known or 0:g}"
        return Estimate(value=None, n=n, confidence=confidence, reason=why)
    if not any(found.sample.until(horizon).reached):
        return Estimate(value=None, n=n, confidence=confidence, reason=f"{NEVER} within {horizon:g}")
    low, high, reason = resampling.interval(found.means[horizon], n=n, value=value, confidence=confidence)
    return Estimate(value=value, low=low, high=high, n=n, confidence=confidence, reason=reason)


def mean(values: Sequence[float], *, name: Sequence[int | str], confidence: float, absent: str) -> Estimate:
    """Return the mean of `values`, whose resamples are named `name`; without values, `absent` is the reason."""
    if not values:
        return Estimate(value=None, n=0, confidence=confidence, reason=absent)
    n, value = len(values), sum(values) / len(values)
    replicates = resampling.mean_replicates(values, name=name)
    low, high, reason = resampling.interval(replicates, n=n, value=value, confidence=confidence)
    return Estimate(value=value, low=low, high=high, n=n, confidence=confidence, reason=reason)


def share(reached: int, n: int, *, confidence: float, unknown: int = 0) -> Estimate:
    """Return the share of `n` runs that reached a target, with the exact interval of Clopper and Pearson 1934.

    Of `unknown` runs more it is not known whether they would have. To leave them out would be to keep those of them
    that arrived in time: the interval reaches from where none of them do to where all do, and there is no value.

    >>> share(0, 50, confidence=0.95).low
    0.0
    """
    if not n:
        return Estimate(value=None, n=0, confidence=confidence, reason=NO_RUNS)
    tail, possible = (1 - confidence) / 2, reached + unknown
    low = float(scipy.special.betaincinv(reached, n - reached + 1, tail)) if reached else 0.0
    high = float(scipy.special.betaincinv(possible + 1, n - possible, 1 - tail)) if possible < n else 1.0
    if unknown:
        why = f"{unknown} of {n} runs ended before their budget"
        return Estimate(value=None, low=low, high=high, n=n, confidence=confidence, reason=why)
    return Estimate(value=reached / n, low=low, high=high, n=n, confidence=confidence)


# --- ratios between two arms --------------------------------------------------------------------------------------


def median_ratio(first: Resampled | None, second: Resampled | None, *, confidence: float) -> Estimate:
    """Return median of `first` over median of `second`; a bound where one of them is only known to be larger."""
    if first is None or second is None:
        return Estimate(value=None, n=0, confidence=confidence, reason="an arm has no run")
    n = min(first.sample.n, second.sample.n)
    one, other = (survival.median(found.sample) for found in (first, second))
    if one is not None and other:
        low, high, reason = resampling.ratio_interval(
            first.medians, second.medians, n=n, value=one / other, confidence=confidence
        )
        return Estimate(value=one / other, low=low, high=high, n=n, confidence=confidence, reason=reason)
    beyond, other_beyond = (survival.follow_up(found.sample) for found in (first, second))
    if one is None and other and beyond:
        return Estimate(value=None, above=beyond / other, n=n, confidence=confidence, reason="the first has no median")
    if one is not None and other is None and other_beyond:
        return Estimate(
            value=None, below=one / other_beyond, n=n, confidence=confidence, reason="the second has no median"
        )
    reason = "neither has a median" if one is None and other is None else "the second needs no time at all"
    return Estimate(value=None, n=n, confidence=confidence, reason=reason)


def restricted_mean_ratio(
    first: Resampled | None, second: Resampled | None, *, horizon: float | None, confidence: float
) -> Estimate:
    """Return restricted mean of `first` over that of `second`; absent unless both are known and somebody arrived."""
    one = restricted_mean(first, horizon=horizon, confidence=confidence)
    other = restricted_mean(second, horizon=horizon, confidence=confidence)
    n = min(one.n, other.n)
    if first is None or second is None or horizon is None or one.value is None or not other.value:
        reason = one.reason or other.reason
        return Estimate(value=None, n=n, confidence=confidence, reason=reason)
    value = one.value / other.value
    low, high, reason = resampling.ratio_interval(
        first.means[horizon], second.means[horizon], n=n, value=value, confidence=confidence
    )
    return Estimate(value=value, low=low, high=high, n=n, confidence=confidence, reason=reason)
