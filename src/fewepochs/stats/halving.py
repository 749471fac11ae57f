"""Successive halving: many trials for a few epochs, the best of them for more, the best of these to the end.

    rungs    first, first * eta, first * eta^2, ..., the budget
    at each  the best floor(n / eta) of the n trials, at least one, go on to the next rung

eta is the reduction. Trials are compared by their score at the rung, ties by their number, so that neither the order in
which they end nor how many are trained at a time changes what is promoted.

Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization"
(arXiv:1502.07943).
"""

from __future__ import annotations

from collections.abc import Mapping

WORST = float("-inf")
"""The score of a trial that diverged: below all others, and never written down."""


def rungs(*, first: int, reduction: int, budget: int) -> tuple[int, ...]:
    """Return after how many epochs trials are compared; the last one is the budget. `reduction` is at least 2.

    >>> rungs(first=2, reduction=3, budget=20)
    (2, 6, 18, 20)
    >>> rungs(first=5, reduction=2, budget=5)
    (5,)
    """
    found = []
    epochs = first
    while epochs < budget:
        found.append(epochs)
        epochs *= reduction
    return (*found, budget)


def promoted(scores: Mapping[int, float], *, reduction: int) -> tuple[int, ...]:
    """Return the numbers of the trials that go on, in rising order; `scores` are by number, higher is better.

    A trial that diverged does not go on, even where no other is left.

    >>> promoted({0: 0.5, 1: 0.9, 2: 0.9, 3: 0.1}, reduction=2)
    (1, 2)
    """
    order = sorted(scores, key=lambda number: (-scores[number], number))
    best = order[: max(1, len(scores) // reduction)]
    return tuple(sorted(number for number in best if scores[number] > WORST))
