"""LAMB (You et al. 2019, arXiv:1904.00962) as Keras 3.15 computes it, on all weights at once.

Adam's direction u, scaled for each tensor - a kernel, a bias, a layer's BN scales - to the norm of its weights:

    m += (1 - beta_1) * (g - m)              m_hat = m / (1 - beta_1^t)
    v += (1 - beta_2) * (g^2 - v)            v_hat = v / (1 - beta_2^t)
    u = m_hat / (sqrt(v_hat) + epsilon)
    w -= lr * (|w| / |u|) * u                the factor |w| / |u| is 1 where either norm is 0

Differences from the paper, as in Keras:
1. Weight decay is no part of u: a decoupled one acts before the update, and |w| is taken after it.
2. |w| is not bounded.

torch 2.13 has no LAMB.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fewepochs.optim.layout import Controls, Layout
from fewepochs.specs import updates


class Lamb:
    """LAMB. Owns m, v and t."""

    def __init__(self, spec: updates.Lamb, *, layout: Layout) -> None:
        self._spec = spec
        self._weights = layout.vector
        self._m = torch.zeros_like(self._weights)
        self._v = torch.zeros_like(self._weights)
        self._t = torch.zeros((), dtype=torch.float64, device=self._weights.device)
        self._parts = tuple(layout.parts(self._weights).values())
        self._sizes = [part.numel() for part in self._parts]
        self._repeats = torch.tensor(self._sizes, device=self._weights.device)

    @torch.no_grad()
    def update(self, gradient: Tensor, controls: Controls) -> None:
        """Update the weights [P] from a finite `gradient` [P]."""
        spec, live, dtype = self._spec, controls.live, gradient.dtype
        self._t += live
        self._m.lerp_(gradient, ((1.0 - spec.beta_1) * live).to(dtype))
        self._v.lerp_(gradient.square(), ((1.0 - spec.beta_2) * live).to(dtype))
        # Both sides of u's fraction are multiplied by root; at t = 0 root is 0 and 0/0 stands for 0, as in Adam.
        root = torch.sqrt(1.0 - spec.beta_2**self._t)
        alpha = torch.nan_to_num(root / (1.0 - spec.beta_1**self._t))
        denominator = self._v.sqrt().add_((spec.epsilon * root).to(dtype).clamp_min(torch.finfo(dtype).tiny))
        u = torch.div(self._m * alpha.to(dtype), denominator)
        ratios = _norms(self._parts) / _norms(torch.split(u, self._sizes))
        ratios = torch.where(ratios.isfinite() & (ratios > 0), ratios, 1.0)
        steps = torch.where(live > 0, ratios * controls.lr.to(dtype), 0.0)
        self._weights.sub_(u.mul_(torch.repeat_interleave(steps, self._repeats, output_size=len(u))))

    def averaged(self) -> Tensor | None:
        """Return None: evaluation sees the weights as they are."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones."""
        return {"m": self._m, "v": self._v, "t": self._t}


def _norms(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack([torch.linalg.vector_norm(part) for part in parts])
