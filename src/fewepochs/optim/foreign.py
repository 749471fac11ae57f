"""Optimizers that are not ours: any torch.optim.Optimizer, driven as an update rule on all weights at once.

Its parameters are views of the weights' vector, kernels as matrices [out, k*k*in] and everything else as vectors; the
learning rate of a step is set in all of its groups. What it remembers from step to step - tensors and numbers in its
`state` and its `param_groups` - is mirrored in tensors of fixed names, so that a checkpoint holds it; an optimizer that
remembers anything else is refused.

Differences from our own rules:
1. Each step reads one number from the device: whether it is live. Counters that the optimizer keeps on the host cannot
   be frozen otherwise.
2. A schedule of the momentum does not reach it.
3. Randomness that it draws from torch's global generator is not repeated by a resumed run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fewepochs.errors import Problem, RecipeError
from fewepochs.optim import permission
from fewepochs.optim.layout import Controls, Layout
from fewepochs.specs import updates

Groups = list[dict[str, Any]]
Make = Callable[[Groups], torch.optim.Optimizer]


def named(spec: updates.PythonOptimizer, *, layout: Layout, allow_code: Sequence[str]) -> Foreign:
    """Return the optimizer that `spec` names by its dotted name; raises RecipeError where it cannot be used.

    Nothing is imported unless `allow_code` covers it.
    """
    permission.require_allowed(spec, allow_code=allow_code)
    kind = _import(spec.target)
    for taken, instead in (("lr", "optimizer.lr"), ("params", "the network")):
        if taken in spec.arguments:
            raise _refusal("arguments", f"{taken} comes from {instead}", spec.arguments)

    def make(groups: Groups) -> torch.optim.Optimizer:
        try:
            return kind(groups, lr=spec.lr, **spec.arguments)
        except Exception as error:  # the user's own code may raise anything
            message = f"{spec.target} cannot be constructed with these: {type(error).__name__}: {error}"
            raise _refusal("arguments", message, spec.arguments) from error

    return Foreign(make, layout=layout)


class Foreign:
    """A torch.optim.Optimizer as an update rule.

    `make` constructs it, and once more on copies of the weights, for a trial step that shows what it remembers. With
    `decayed`, the first `decayed` weights are its first group, whose weight_decay is each step's strength.
    """

    def __init__(self, make: Make, *, layout: Layout, decayed: int = 0) -> None:
        self._make = make
        self._decayed = decayed > 0
        self._groups = _groups(layout, decayed=decayed)
        self._parameters = [p for group in self._groups for p in group["params"]]
        self._gradient = torch.zeros_like(layout.vector)
        parts = layout.parts(self._gradient).values()
        self._gradients = [part.view_as(p) for part, p in zip(parts, self._parameters, strict=True)]
        copies = [{**group, "params": [nn.Parameter(p.clone()) for p in group["params"]]} for group in self._groups]
        self._memory = _Memory(_tried(make(copies)))
        self._optimizer: torch.optim.Optimizer | None = None

    @torch.no_grad()
    def update(self, gradient: Tensor, controls: Controls) -> None:
        """Update the weights [P] from a finite `gradient` [P]; a frozen step does nothing at all."""
        if not bool(controls.live):
            return
        optimizer = self._recalled()
        lr, _, decay = controls.on_host
        for group in optimizer.param_groups:
            group["lr"] = lr
        if self._decayed:
            optimizer.param_groups[0]["weight_decay"] = decay
        self._gradient.copy_(gradient)  # an optimizer may write to the gradients that it is given
        for parameter, part in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = part
        optimizer.step()
        self._memory.memorise(optimizer)

    def averaged(self) -> Tensor | None:
        """Return None: evaluation sees the weights as they are."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones. "numbers" lies on the host."""
        return self._memory.tensors()

    @property
    def begun(self) -> bool:
        """Whether a step was done."""
        return self._memory.begun

    def _recalled(self) -> torch.optim.Optimizer:
        """Return the optimizer, remembering what the state says: it may have been restored, even to the beginning."""
        optimizer = self._optimizer
        if optimizer is None or not self._memory.begun:
            optimizer = self._optimizer = self._make([dict(group) for group in self._groups])
        if self._memory.begun:
            self._memory.recall(optimizer)
        return optimizer


