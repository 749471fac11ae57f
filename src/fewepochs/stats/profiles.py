"""Performance profiles: how often an arm is within a factor of the fastest, over all targets.

    rho_arm(f) = share of the targets to which the arm's median is at most f times the smallest median of any arm

A target that an arm does not reach (no median) is never within any factor; one that no arm reaches is not counted.
rho(1) is how often the arm is the fastest, its height far to the right how often it gets there at all. An arm's profile
depends on which others are compared: read heights, not the order of two losers.

Dolan and Moré 2002, "Benchmarking optimization software with performance profiles".
"""

from __future__ import annotations

from collections.abc import Mapping

from fewepochs.records import Count, Finite, Fraction, Record


class Profile(Record):
    """One arm's profile: at each of the rising `factors` the share of the `n` targets within it."""

    arm: str
    n: Count
    factors: tuple[Finite, ...]
    shares: tuple[Fraction, ...]


def profiles(medians: Mapping[tuple[str, float], float | None]) -> tuple[Profile, ...]:
    """Return the profile of each arm; `medians` are by arm and target, None where an arm has none.

    Without two arms and a target that one of them reached, there is nothing to compare: no profiles.

    >>> profiles({("a", 0.9): 10.0, ("b", 0.9): 15.0})[1].factors
    (1.5,)
    """
    names = tuple(dict.fromkeys(arm for arm, _ in medians))
    fastest: dict[float, float] = {}
    for (_, target), value in medians.items():
        if value is not None and value > 0:
            fastest[target] = min(value, fastest.get(target, value))
    if len(names) < 2 or not fastest:
        return ()
    found = []
    for arm in names:
        ratios = [value / fastest[t] for t in fastest if (value := medians.get((arm, t))) is not None]
        factors = tuple(sorted(set(ratios)))
        shares = tuple(sum(ratio <= factor for ratio in ratios) / len(fastest) for factor in factors)
        found.append(Profile(arm=arm, n=len(fastest), factors=factors, shares=shares))
    return tuple(found)
