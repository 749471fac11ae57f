"""Weight decay, in the three ways that it is done, in front of any update rule.

    coupled       g += s * w                before the rule sees the gradient
    decoupled     w -= lr * s * w           before the rule's update (Keras 3.15, torch 2.13's AdamW)
    independent   w -= s * w                the same, whatever lr is

s is the strength of the step, which may follow a schedule.
"""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from fewepochs.optim.layout import Controls, Layout
from fewepochs.optim.rule import Optimizer
from fewepochs.specs import updates


class Decayed:
    """An update rule with weight decay before it, on the first `touched` weights."""

    def __init__(
        self,
        rule: Optimizer,
        spec: updates.Coupled | updates.Decoupled | updates.Independent,
        *,
        layout: Layout,
    ) -> None:
        self._rule = rule
        self._spec = spec
        self._weights = layout.vector[: layout.touched(spec.on)]

    @torch.no_grad()
    def update(self, gradient: Tensor, controls: Controls) -> None:
        """Decay, then update; `gradient` is left as it is."""
        weights = self._weights
        match self._spec:
            case updates.Coupled():
                gradient = gradient.clone()
                gradient[: len(weights)].addcmul_(weights, (controls.decay * controls.live).to(weights.dtype))
            case updates.Decoupled():
                weights.mul_((1.0 - controls.lr * controls.decay * controls.live).to(weights.dtype))
            case updates.Independent():
                weights.mul_((1.0 - controls.decay * controls.live).to(weights.dtype))
            case _:
                assert_never(self._spec)
        self._rule.update(gradient, controls)

    def averaged(self) -> Tensor | None:
        """Return what the rule says."""
        return self._rule.averaged()

    def state(self) -> dict[str, Tensor]:
        """Return the rule's state; decay has none."""
        return self._rule.state()