class _Memory:
    """What an optimizer remembers from step to step, as tensors; `trial` is one that did a first step.

    A place is where it remembers something: the number of a dictionary - parameters' states, then groups - and a key.
    """

    def __init__(self, trial: torch.optim.Optimizer) -> None:
        found = dict(_found(trial))
        self._keys = _keys(trial)
        self._kinds = {place: type(value) for place, value in found.items() if not isinstance(value, Tensor)}
        self._numbers = torch.zeros(1 + len(self._kinds), dtype=torch.float64)  # the first: whether there was a step
        self._vectors: dict[str, Tensor] = {}
        self._views: dict[tuple[int, str], Tensor] = {}
        alike: dict[tuple[str, torch.dtype, torch.device], dict[tuple[int, str], Tensor]] = {}
        for place, value in found.items():
            if isinstance(value, Tensor):
                alike.setdefault((place[1], value.dtype, value.device), {})[place] = value
        for (key, dtype, device), tensors in alike.items():
            vector = torch.zeros(sum(t.numel() for t in tensors.values()), dtype=dtype, device=device)
            self._vectors[key if key not in self._vectors else f"{key}.{len(self._vectors)}"] = vector
            parts = torch.split(vector, [t.numel() for t in tensors.values()])
            self._views.update({p: part.view(t.shape) for (p, t), part in zip(tensors.items(), parts, strict=True)})

    @property
    def begun(self) -> bool:
        """Whether a step was done."""
        begun: float = self._numbers.tolist()[0]
        return begun == 1.0

    def tensors(self) -> dict[str, Tensor]:
        """Return all of it by name; what is copied into it is what the optimizer recalls."""
        return {"numbers": self._numbers, **self._vectors}

    def recall(self, optimizer: torch.optim.Optimizer) -> None:
        """Let `optimizer` remember what the tensors say."""
        holders = _holders(optimizer)
        for (index, key), view in self._views.items():
            holders[index][key] = view
        for ((index, key), kind), number in zip(self._kinds.items(), self._numbers.tolist()[1:], strict=True):
            holders[index][key] = kind(number)

    def memorise(self, optimizer: torch.optim.Optimizer) -> None:
        """Take in what `optimizer` remembers after a step."""
        holders = _holders(optimizer)
        if _keys(optimizer) != self._keys:
            raise _refusal("target", "remembers other things than after its first step: no checkpoint could hold them")
        for (index, key), view in self._views.items():
            value = holders[index][key]
            if value is not view:  # it made a new tensor
                view.copy_(value)
                holders[index][key] = view
        numbers = [float(holders[index][key]) for index, key in self._kinds]
        self._numbers.copy_(torch.tensor([1.0, *numbers], dtype=torch.float64))


# --- what an optimizer looks like from outside --------------------------------------------------------------------


def _groups(layout: Layout, *, decayed: int) -> Groups:
    """Return the weights as parameters, views of the vector: in one group, or in two of which the first is decayed."""
    groups: Groups = [{"params": []}] if decayed == 0 else [{"params": []}, {"params": [], "weight_decay": 0.0}]
    end = 0
    for name, part in layout.parts(layout.vector).items():
        end += part.numel()
        shaped = part.view(layout.rows[name], -1) if name in layout.rows else part
        groups[0 if end <= decayed or decayed == 0 else 1]["params"].append(nn.Parameter(shaped))
    return [group for group in groups if group["params"]]


def _holders(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    groups: Groups = optimizer.param_groups
    return [*(optimizer.state[p] for group in groups for p in group["params"]), *groups]


def _keys(optimizer: torch.optim.Optimizer) -> list[frozenset[str]]:
    return [frozenset(holder) for holder in _holders(optimizer)]


def _found(optimizer: torch.optim.Optimizer) -> Iterator[tuple[tuple[int, str], Tensor | float]]:
    """Yield what `optimizer` remembers, by place; raises RecipeError for what no tensor could hold."""
    holders = _holders(optimizer)
    states = len(holders) - len(optimizer.param_groups)
    if len(optimizer.state) != states:
        raise _refusal("target", "keeps state that belongs to no parameter: no checkpoint could hold it")
    for index, holder in enumerate(holders):
        for key, value in holder.items():
            if index >= states and key in ("params", "lr"):
                continue
            if isinstance(value, Tensor | int | float):
                yield (index, key), value
            elif index < states and value is not None:
                raise _refusal("target", f"keeps {key!r}, a {type(value).__name__}, which no checkpoint could hold")


def _tried(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Return `optimizer` after a step with a gradient of zeros."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    try:
        optimizer.step()
    except Exception as error:  # the user's own code may raise anything
        raise _refusal("target", f"its step() fails: {type(error).__name__}: {error}") from error
    return optimizer


def _import(target: str) -> Callable[..., torch.optim.Optimizer]:
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # a module of the user's own may raise anything
        message = f"{module} cannot be imported (is it installed, or on PYTHONPATH?): {type(error).__name__}: {error}"
        raise _refusal("target", message, target) from error
    if found is None:
        raise _refusal("target", f"{module} has no {name}", target)
    if not (isinstance(found, type) and issubclass(found, torch.optim.Optimizer)):
        raise _refusal("target", "not a class derived from torch.optim.Optimizer", target)
    return found


def _refusal(field: str, message: str, value: object = None) -> RecipeError:
    shown = None if value is None else repr(value)
    return RecipeError("recipe", (Problem(f"optimizer.{field}", message, shown),))
