"""When a run may end before its budget, by a rule that was written down before it began.

    target     after the first epoch with val_acc >= target: the question is answered
    give up    after epoch e, if no epoch up to e had val_acc >= below: the target is out of reach

The first does not change when the target was reached. The second depends on how well a run was doing, so that to
censor it where it ended would flatter its recipe: a run that was given up counts as one that was not there by the end
of its budget, which is what the rule says of it. See docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, Strict

from fewepochs.records import Epoch, Stopped
from fewepochs.specs import base


class GiveUp(base.Spec):
    """Give a run up after `epoch` epochs if its best val_acc so far is `below` this."""

    epoch: base.PositiveInt
    below: Annotated[float, Field(gt=0, le=1)]


class Stop(base.Spec):
    """What ends a run before its budget; by default nothing does."""

    target: Annotated[float, Field(gt=0, le=1)] | None = None
    give_up: Annotated[tuple[GiveUp, ...], Strict(False), Field(max_length=64)] = ()


NEVER = Stop()


class Verdict(base.Spec):
    """That a run is to end, and why in words."""

    ending: Stopped
    reason: str


def verdict(stop: Stop, epochs: Sequence[Epoch]) -> Verdict | None:
    """Return whether the curve so far ends the run by the rule `stop`, None while it goes on.

    >>> verdict(Stop(target=0.9), ()) is None
    True
    """
    accuracies = [record.val_acc for record in epochs]
    if stop.target is not None and any(accuracy >= stop.target for accuracy in accuracies):
        return Verdict(ending="target", reason=f"stopped at target {stop.target:g}")
    for rule in sorted(stop.give_up, key=lambda rule: rule.epoch):
        if len(accuracies) >= rule.epoch and max(accuracies[: rule.epoch]) < rule.below:
            best = max(accuracies[: rule.epoch])
            reason = f"given up: best val_acc {best:.4f} after {rule.epoch} epochs, below {rule.below:g}"
            return Verdict(ending="given-up", reason=reason)
    return None
