"""Adam and Nadam as Keras 3.15 computes them, on all weights at once; `semantics = "torch"` gives torch 2.13's.

Adam (Kingma & Ba 2015, arXiv:1412.6980), for step t = 1, 2, ...:

    alpha = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t)
    m += (1 - beta_1) * (g - m)
    v += (1 - beta_2) * (g^2 - v)
    w -= alpha * m / (sqrt(v) + epsilon)

Differences of torch's Adam:
1. epsilon is added to sqrt(v_hat), not to sqrt(v): early in training Keras's effective epsilon is larger, by the factor
   1 / sqrt(1 - beta_2^t).
2. The default epsilon is 1e-8, Keras's 1e-7.

Nadam (Dozat 2016, "Incorporating Nesterov momentum into Adam"), with m and v as above:

    u_t = beta_1 * (1 - 0.96^(t * momentum_decay) / 2)      U_t = u_1 * ... * u_t
    m_hat = u_(t+1) * m / (1 - U_(t+1)) + (1 - u_t) * g / (1 - U_t)
    v_hat = v / (1 - beta_2^t)
    w -= lr * m_hat / (sqrt(v_hat) + epsilon)

Differences of torch's NAdam, of which the rule is none:
1. The default momentum_decay is 0.004: u_t grows over hundreds of steps. Keras has no such argument, and 1.
2. The default epsilon is 1e-8, Keras's 1e-7.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fewepochs.optim.layout import Controls, Layout
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

    def averaged(self) -> Tensor | None:
        """Return None: evaluation sees the weights as they are."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones."""
        return {"m": self._m, "v": self._v, "t": self._t}


class Nadam:
    """Nadam. Owns m, v, t and the product U of the momenta so far."""

    def __init__(self, spec: updates.Nadam, *, layout: Layout) -> None:
        self._spec = spec
        self._weights = layout.vector
        self._m = torch.zeros_like(self._weights)
        self._v = torch.zeros_like(self._weights)
        self._t = torch.zeros((), dtype=torch.float64, device=self._weights.device)
        self._product = torch.ones_like(self._t)

    @torch.no_grad()
    def update(self, gradient: Tensor, controls: Controls) -> None:
        """Update the weights [P] from a finite `gradient` [P]."""
        spec, live, dtype = self._spec, controls.live, gradient.dtype
        self._t += live
        now, ahead = self._momentum(self._t), self._momentum(self._t + 1.0)
        self._product.mul_(torch.where(live > 0, now, 1.0))
        # Both sides of the fraction are multiplied by root; at t = 0 root is 0 and 0/0 stands for 0, as in Adam.
        root = torch.sqrt(1.0 - spec.beta_2**self._t)
        of_m = torch.nan_to_num(controls.lr * root * ahead / (1.0 - self._product * ahead)) * live
        of_g = torch.nan_to_num(controls.lr * root * (1.0 - now) / (1.0 - self._product)) * live
        self._m.lerp_(gradient, ((1.0 - spec.beta_1) * live).to(dtype))
        self._v.lerp_(gradient.square(), ((1.0 - spec.beta_2) * live).to(dtype))
        denominator = self._v.sqrt().add_((spec.epsilon * root).to(dtype).clamp_min(torch.finfo(dtype).tiny))
        ahead_m = torch.addcmul(self._m * of_m.to(dtype), gradient, of_g.to(dtype))
        self._weights.sub_(ahead_m.div_(denominator))

    def averaged(self) -> Tensor | None:
        """Return None: evaluation sees the weights as they are."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones."""
        return {"m": self._m, "v": self._v, "t": self._t, "product": self._product}

    def _momentum(self, t: Tensor) -> Tensor:
        return self._spec.beta_1 * (1.0 - 0.5 * 0.96 ** (t * self._spec.momentum_decay))
