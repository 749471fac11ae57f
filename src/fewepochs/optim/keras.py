"""Update rules as Keras 3.15 computes them, on all weights at once; `semantics = "torch"` gives torch 2.13's.

Adam (Kingma & Ba 2015, arXiv:1412.6980), for step t = 1, 2, ...:

    alpha = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t)
    m += (1 - beta_1) * (g - m)
    v += (1 - beta_2) * (g^2 - v)
    w -= alpha * m / (sqrt(v) + epsilon)

Differences of torch's Adam:
1. epsilon is added to sqrt(v_hat), not to sqrt(v): early in training Keras's effective epsilon is larger, by the factor
   1 / sqrt(1 - beta_2^t).
2. The default epsilon is 1e-8, Keras's 1e-7.

SGD with momentum:

    v = momentum * v - lr * g        w += v        with Nesterov momentum w += momentum * v - lr * g

Differences of torch's SGD:
1. The buffer holds gradients, b = momentum * b + g, and lr multiplies it: w -= lr * b, with Nesterov momentum
   w -= lr * (g + momentum * b). A change of lr acts at once on what the buffer holds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fewepochs.optim.layout import Controls, Layout
from fewepochs.optim.rule import if_live
from fewepochs.specs import updates


class Adam:
    """Adam. Owns m, v and t; writes to the weights, never to the gradient."""

    def __init__(self, spec: updates.Adam | updates.AdamW, *, layout: Layout) -> None:
        self._spec = spec
        self._weights = layout.vector
        self._m = torch.zeros_like(self._weights)
        self._v = torch.zeros_like(self._weights)
        self._t = torch.zeros((), dtype=torch.float64, device=self._weights.device)

    @torch.no_grad()
    def update(self, gradient: Tensor, controls: Controls) -> None:
        """Update the weights [P] from a finite `gradient` [P]."""
        spec, live, dtype = self._spec, controls.live, gradient.dtype
        self._t += live
        # At t = 0 (only frozen steps so far) the corrections are 0/0: nan_to_num makes it the 0 that it stands for.
        root = torch.sqrt(1.0 - spec.beta_2**self._t)
        alpha = torch.nan_to_num(controls.lr * root / (1.0 - controls.momentum**self._t)) * live
        epsilon = torch.full_like(root, spec.epsilon) if spec.semantics == "keras" else spec.epsilon * root
        self._m.lerp_(gradient, ((1.0 - controls.momentum) * live).to(dtype))
        self._v.lerp_(gradient.square(), ((1.0 - spec.beta_2) * live).to(dtype))
        # torch's m / (sqrt(v) / root + epsilon) / (1 - beta_1^t) with root multiplied through: one rule for both.
        denominator = self._v.sqrt().add_(epsilon.to(dtype).clamp_min(torch.finfo(dtype).tiny))
        self._weights.sub_(torch.div(self._m, denominator).mul_(alpha.to(dtype)))

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones."""
        return {"m": self._m, "v": self._v, "t": self._t}


class Sgd:
    """Gradient descent with heavy-ball or Nesterov momentum. Owns the buffer, of either semantics."""

    def __init__(self, spec: updates.Sgd, *, layout: Layout) -> None:
        self._spec = spec
        self._weights = layout.vector
        self._buffer = torch.zeros_like(self._weights)

    @torch.no_grad()
    def update(self, gradient: Tensor, controls: Controls) -> None:
        """Update the weights [P] from a finite `gradient` [P]."""
        dtype = gradient.dtype
        lr = (controls.lr * controls.live).to(dtype)
        momentum = if_live(controls.momentum, 1.0, controls, dtype)
        if self._spec.semantics == "keras":
            self._buffer.mul_(momentum).addcmul_(gradient, -lr)
            ahead = self._buffer * momentum - lr * gradient if self._spec.nesterov else self._buffer
            self._weights.addcmul_(ahead, controls.live.to(dtype))
        else:
            self._buffer.mul_(momentum).add_(gradient)
            ahead = torch.addcmul(gradient, self._buffer, momentum) if self._spec.nesterov else self._buffer
            self._weights.addcmul_(ahead, -lr)

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones."""
        return {"buffer": self._buffer}
