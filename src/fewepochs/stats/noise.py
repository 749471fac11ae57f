"""Settled noise, and whether it grows from one arm to the next.

    noise = 1.4826 median |r - median r|,    r[e] = val_loss[e] - median(val_loss[e-2], ..., val_loss[e+2])

over the second half of a phase of constant rate: the first half is still on its way down. The median of five
takes the trend away and leaves swings of one or two epochs; 1.4826 makes the number a standard deviation where the
swings are normal, and no single spike decides it.

The trend over arms in an order (batch 32, 64, 128) is that of Jonckheere 1954 and Terpstra 1952: J counts the pairs of
runs of two arms of which the later arm's has more, ties a half. p is the share of ways to hand out the labels with a J
at least as large, among `DRAWS` named draws and the observed one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import median

import numpy as np

from fewepochs import seeds
from fewepochs.records import Count, EpochRecord, Finite, Fraction, Record
from fewepochs.stats import survival

WINDOW = 2
"""The running median takes so many epochs to either side."""

FEWEST_EPOCHS = 10
"""A half phase of fewer epochs than this has no noise worth the name."""

DRAWS = 9_999
NORMAL = 1.4826


class Trend(Record):
    """Jonckheere's and Terpstra's test of `n` runs: the shares of rearrangements that grow, or fall, as much."""

    n: Count
    j: Finite
    p_growing: Fraction
    p_falling: Fraction


def phases(epochs: Sequence[EpochRecord]) -> tuple[tuple[EpochRecord, ...], ...]:
    """Return the longest stretches of epochs within which the learning rate is one; epochs in which it moves have none.

    >>> phases(())
    ()
    """
    found: list[list[EpochRecord]] = []
    before: float | None = None
    for record in epochs:
        rate = record.lr_first if record.lr_first == record.lr_last else None
        if rate is not None:
            if rate != before:
                found.append([])
            found[-1].append(record)
        before = rate
    return tuple(map(tuple, found))


def settled(epochs: Sequence[EpochRecord]) -> float | None:
    """Return the settled noise of val_loss at the first rate; None where that phase is too short to tell."""
    return of_phase(first_phase(epochs))


def first_phase(epochs: Sequence[EpochRecord]) -> tuple[EpochRecord, ...]:
    """Return the epochs before the learning rate first changes."""
    found = phases(epochs)
    return found[0] if found and found[0][0] == epochs[0] else ()


def of_phase(phase: Sequence[EpochRecord]) -> float | None:
    """Return the settled noise of val_loss in a phase of constant rate; None where it is too short to tell."""
    losses = [record.val_loss for record in phase[len(phase) // 2 :]]
    if len(losses) < FEWEST_EPOCHS:
        return None
    inner = range(WINDOW, len(losses) - WINDOW)
    swings = [losses[e] - median(losses[e - WINDOW : e + WINDOW + 1]) for e in inner]
    middle = median(swings)
    return NORMAL * median(abs(swing - middle) for swing in swings)


def trend(arms: Sequence[Sequence[float]]) -> Trend:
    """Return whether values grow from each of `arms` (two or more, none empty) to the next."""
    values = np.array([value for arm in arms for value in arm])
    sizes = [len(arm) for arm in arms]
    places = np.arange(len(values))
    key = seeds.derive(0, "trend", *sizes)
    draws = seeds.words(key, DRAWS * len(values)).reshape(DRAWS, len(values))
    orders = np.concatenate((places[None], np.argsort(draws, axis=1, kind="stable")))
    found = _j(values[orders], sizes)
    return Trend(
        n=len(values),
        j=float(found[0]),
        p_growing=float((found >= found[0]).mean()),
        p_falling=float((found <= found[0]).mean()),
    )


def _j(values_PN: survival.Floats, sizes: Sequence[int]) -> survival.Floats:
    """Return J of each row: its values stand in the order of the arms, which have these sizes."""
    ends = np.cumsum([0, *sizes])
    parts = [values_PN[:, start:end] for start, end in itertools.pairwise(ends)]
    total = np.zeros(len(values_PN))
    for before, after in itertools.combinations(parts, 2):
        pairs = after[:, None, :] - before[:, :, None]
        total += (pairs > 0).sum(axis=(1, 2)) + 0.5 * (pairs == 0).sum(axis=(1, 2))
    return total
