"""Optimizers as a user may bring them, and things that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

RATE = 0.1


class Replacing(torch.optim.Optimizer):
    """Momentum that is a new tensor in each step, with counters of Python's own; it writes to its gradients."""

    def __init__(self, params: Iterable[Any], lr: float, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "steps": 0, "warm": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["steps"] += 1
            group["warm"] = group["steps"] > 3
            for p in group["params"]:
                state = self.state[p]
                state["count"] = state.get("count", 0) + 1
                state["buffer"] = group["momentum"] * state.get("buffer", torch.zeros_like(p)) + p.grad
                p.grad.zero_()
                p.sub_(state["buffer"], alpha=group["lr"] / state["count"] ** 0.5 * (1.0 if group["warm"] else 0.5))


class Growing(Replacing):
    """Remembers more from its second step on."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        super().step()
        for group in self.param_groups:
            if group["steps"] == 2:
                group["late"] = 1.0


class Listing(Replacing):
    """Remembers a list."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                history: list[Tensor] = self.state[p].setdefault("history", [])
                history.append(p.clone())


class Global(Replacing):
    """Remembers something that belongs to no parameter."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        self.state["everywhere"] = 1.0  # type: ignore[index]
