"""Schedule-Free SGD and AdamW (Defazio et al. 2024, arXiv:2405.15682), by their authors' package `schedulefree`.

Gradients are taken at y, evaluation sees x, and z is what descends:

    y = (1 - beta) * z + beta * x        z -= lr * direction(g(y))        x += c_t * (z - x)

with direction(g) = g (SGD, whose momentum is beta) or g / (sqrt(v_hat) + epsilon) (AdamW, whose beta_1 is beta), and
c_t = lr_max^2 / (sum of lr_max^2 so far). A run's weights are y; evaluation sees x = y + (1 - 1 / beta) * (z - y).

Decoupled weight decay is the package's: strength * y is part of the direction, after the division by the root. So lr *
strength * y is subtracted from z, not a share of each weight before the update.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fewepochs.errors import Problem, RecipeError
from fewepochs.optim import foreign
from fewepochs.optim.layout import Controls, Layout
from fewepochs.specs import updates

EXTRA = "pip install 'fewepochs[schedulefree]'"


class ScheduleFree:
    """Schedule-Free SGD or AdamW; the weights are y."""

    def __init__(
        self,
        spec: updates.ScheduleFreeSgd | updates.ScheduleFreeAdamW,
        *,
        layout: Layout,
        weight_decay: updates.WeightDecay,
    ) -> None:
        self._weights = layout.vector
        self._beta = spec.momentum if isinstance(spec, updates.ScheduleFreeSgd) else spec.beta_1
        decayed = 0
        if isinstance(weight_decay, updates.Decoupled):
            decayed = layout.touched(weight_decay.on)
        elif not isinstance(weight_decay, updates.NoWeightDecay):
            problem = Problem("weight_decay.kind", "not for Schedule-Free", repr(weight_decay.kind), "none, decoupled")
            raise RecipeError("recipe", (problem,))
        self._rule = foreign.Foreign(lambda groups: _made(spec, groups), layout=layout, decayed=decayed)

    def update(self, gradient: Tensor, controls: Controls) -> None:
        """Update the weights [P], y, from a finite `gradient` [P] at y."""
        self._rule.update(gradient, controls)

    @torch.no_grad()
    def averaged(self) -> Tensor:
        """Return x [P], by the formula of the package's eval(); that would turn y into x, and not back bit for bit."""
        if not self._rule.begun:
            return self._weights.clone()
        return self._weights.lerp(self._rule.state()["z"], 1.0 - 1.0 / self._beta)

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones."""
        return self._rule.state()


def _made(spec: updates.ScheduleFreeSgd | updates.ScheduleFreeAdamW, groups: foreign.Groups) -> torch.optim.Optimizer:
    try:
        import schedulefree
    except ImportError:
        problem = Problem("optimizer.kind", f"needs the package schedulefree: {EXTRA}", repr(spec.kind))
        raise RecipeError("recipe", (problem,)) from None
    optimizer: Any
    if isinstance(spec, updates.ScheduleFreeSgd):
        optimizer = schedulefree.SGDScheduleFree(
            groups, lr=spec.lr, momentum=spec.momentum, weight_decay=0.0, warmup_steps=spec.warm_up_steps
        )
    else:
        optimizer = schedulefree.AdamWScheduleFree(
            groups,
            lr=spec.lr,
            betas=(spec.beta_1, spec.beta_2),
            eps=spec.epsilon,
            weight_decay=0.0,
            warmup_steps=spec.warm_up_steps,
        )
    optimizer.train()
    found: torch.optim.Optimizer = optimizer
    return found
