"""From a run's curve to "epochs to target".

    first   the first epoch e with val_acc[e] >= target
    held    the first epoch e with val_acc[e], ..., val_acc[e + hold - 1] >= target

A target not reached is a censored observation: the run needed more epochs than it had. A crossing within two
epochs after a drop of the learning rate is pinned: it says where the schedule drops, not how fast the optimizer is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from fewepochs.records import Best, CostRecord, Crossing, Epoch, EpochRecord

DROP_RATIO = 0.5
"""A rate that falls to half or less at once has dropped."""

PINNED_EPOCHS = 2
"""A crossing in this many epochs after a drop is pinned."""


def crossing(
    epochs: Sequence[Epoch],
    target: float,
    *,
    rule: Literal["first", "held"] = "first",
    hold: int = 3,
    costs: Sequence[CostRecord] = (),
) -> Crossing:
    """Return whether and when `target` (a fraction, 0 to 1) is reached on the curve `epochs`.

    `hold` (at least 1) matters to the rule "held" alone. Seconds and joules are sums over `costs` up to the crossing,
    None where a cost is missing; whether it is pinned is None where the learning rates are.

    >>> crossing((), 0.9).censored_at
    0
    """
    index = _first([record.val_acc >= target for record in epochs], hold if rule == "held" else 1)
    if index is None:
        return Crossing(
            target=target,
            rule=rule,
            hold=hold,
            reached=False,
            epoch=None,
            step=None,
            censored_at=len(epochs),
            pinned=False,
        )
    epoch = epochs[index].epoch
    spent = [cost for cost in costs if cost.epoch <= epoch]
    complete = len(spent) == index + 1
    return Crossing(
        target=target,
        rule=rule,
        hold=hold,
        reached=True,
        epoch=epoch,
        step=epochs[index].step,
        censored_at=None,
        pinned=_pinned(epochs, epoch),
        train_seconds=sum(cost.train_seconds for cost in spent) if complete else None,
        joules=_total([cost.joules for cost in spent]) if complete else None,
    )


def crossings(
    epochs: Sequence[Epoch],
    targets: Sequence[float],
    *,
    hold: int = 3,
    costs: Sequence[CostRecord] = (),
) -> tuple[Crossing, ...]:
    """Return both crossings, first and held, of each target, in the order of `targets`."""
    return tuple(
        crossing(epochs, target, rule=rule, hold=hold, costs=costs) for target in targets for rule in ("first", "held")
    )


def _first(reached: Sequence[bool], needed: int) -> int | None:
    """Return where the first `needed` True in a row begin."""
    row = 0
    for index, one in enumerate(reached):
        row = row + 1 if one else 0
        if row == needed:
            return index + 1 - needed
    return None


def _pinned(epochs: Sequence[Epoch], epoch: int) -> bool | None:
    """Return whether the crossing at `epoch` comes soon after a drop; None where the rates do not tell.

    Other tools write one rate an epoch: its own, or the one that callbacks at its end left for the next one (Keras
    does both). Where these two readings disagree, it is not known.
    """
    before = [record for record in epochs[:epoch] if not isinstance(record, EpochRecord)]
    if any(rates(record) is None for record in before):
        return None
    late = (0, 1) if before else (0,)
    # What matters is just before: the drops are looked for there, and in the epoch before, which shows the pace.
    found = drops(epochs[max(0, epoch - PINNED_EPOCHS - 3) : epoch + 1])
    readings = {any(drop < epoch - by <= drop + PINNED_EPOCHS for drop in found) for by in late}
    return readings.pop() if len(readings) == 1 else None


def rates(record: Epoch) -> tuple[float, float] | None:
    """Return the learning rates of the epoch's first and last step; another tool writes one for both, or none."""
    if isinstance(record, EpochRecord):
        return record.lr_first, record.lr_last
    return None if record.lr_logged is None else (record.lr_logged, record.lr_logged)


def drops(epochs: Sequence[Epoch]) -> tuple[int, ...]:
    """Return after how many epochs the learning rate dropped: 81 means that epoch 82 was the first to see it.

    A fall between two epochs is a drop, unless the rate was falling at that pace already: a straight line to zero
    halves in its last epochs. A fall within an epoch is one if the rate then stays: smooth ones fall on. Of a foreign
    run the one rate written for an epoch is taken as its own; where none is written, no drop is seen.
    """
    found = []
    known = [(record.epoch, both) for record in epochs if (both := rates(record)) is not None]
    for k, ((epoch, (first, last)), (_, (next_first, _))) in enumerate(pairwise(known)):
        pace = known[k - 1][1][0] - first if k else 0.0
        if _dropped(first, last) and next_first == last:
            found.append(epoch - 1)
        if _dropped(last, next_first) and not _steady(pace, last - next_first):
            found.append(epoch)
    return tuple(found)


def _dropped(before: float, after: float) -> bool:
    return 0 < after <= DROP_RATIO * before


def _steady(pace: float, fall: float) -> bool:
    """Return whether `fall` goes on with `pace`, the epoch's before: as a line does, or a curve that ends flat."""
    return 0.99 * fall <= pace <= 3 * fall


def best(epochs: Sequence[Epoch]) -> Best | None:
    """Return the highest validation accuracy and the first epoch that had it, or None before the first epoch."""
    if not epochs:
        return None
    top = max(epochs, key=lambda record: (record.val_acc, -record.epoch))
    return Best(val_acc=top.val_acc, epoch=top.epoch)


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
