"""The last step before a moment: its rate and momentum, and what its optimizer divides gradients by.

Adam divides by D = (1 - b^t) (sqrt(v / (1 - beta_2^t)) + epsilon), b being beta_1: a step is lr times the running mean
of gradients over D. To Adam the loss looks as if each weight had a unit of its own, and D says how large it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fewepochs import controls
from fewepochs.probes.moment import Moment
from fewepochs.specs import updates


def rate_and_momentum(moment: Moment) -> tuple[float, float]:
    """Return rate and momentum of the last step before `moment`; the rate as logged, so that a plateau counts."""
    recipe = moment.recipe
    horizon = controls.horizon(recipe, images=len(moment.data.train))
    lr, momentum, _ = controls.of_epoch(recipe, epoch=moment.epoch, horizon=horizon)[:, -1].tolist()
    return (lr if moment.record is None else moment.record.lr_last), momentum


def divisor(moment: Moment, *, momentum: float) -> Tensor | None:
    """Return D [P] of Adam and AdamW at `moment`, in float32 at least; None for other rules."""
    spec = moment.recipe.optimizer
    if not isinstance(spec, updates.Adam | updates.AdamW):
        return None
    state = moment.optimizer
    t = float(state["t"])
    root = (1.0 - spec.beta_2**t) ** 0.5
    epsilon = spec.epsilon / root if spec.semantics == "keras" else spec.epsilon
    found: Tensor = (1.0 - momentum**t) * (state["v"].sqrt() / root + epsilon)
    return found.to(torch.promote_types(found.dtype, torch.float32))
