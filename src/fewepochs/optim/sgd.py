"""SGD and RMSprop as Keras 3.15 computes them, on all weights at once; `semantics = "torch"` gives torch 2.13's.

SGD with heavy-ball momentum (Polyak 1964), or with Nesterov's (Sutskever et al. 2013):

    b = momentum * b - lr * g        w += b        with Nesterov momentum w += momentum * b - lr * g

Differences of torch's SGD:
1. The buffer holds gradients, b = momentum * b + g, and lr multiplies it: w -= lr * b, with Nesterov momentum
   w -= lr * (g + momentum * b). A change of lr acts at once on what the buffer holds.

RMSprop (Tieleman & Hinton 2012, Coursera lecture 6.5; centered: Graves 2013, arXiv:1308.0850):

    v = rho * v + (1 - rho) * g^2
    a = rho * a + (1 - rho) * g                        if centered; else a = 0
    b = momentum * b + lr * g / sqrt(v - a^2 + epsilon)
    w -= b

Differences of torch's RMSprop:
1. epsilon is added to the root, not under it: g / (sqrt(v - a^2) + epsilon). Keras's smallest denominator is
   sqrt(epsilon), 3e-4 by default, torch's is epsilon.
2. The buffer is without lr, b = momentum * b + g / (...), and lr multiplies it: w -= lr * b, as in SGD.
3. The default epsilon is 1e-8, Keras's 1e-7. (torch's default rho, "alpha", is 0.99; here it is 0.9 for both.)

Difference from both:
1. v - a^2 that rounding makes negative is taken as 0; torch's root of it, and Keras's with a small epsilon, is NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fewepochs.optim.layout import Controls, Layout
from fewepochs.optim.rule import if_live
from fewepochs.specs import updates


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

    def averaged(self) -> Tensor | None:
        """Return None: evaluation sees the weights as they are."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones."""
        return {"buffer": self._buffer}


class RmsProp:
    """RMSprop. Owns v, the momentum buffer, and the mean gradient if centered."""

    def __init__(self, spec: updates.RmsProp, *, layout: Layout) -> None:
        self._spec = spec
        self._weights = layout.vector
        self._v = torch.zeros_like(self._weights)
        # There at momentum 0, too: a schedule may move the momentum of a recipe that gives none.
        self._buffer = torch.zeros_like(self._weights)
        self._mean = torch.zeros_like(self._weights) if spec.centered else None

    @torch.no_grad()
    def update(self, gradient: Tensor, controls: Controls) -> None:
        """Update the weights [P] from a finite `gradient` [P]."""
        spec, dtype = self._spec, gradient.dtype
        lr = (controls.lr * controls.live).to(dtype)
        momentum = if_live(controls.momentum, 1.0, controls, dtype)
        share = ((1.0 - spec.rho) * controls.live).to(dtype)
        variance = self._v.lerp_(gradient.square(), share)
        if self._mean is not None:
            self._mean.lerp_(gradient, share)
            variance = (variance - self._mean.square()).clamp_min_(0.0)
        epsilon = max(spec.epsilon, torch.finfo(dtype).tiny)
        if spec.semantics == "keras":
            self._buffer.mul_(momentum).addcdiv_(gradient * lr, (variance + epsilon).sqrt_())
            self._weights.addcmul_(self._buffer, -controls.live.to(dtype))
        else:
            self._buffer.mul_(momentum).addcdiv_(gradient, variance.sqrt().add_(epsilon))
            self._weights.addcmul_(self._buffer, -lr)

    def averaged(self) -> Tensor | None:
        """Return None: evaluation sees the weights as they are."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones."""
        centered = {} if self._mean is None else {"mean": self._mean}
        return {"v": self._v, "buffer": self._buffer, **centered}
