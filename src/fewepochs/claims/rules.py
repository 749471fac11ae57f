"""When a claim counts as reproduced: rules that were fixed before any run, one for each kind of item.

A published number y is one run's (n = 1), or nobody says how many. It lies within its `variation` v of what is typical
there, so that the typical value M it speaks of is in

    C = [y - v, y + v]        equals           (y - v, oo)      more than
        [0, y + v]            at most          [y - v, oo)      at least

Our runs say where M lies: the interval I of the median, by order statistics (`stats.ranges`).

    reproduced       I within C           wherever the median lies, the published run is one of the runs around it
    not reproduced   I and C apart        nowhere
    not testable     they overlap         the runs do not settle it; and below `FEWEST` runs, whatever they say

[low(I) - v, high(I) + v] is a prediction interval for one further run; y outside it is what "not reproduced" says.
"Reproduced" asks for more, lest few runs with a wide interval reproduce anything.

Without a published variation the runs' own must do: one further run falls between lowest and highest of n with
probability (n - 1) / (n + 1). Inside is "reproduced"; outside is "not reproduced" from `MANY` runs on, 95 percent.

Shares use the exact interval of Clopper and Pearson 1934; spreads the ratio of two ranges over five normal runs, which
is between 1 / `RANGE_FACTOR` and `RANGE_FACTOR` in 95 percent; trends the test of Jonckheere and Terpstra.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from fewepochs.claims import catalogue
from fewepochs.records import Count, Finite, Fraction, Record
from fewepochs.stats import estimates, noise, ranges

FEWEST = 5
"""Below this, lowest to highest holds the median in 88 percent or less, and no verdict is given."""

MANY = 39
"""(n - 1) / (n + 1) is 95 percent."""

RANGE_OF = 5
RANGE_FACTOR = 3.2
"""The 97.5 percent point of the ratio of two ranges, each over five runs of one normal law, is 3.16."""

SIGNIFICANT = 0.05
CONFIDENCE = 0.95

Verdict = Literal["reproduced", "not reproduced", "not testable"]
Why = Literal[
    "inside", "outside", "overlap", "beyond", "few-runs", "no-runs", "not-measured", "other-machine", "untestable",
    "growing", "falling", "no-trend",
]  # fmt: skip


class Finding(Record):
    """What runs say about an item.

    `value` with `low` and `high` is ours (None: not known, or no end), `claimed_low` and `claimed_high` the region C of
    the claim. `coverage` is the probability with which the interval holds what it is for. `why` is the rule's outcome,
    `reason` is set where something was missing.
    """

    verdict: Verdict
    why: Why
    n: Count
    value: Finite | None = None
    low: Finite | None = None
    high: Finite | None = None
    coverage: Fraction | None = None
    claimed_low: Finite | None = None
    claimed_high: Finite | None = None
    p: Fraction | None = None
    reason: str | None = None


def without(why: Why, *, n: int = 0, reason: str | None = None) -> Finding:
    """Return that an item cannot be tested."""
    return Finding(verdict="not testable", why=why, n=n, reason=reason)


def typical(item: catalogue.Typical, runs: Sequence[ranges.Bounds]) -> Finding:
    """Return whether `runs` bear out a number that a typical run has."""
    if not runs:
        return without("no-runs")
    found = ranges.median(runs, confidence=CONFIDENCE)
    if item.variation is None:
        return _further(item.value, found, runs)
    low, high = region(item)
    finding = Finding(
        verdict="not testable",
        why="few-runs" if found.n < FEWEST else "overlap",
        n=found.n,
        value=found.value,
        low=found.low,
        high=found.high,
        coverage=found.coverage,
        claimed_low=low,
        claimed_high=high,
    )
    if found.n < FEWEST:
        return finding
    top, most = (math.inf if end is None else end for end in (found.high, high))
    least = -math.inf if low is None else low
    # "More than 96 epochs" is not borne out by 96: there the region's end is not of the region.
    above = found.low > least if item.relation == "more-than" else found.low >= least
    below = top <= least if item.relation == "more-than" else top < least
    if above and top <= most:
        return finding.model_copy(update={"verdict": "reproduced", "why": "inside"})
    if below or found.low > most:
        return finding.model_copy(update={"verdict": "not reproduced", "why": "outside"})
    return finding


def region(item: catalogue.Typical) -> tuple[float | None, float | None]:
    """Return the ends of the region C that a claim with a variation leaves to the typical value; None is no end."""
    assert item.variation is not None, "without one, the runs' own is taken"
    low, high = item.value - item.variation, item.value + item.variation
    match item.relation:
        case "equals":
            return low, high
        case "at-most":
            return None, high
        case "more-than" | "at-least":
            return low, None


def _further(value: float, found: ranges.Interval, runs: Sequence[ranges.Bounds]) -> Finding:
    """Return whether `value` could be one run more, by the range of the runs alone.

    Where runs are not known, it counts as inside only if it is so wherever they end up, and as outside likewise.
    """
    finding = Finding(
        verdict="not testable",
        why="few-runs" if found.n < FEWEST else "overlap",
        n=found.n,
        value=found.value,
        low=found.lowest,
        high=found.highest,
        coverage=(found.n - 1) / (found.n + 1),
        claimed_low=value,
        claimed_high=value,
    )
    if found.n < FEWEST:
        return finding
    if any(run.low >= value for run in runs) and any(run.high is not None and run.high <= value for run in runs):
        return finding.model_copy(update={"verdict": "reproduced", "why": "inside"})
    if found.lowest > value or (found.highest is not None and found.highest < value):
        if found.n < MANY:
            return finding.model_copy(update={"why": "beyond"})
        return finding.model_copy(update={"verdict": "not reproduced", "why": "outside"})
    return finding


def share(item: catalogue.Share, runs: Sequence[ranges.Bounds]) -> Finding:
    """Return whether as many of `runs` (their epochs to the item's target) arrive in time as was claimed.

    A run of which that is not known counts for either side: the interval goes from the lower end without it to the
    upper end with it.
    """
    if not runs:
        return without("no-runs")
    n = len(runs)
    sure = sum(run.high is not None and run.high <= item.within for run in runs)
    possible = sum(run.low <= item.within for run in runs)
    ours = estimates.share(sure, n, unknown=possible - sure, confidence=CONFIDENCE)
    assert ours.low is not None and ours.high is not None, "there are runs"  # noqa: PT018
    low, high = share_region(item)
    inside = low <= ours.low and ours.high <= high + 1e-12
    apart = ours.high < low or ours.low > high
    if item.share is not None:  # "84% of runs", of nobody knows how many: most runs arrive, and 84% may
        inside, apart = ours.low > low and ours.high >= item.share, ours.high < item.share
    few = n < FEWEST
    return Finding(
        verdict="not testable" if few or not (inside or apart) else "reproduced" if inside else "not reproduced",
        why="few-runs" if few else "inside" if inside else "outside" if apart else "overlap",
        n=n,
        value=ours.value,
        low=ours.low,
        high=ours.high,
        coverage=CONFIDENCE,
        claimed_low=low,
        claimed_high=high,
    )


def share_region(item: catalogue.Share) -> tuple[float, float]:
    """Return the shares that the claim leaves possible: of the runs it counted, or more than half."""
    if item.reached is None or item.runs is None:
        return 0.5, 1.0
    claimed = estimates.share(item.reached, item.runs, confidence=CONFIDENCE)
    assert claimed.low is not None and claimed.high is not None, "runs were counted"  # noqa: PT018
    return claimed.low, claimed.high


def spread(item: catalogue.Spread, runs: Sequence[ranges.Bounds]) -> Finding:
    """Return whether the epochs of `runs` to the item's target lie as far apart as was claimed, five runs at a time."""
    known = [run.low for run in runs if run.high is not None]
    if not runs:
        return without("no-runs")
    if len(known) < len(runs):
        return without("overlap", n=len(runs), reason=f"{len(runs) - len(known)} of {len(runs)} not known to the epoch")
    if len(known) < RANGE_OF:
        return without("few-runs", n=len(known))
    value = mean_range(known)
    low, high = item.low / RANGE_FACTOR, item.high * RANGE_FACTOR
    inside = low <= value <= high
    return Finding(
        verdict="reproduced" if inside else "not reproduced",
        why="inside" if inside else "outside",
        n=len(known),
        value=value,
        coverage=CONFIDENCE,
        claimed_low=low,
        claimed_high=high,
    )


def mean_range(values: Sequence[float]) -> float:
    """Return the mean range over all ways to choose five of `values` (five or more).

    In rising order, the i-th of n (from 0) is the highest of C(i, 4) choices and the lowest of C(n - 1 - i, 4).

    >>> mean_range([1, 2, 3, 4, 8])
    7.0
    """
    n, others = len(values), RANGE_OF - 1
    total = sum((math.comb(i, others) - math.comb(n - 1 - i, others)) * x for i, x in enumerate(sorted(values)))
    return total / math.comb(n, RANGE_OF)


def trend(arms: Sequence[Sequence[float]]) -> Finding:
    """Return whether values grow from each of `arms` to the next."""
    n = sum(map(len, arms))
    if not all(arms):
        return without("no-runs", n=n, reason=f"{sum(not arm for arm in arms)} of {len(arms)} recipes have no run")
    found = noise.trend(arms)
    if found.p_growing < SIGNIFICANT:
        return Finding(verdict="reproduced", why="growing", n=n, p=found.p_growing)
    if found.p_falling < SIGNIFICANT:
        return Finding(verdict="not reproduced", why="falling", n=n, p=found.p_falling)
    return Finding(verdict="not testable", why="no-trend", n=n, p=min(found.p_growing, found.p_falling))
