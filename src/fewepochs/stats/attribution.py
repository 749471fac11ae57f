"""What an ingredient saves: the epochs to a target without it, minus those with it.

    saved = RMST(before; h) - RMST(after; h)        RMST as in `stats.survival`, up to a common horizon h

Arms are paired by seed where they share two or more: then only those runs count, and both arms are resampled alike, so
that the interval is a paired one. A run that did not get there counts with h: what was saved beyond h is not seen.
"""

from __future__ import annotations

from fewepochs.records import Count, Finite, Fraction, Record
from fewepochs.stats import arms, estimates, resampling, survival

FEWEST_TWINS = 2


class Saving(Record):
    """The epochs saved (negative: lost), from `n` runs before and after; `paired` says that these are twins."""

    target: Fraction
    horizon: Finite | None
    n: tuple[Count, Count]
    reached: tuple[Count, Count]
    paired: bool
    saved: estimates.Estimate


def saving(
    before: arms.Observed, after: arms.Observed, *, target: float, horizon: float | None, confidence: float
) -> Saving:
    """Return what the arm `after` needs less than the arm `before`, up to `horizon`."""
    shared = set(before.seeds) & set(after.seeds)
    paired = len(shared) >= FEWEST_TWINS
    if paired:
        before, after = arms.restricted(before, seeds=shared), arms.restricted(after, seeds=shared)
    return Saving(
        target=target,
        horizon=horizon,
        n=(before.sample.n, after.sample.n),
        reached=(sum(before.sample.reached), sum(after.sample.reached)),
        paired=paired,
        saved=_saved(before, after, horizon=horizon, confidence=confidence),
    )


def _saved(
    before: arms.Observed, after: arms.Observed, *, horizon: float | None, confidence: float
) -> estimates.Estimate:
    n = min(before.sample.n, after.sample.n)
    if not n or horizon is None:
        return estimates.Estimate(value=None, n=n, confidence=confidence, reason=estimates.NO_RUNS)
    samples = before.sample.until(horizon), after.sample.until(horizon)
    means = [survival.restricted_mean(sample, horizon=horizon) for sample in samples]
    first, second = means
    if first is None or second is None:
        return estimates.Estimate(value=None, n=n, confidence=confidence, reason="not followed to the horizon")
    if not any((*samples[0].reached, *samples[1].reached)):
        return estimates.Estimate(value=None, n=n, confidence=confidence, reason=f"{estimates.NEVER} in either")
    found = [estimates.resample(one, horizons=[horizon]) for one in (before, after)]
    assert found[0] is not None, "there are runs"
    assert found[1] is not None, "there are runs"
    drawn = found[0].means[horizon] - found[1].means[horizon]
    value = first - second
    low, high, reason = resampling.interval(drawn, n=n, value=value, confidence=confidence)
    return estimates.Estimate(value=value, low=low, high=high, n=n, confidence=confidence, reason=reason)
