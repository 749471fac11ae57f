"""Update rules as Keras 3 computes them, on all weights at once.

Adam (Kingma & Ba 2015, arXiv:1412.6980), for step t = 1, 2, ...:

    alpha = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t)
    m += (1 - beta_1) * (g - m)
    v += (1 - beta_2) * (g^2 - v)
    w -= alpha * m / (sqrt(v) + epsilon)

Differences from torch.optim.Adam:
1. epsilon is added to sqrt(v), not to sqrt(v_hat): early in training torch's effective epsilon is smaller, by the
   factor sqrt(1 - beta_2^t).
2. The default epsilon is 1e-7, torch's 1e-8.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fewepochs import specs


class Adam:
    """Adam with Keras's rule. Owns m, v and t; writes to the weights, never to the gradient."""

    def __init__(self, spec: specs.Adam, *, weights: Tensor) -> None:
        self._spec = spec
        self._weights = weights
        self._m = torch.zeros_like(weights)
        self._v = torch.zeros_like(weights)
        self._t = torch.zeros((), dtype=torch.float64, device=weights.device)

    @torch.no_grad()
    def update(self, gradient: Tensor, *, lr: Tensor, live: Tensor) -> None:
        """Update the weights [P] from a finite `gradient` [P].

        `lr` is a 0-dim float64 tensor; `live` a 0-dim float64 tensor, 1 to update and 0 to leave everything,
        bit for bit, as it is.
        """
        spec = self._spec
        self._t += live
        # At t = 0 (only frozen steps so far) the correction is 0/0: nan_to_num makes it the 0 that it stands for.
        correction = torch.sqrt(1.0 - spec.beta_2**self._t) / (1.0 - spec.beta_1**self._t)
        alpha = torch.nan_to_num(lr * correction) * live
        self._m.lerp_(gradient, ((1.0 - spec.beta_1) * live).to(gradient.dtype))
        self._v.lerp_(gradient.square(), ((1.0 - spec.beta_2) * live).to(gradient.dtype))
        direction = torch.div(self._m, self._v.sqrt().add_(spec.epsilon))
        self._weights.sub_(direction.mul_(alpha.to(gradient.dtype)))

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones."""
        return {"m": self._m, "v": self._v, "t": self._t}
