"""The smallest budget that suffices: which one to try next, and what the ones that were tried say.

    enough(E)   at least ceil(p n) of the n runs with a budget of E epochs reach the target within it
    search      the highest budget, the lowest, then the middle of what is still open, until nothing is

Every budget is tried with the same seeds. The search takes for granted that what is enough stays enough with more: it
never looks where a smaller answer would contradict that. Each budget's share has its exact interval (Clopper and
Pearson 1934), and from these come the bounds: no budget up to the lower one is enough, every one that was tried from
the upper one on is, at the confidence of each interval by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from fewepochs.records import Count, Record
from fewepochs.stats import estimates

CONFIDENCE = 0.95


class Tried(Record):
    """What the runs with one budget did: `reached` of `n` got to the target; `share` is theirs with its interval."""

    budget: Count
    reached: Count
    n: Count
    share: estimates.Estimate
    enough: bool


class Answer(Record):
    """What a search found.

    `smallest` is the smallest budget tried that was enough, `not_enough` the largest below it that was not; None where
    there is none. `complete` says that nothing between them is open. `surely_not` is the largest budget tried whose
    interval lies below the share asked for, `surely` the smallest whose interval does not.
    """

    smallest: Count | None
    not_enough: Count | None
    surely_not: Count | None
    surely: Count | None
    complete: bool


def tried(budget: int, *, reached: int, n: int, share: float) -> Tried:
    """Return what `n` runs say about `budget`, of which `reached` got to the target; `share` is what is asked for."""
    estimate = estimates.share(reached, n, confidence=CONFIDENCE)
    return Tried(budget=budget, reached=reached, n=n, share=estimate, enough=reached >= needed(n, share))


def needed(n: int, share: float) -> int:
    """Return how many of `n` runs have to reach the target.

    >>> needed(5, 0.8), needed(10, 0.7), needed(3, 1.0)
    (4, 7, 3)
    """
    return max(1, math.ceil(n * share - 1e-9))


def following(found: Mapping[int, bool], *, lowest: int, highest: int) -> int | None:
    """Return the budget to try next, None where the answer is known; `found` says which tried ones were enough.

    >>> following({}, lowest=4, highest=20), following({20: True}, lowest=4, highest=20)
    (20, 4)
    >>> following({20: True, 4: False}, lowest=4, highest=20)
    12
    >>> following({20: False}, lowest=4, highest=20) is None
    True
    """
    for end, settles in ((highest, False), (lowest, True)):
        if end not in found:
            return end
        if found[end] is settles:
            return None
    smallest = min(budget for budget, enough in found.items() if enough and lowest <= budget <= highest)
    below = max(budget for budget, enough in found.items() if not enough and lowest <= budget < smallest)
    return None if smallest - below == 1 else (smallest + below) // 2


def answer(rows: Mapping[int, Tried], *, lowest: int, highest: int, share: float) -> Answer:
    """Return what `rows`, by budget, say about the smallest budget from `lowest` to `highest`."""
    inside = [rows[budget] for budget in sorted(rows) if lowest <= budget <= highest]
    smallest = next((row.budget for row in inside if row.enough), None)
    failed = [row.budget for row in inside if not row.enough and (smallest is None or row.budget < smallest)]
    surely_not = [row.budget for row in inside if row.share.high is not None and row.share.high < share]
    surely = [row.budget for row in inside if row.share.low is not None and row.share.low >= share]
    return Answer(
        smallest=smallest,
        not_enough=max(failed, default=None),
        surely_not=max(surely_not, default=None),
        surely=min(surely, default=None),
        complete=following({row.budget: row.enough for row in inside}, lowest=lowest, highest=highest) is None,
    )


def seeds_for_certainty(share: float) -> int:
    """Return how many runs, all of which reach the target, show at the confidence that `share` (in (0, 1)) of them do.

    The lower end of the interval of n of n is the n-th root of half of what it leaves out.

    >>> seeds_for_certainty(0.8), seeds_for_certainty(0.5)
    (17, 6)
    """
    return max(1, math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(share) - 1e-9))
