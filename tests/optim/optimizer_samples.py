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
    """Remembers more from its fifth step on."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        super().step()
        for group in self.param_groups:
            if group["steps"] == 5:
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


class Descent(torch.optim.Optimizer):
    """Plain descent, what the samples below add their memory to."""

    def __init__(self, params: Iterable[Any], lr: float, **more: Any) -> None:
        super().__init__(params, {"lr": lr, **more})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                self.move(p, p.grad, group)

    def move(self, p: Any, gradient: Tensor, group: dict[str, Any]) -> None:
        """Update one parameter."""
        p.sub_(gradient, alpha=group["lr"])


class Counting(Descent):
    """Counts its steps in an attribute; nothing shows in the weights before the tenth."""

    t = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        self.t += 1
        if self.t < 10:
            super().step()


class Beginning(Descent):
    """Knows by an attribute whether its first step is still to come."""

    first = True

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        if not self.first:
            super().step()
        self.first = False


class Grouping(Descent):
    """Remembers a list in its groups."""

    def __init__(self, params: Iterable[Any], lr: float) -> None:
        super().__init__(params, lr, history=[])

    def move(self, p: Any, gradient: Tensor, group: dict[str, Any]) -> None:
        """Update one parameter."""
        group["history"].append(float(gradient.norm()))
        super().move(p, gradient, group)


class Adapting(Descent):
    """Multiplies its rate by a factor that grows with each gradient, and begins as a whole number."""

    def __init__(self, params: Iterable[Any], lr: float) -> None:
        super().__init__(params, lr, d=1)

    def move(self, p: Any, gradient: Tensor, group: dict[str, Any]) -> None:
        """Update one parameter."""
        if gradient.any():
            group["d"] = group["d"] * 1.05
        p.sub_(gradient, alpha=group["lr"] * group["d"])


class Lazy(Descent):
    """Momentum that is None until there is a gradient."""

    def move(self, p: Any, gradient: Tensor, group: dict[str, Any]) -> None:
        """Update one parameter."""
        state = self.state[p]
        if state.setdefault("buffer", None) is None and gradient.any():
            state["buffer"] = torch.zeros_like(p)
        if state["buffer"] is not None:
            state["buffer"].mul_(0.9).add_(gradient)
            p.sub_(state["buffer"], alpha=group["lr"])


class Numbers(Descent):
    """Momentum under the name that our own record of numbers has."""

    def move(self, p: Any, gradient: Tensor, group: dict[str, Any]) -> None:
        """Update one parameter."""
        buffer = self.state[p].setdefault("numbers", torch.zeros_like(p))
        buffer.mul_(0.9).add_(gradient)
        p.sub_(buffer, alpha=group["lr"])


class Drawing(Descent):
    """Descends along a gradient with noise of torch's global generator."""

    def move(self, p: Any, gradient: Tensor, group: dict[str, Any]) -> None:
        """Update one parameter."""
        self.state[p]["noise"] = torch.randn_like(p)
        p.sub_(gradient + self.state[p]["noise"], alpha=group["lr"])


class Detaching(Descent):
    """Puts a new tensor in each parameter's place, from the given step on."""

    def __init__(self, params: Iterable[Any], lr: float, begin: int) -> None:
        super().__init__(params, lr, begin=begin, moves=0)

    def move(self, p: Any, gradient: Tensor, group: dict[str, Any]) -> None:
        """Update one parameter."""
        group["moves"] += 1
        if group["moves"] < group["begin"]:
            super().move(p, gradient, group)
        else:
            p.data = p.data - group["lr"] * gradient


class Narrow(Descent):
    """Momentum in a type of the user's choice."""

    def __init__(self, params: Iterable[Any], lr: float, dtype: str) -> None:
        super().__init__(params, lr, dtype=dtype)

    def move(self, p: Any, gradient: Tensor, group: dict[str, Any]) -> None:
        """Update one parameter."""
        state, dtype = self.state[p], getattr(torch, group["dtype"])
        buffer = 0.9 * state.get("buffer", torch.zeros_like(p)).to(p.dtype) + gradient
        state["buffer"] = buffer.to(dtype)
        p.sub_(state["buffer"].to(p.dtype), alpha=group["lr"])
