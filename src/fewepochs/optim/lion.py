"""Lion (Chen et al. 2023, arXiv:2302.06675) as Keras 3.15 computes it, on all weights at once.

    w -= lr * sign(beta_1 * m + (1 - beta_1) * g)
    m = beta_2 * m + (1 - beta_2) * g

Every weight with a gradient moves by lr in every step: published rates are 3 to 10 times smaller than AdamW's, and
decoupled weight decay as many times stronger. torch 2.13 has no Lion.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fewepochs.optim.layout import Controls, Layout
from fewepochs.specs import updates


class Lion:
    """Lion. Owns m."""

    def __init__(self, spec: updates.Lion, *, layout: Layout) -> None:
        self._spec = spec
        self._weights = layout.vector
        self._m = torch.zeros_like(self._weights)

    @torch.no_grad()
    def update(self, gradient: Tensor, controls: Controls) -> None:
        """Update the weights [P] from a finite `gradient` [P]."""
        spec, dtype = self._spec, gradient.dtype
        # Keras's order of operations: a sign has no small errors.
        direction = (self._m * spec.beta_1).add_(gradient, alpha=1.0 - spec.beta_1).sign_()
        self._weights.addcmul_(direction, (-controls.lr * controls.live).to(dtype))
        self._m.lerp_(gradient, ((1.0 - spec.beta_2) * controls.live).to(dtype))

    def averaged(self) -> Tensor | None:
        """Return None: evaluation sees the weights as they are."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones."""
        return {"m": self._m}
