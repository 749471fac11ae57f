"""Survival by definition: a product over times in exact fractions, every relabelling of two arms, no arrays."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

Arm = tuple[Sequence[int], Sequence[bool]]


def kaplan_meier(arm: Arm) -> dict[int, Fraction]:
    """Return S after each time at which somebody arrived or ended."""
    times, reached = arm
    curve, survival = {}, Fraction(1)
    for time in sorted(set(times)):
        at_risk = sum(t >= time for t in times)
        arrived = sum(t == time and r for t, r in zip(times, reached, strict=True))
        survival *= 1 - Fraction(arrived, at_risk)
        curve[time] = survival
    return curve


def at(curve: dict[int, Fraction], time: int) -> Fraction:
    """Return S at `time`: that of the last step until then."""
    before = [step for step in curve if step <= time]
    return curve[max(before)] if before else Fraction(1)


def median(arm: Arm) -> int | None:
    """Return the first time at which S is at most one half."""
    return next((time for time, survival in kaplan_meier(arm).items() if survival <= Fraction(1, 2)), None)


def restricted_mean(arm: Arm, horizon: int) -> Fraction:
    """Return the sum of S over unit steps up to `horizon`, for whole times."""
    curve = kaplan_meier(arm)
    return sum((at(curve, time) for time in range(horizon)), Fraction(0))


def restricted_variance(arm: Arm, horizon: int) -> Fraction:
    """Return Greenwood's variance of the restricted mean, term by term."""
    times, reached = arm
    total = Fraction(0)
    curve = kaplan_meier(arm)
    for time in sorted(set(times)):
        at_risk = sum(t >= time for t in times)
        arrived = sum(t == time and r for t, r in zip(times, reached, strict=True))
        if arrived and at_risk > arrived and time < horizon:
            area = sum((at(curve, t) for t in range(time, horizon)), Fraction(0))
            total += area**2 * Fraction(arrived, at_risk * (at_risk - arrived))
    return total


def excess(first: Arm, second: Arm) -> Fraction:
    """Return the first arm's arrivals minus those expected of it, from the table at each time."""
    total = Fraction(0)
    for time in sorted({*first[0], *second[0]}):
        at_risk = [sum(t >= time for t in arm[0]) for arm in (first, second)]
        arrived = [sum(t == time and r for t, r in zip(*arm, strict=True)) for arm in (first, second)]
        total += arrived[0] - Fraction(sum(arrived) * at_risk[0], sum(at_risk))
    return total


def permutation_p(first: Arm, second: Arm) -> Fraction:
    """Return the share of all choices of a first arm whose excess is at least as far from 0."""
    rows = [*zip(*first, strict=True), *zip(*second, strict=True)]
    observed = abs(excess(first, second))
    found = []
    for chosen in itertools.combinations(range(len(rows)), len(first[0])):
        inside = _arm([rows[i] for i in chosen])
        outside = _arm([row for i, row in enumerate(rows) if i not in chosen])
        found.append(abs(excess(inside, outside)) >= observed)
    return Fraction(sum(found), len(found))


def exchange_p(first: Arm, second: Arm) -> Fraction:
    """Return the share of all exchanges within pairs whose excess is at least as far from 0."""
    pairs = list(zip(zip(*first, strict=True), zip(*second, strict=True), strict=True))
    observed = abs(excess(first, second))
    found = []
    for swaps in itertools.product((False, True), repeat=len(pairs)):
        ordered = [pair[::-1] if swap else pair for pair, swap in zip(pairs, swaps, strict=True)]
        one, other = (_arm([pair[k] for pair in ordered]) for k in (0, 1))
        found.append(abs(excess(one, other)) >= observed)
    return Fraction(sum(found), len(found))


def _arm(rows: Sequence[tuple[int, bool]]) -> Arm:
    return [time for time, _ in rows], [reached for _, reached in rows]
