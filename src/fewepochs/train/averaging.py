"""Averages of the weights along a run, for evaluation to see.

    EMA   a += (1 - decay) * (w - a)     after every `every` steps, a = w at first
    SWA   a += (w - a) / n               after the n-th epoch that ends beyond the share `start` of the budget
                                         (Izmailov et al. 2018, arXiv:1803.05407)

An average does not change training. It is state: a resumed run needs it.
"""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from fewepochs.specs import updates


def bn_images(averaging: updates.Averaging, optimizer: updates.Optimizer) -> int:
    """Return how many training images BN's statistics of averaged weights are taken from; 0 where none are averaged."""
    if isinstance(averaging, updates.Ema | updates.Swa):
        return averaging.bn_images
    if isinstance(optimizer, updates.ScheduleFreeSgd | updates.ScheduleFreeAdamW):
        return optimizer.bn_images
    return 0


class WeightAverage:
    """The average of the weights [P] that a spec asks for."""

    def __init__(self, spec: updates.Ema | updates.Swa, *, weights: Tensor) -> None:
        self._spec = spec
        self._weights = weights
        self._start = spec.start if isinstance(spec, updates.Swa) else 0.0
        self._average = weights.clone()
        self._count = torch.zeros((), dtype=torch.float64, device=weights.device)

    @torch.no_grad()
    def after_step(self, *, live: Tensor) -> None:
        """Take the weights in after a step; a frozen step changes no bit."""
        match self._spec:
            case updates.Ema(decay=decay, every=every):
                self._count += live
                due = (self._count.remainder(every) == 0) & (live > 0)
                self._average.lerp_(self._weights, (due.double() * (1.0 - decay)).to(self._weights.dtype))
            case updates.Swa():
                pass
            case _:
                assert_never(self._spec)

    @torch.no_grad()
    def after_epoch(self, *, done: float) -> None:
        """Take the weights in after an epoch; `done` is the share of the budget that is then done."""
        if isinstance(self._spec, updates.Swa) and done > self._start:
            self._count += 1.0
            self._average.lerp_(self._weights, (1.0 / self._count).to(self._weights.dtype))

    def average(self, *, done: float) -> Tensor | None:
        """Return the average [P] once the share `done` of the budget is done, None where there is none yet."""
        return self._average if done > self._start else None

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones."""
        return {"weights": self._average, "count": self._count}
