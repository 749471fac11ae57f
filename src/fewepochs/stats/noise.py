"""Noise of curves: settled, by phase of the learning rate, its spikes, and whether it grows from one arm to the next.

    noise = 1.4826 median |r - median r|,    r[e] = val_loss[e] - median(val_loss[e-2], ..., val_loss[e+2])

over the second half of a phase of constant rate: the first half is still on its way down. The median of five
takes the trend away and leaves swings of one or two epochs; 1.4826 makes the number a standard deviation where the
swings are normal, and no single spike decides it. Of val_acc and the training loss it is the same, and so
it is of evaluations within epochs, of which the median then takes five. Where the rate moves from step to step no part
is settled: there the spread is that around the running median over the whole stretch.

The trend over arms in an order (batch 32, 64, 128) is that of Jonckheere 1954 and Terpstra 1952: J counts the pairs of
runs of two arms of which the later arm's has more, ties a half. p is the share of ways to hand out the labels with a J
at least as large, among `DRAWS` named draws and the observed one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from fewepochs import seeds
from fewepochs.records import Count, EpochRecord, EvaluationRecord, Finite, Fraction, Record
from fewepochs.stats import survival

WINDOW = 2
"""The running median takes so many epochs to either side."""

FEWEST_EPOCHS = 10
"""A half phase of fewer epochs than this has no noise worth the name."""

SPIKE = 5.0
"""A value so many spreads above its running median is a spike."""

DRAWS = 9_999
NORMAL = 1.4826


class Noise(Record):
    """The noise of `n` values of a curve: their `level` (median), and their `spread` around the running median.

    `spikes` counts values more than so many spreads above it, `largest` is how far above it the highest is. All but n
    are None where n is too small to tell.
    """

    n: Count
    level: Finite | None = None
    spread: Finite | None = None
    spikes: Count | None = None
    largest: Finite | None = None


@dataclass(frozen=True)
class Stretch:
    """Epochs, one after the other, of one learning rate, or in all of which it moves: then `rate` is None."""

    epochs: tuple[EpochRecord, ...]
    rate: float | None

    @property
    def counted(self) -> tuple[EpochRecord, ...]:
        """The epochs that noise is taken from: the second half where the rate is one, else all."""
        return self.epochs if self.rate is None else self.epochs[len(self.epochs) // 2 :]


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


def stretches(epochs: Sequence[EpochRecord]) -> tuple[Stretch, ...]:
    """Return `epochs` cut where the rate changes: the phases of constant rate, and what lies between them.

    >>> stretches(())
    ()
    """
    starts = {phase[0].epoch: phase for phase in phases(epochs)}
    found: list[Stretch] = []
    moving: list[EpochRecord] = []
    left = 0
    for record in epochs:
        if record.epoch in starts:
            found.extend([Stretch(tuple(moving), None)] if moving else [])
            moving, left = [], len(starts[record.epoch])
            found.append(Stretch(starts[record.epoch], record.lr_first))
        if left:
            left -= 1
        else:
            moving.append(record)
    return (*found, *([Stretch(tuple(moving), None)] if moving else []))


def of_values(values: Sequence[float], *, spike: float = SPIKE) -> Noise:
    """Return the noise of values in their order; `spike` is from how many spreads above the running median on.

    >>> of_values([1.0, 2.0]).spread is None
    True
    """
    if len(values) < FEWEST_EPOCHS:
        return Noise(n=len(values))
    swings = _swings(values)
    spread = _spread(swings)
    return Noise(
        n=len(values),
        level=median(values),
        spread=spread,
        spikes=sum(swing > spike * spread for swing in swings),
        largest=max(swings),
    )


def within(stretch: Stretch, evaluations: Sequence[EvaluationRecord]) -> tuple[EvaluationRecord, ...]:
    """Return those of `evaluations` that were made in the epochs that the noise of `stretch` is taken from."""
    epochs = {record.epoch for record in stretch.counted}
    return tuple(record for record in evaluations if record.epoch in epochs)


def settled(epochs: Sequence[EpochRecord]) -> float | None:
    """Return the settled noise of val_loss at the first rate; None where that phase is too short to tell."""
    return of_phase(first_phase(epochs))


def first_phase(epochs: Sequence[EpochRecord]) -> tuple[EpochRecord, ...]:
    """Return the epochs before the learning rate first changes."""
    found = phases(epochs)
    return found[0] if found and found[0][0] == epochs[0] else ()


def of_phase(phase: Sequence[EpochRecord]) -> float | None:
    """Return the settled noise of val_loss in a phase of constant rate; None where it is too short to tell."""
    return of_values([record.val_loss for record in phase[len(phase) // 2 :]]).spread


def _swings(values: Sequence[float]) -> list[float]:
    """Return how far each value lies above the median of those around it, but for the first and last of them."""
    inner = range(WINDOW, len(values) - WINDOW)
    return [values[e] - median(values[e - WINDOW : e + WINDOW + 1]) for e in inner]


def _spread(swings: Sequence[float]) -> float:
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
