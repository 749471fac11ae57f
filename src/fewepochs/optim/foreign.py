"""Optimizers that are not ours: any torch.optim.Optimizer, driven as an update rule on all weights at once.

Its parameters are views of the weights' vector, kernels as matrices [out, k*k*in] and everything else as vectors; the
learning rate of a step is set in all of its groups. What it remembers from step to step - tensors and numbers in its
`state` and its `param_groups` - is mirrored in tensors of fixed names, so that a checkpoint holds it; an optimizer that
remembers anything else is refused. A trial shows it, on copies of the weights, before the first step: three steps, the
third of them once more by an optimizer that is made anew and recalls what the mirror says.

Differences from our own rules:
1. Each step reads one number from the device: whether it is live. Counters that the optimizer keeps on the host cannot
   be frozen otherwise.
2. A schedule of the momentum does not reach it.
3. Randomness that it draws from torch's global generator is not repeated by a resumed run.
"""

from __future__ import annotations

import importlib
import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fewepochs.errors import Problem, RecipeError
from fewepochs.optim import permission, rule
from fewepochs.optim.layout import Controls, Layout
from fewepochs.specs import updates

Groups = list[dict[str, Any]]
Make = Callable[[Groups], torch.optim.Optimizer]
Place = tuple[int, str]
"""Where an optimizer remembers something: the number of a dictionary - parameters' states, then groups - and a key."""

_ADVICE = "keep all of it in state or param_groups, as tensors and numbers of one type from the first step on"


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

    `make` constructs it, and twice more on copies of the weights, for the trial. With `decayed`, the first `decayed`
    weights are its first group, whose weight_decay is each step's strength.
    """

    def __init__(self, make: Make, *, layout: Layout, decayed: int = 0) -> None:
        self._make = make
        self._decayed = decayed > 0
        self._groups = _groups(layout, decayed=decayed)
        self._parameters = [p for group in self._groups for p in group["params"]]
        self._gradient = torch.zeros_like(layout.vector)
        parts = layout.parts(self._gradient).values()
        self._gradients = [part.view_as(p) for part, p in zip(parts, self._parameters, strict=True)]
        self._memory = _tried(make, self._groups)
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
        _step(optimizer)
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
    """What an optimizer remembers from step to step, as tensors; `trial` is one that did a first step."""

    def __init__(self, trial: torch.optim.Optimizer) -> None:
        self._kinds = _kinds(trial)
        self._counted = [place for place, kind in self._kinds.items() if issubclass(kind, int | float)]
        self._numbers = torch.zeros(1 + len(self._counted), dtype=torch.float64)  # the first: whether there was a step
        self._tensors = {"numbers": self._numbers}
        self._views: dict[Place, Tensor] = {}
        alike: dict[tuple[str, torch.dtype, torch.device], dict[Place, Tensor]] = {}
        for place, value in _entries(trial):
            if isinstance(value, Tensor):
                alike.setdefault((place[1], value.dtype, value.device), {})[place] = value
        for (key, dtype, device), tensors in alike.items():
            if dtype not in rule.STATE_DTYPES:
                known = ", ".join(str(known).removeprefix("torch.") for known in rule.STATE_DTYPES)
                raise _refusal("target", f"keeps {key!r} as {dtype}, which no checkpoint could hold; known: {known}")
            vector = torch.zeros(sum(t.numel() for t in tensors.values()), dtype=dtype, device=device)
            self._tensors[_unused(key, self._tensors)] = vector
            parts = torch.split(vector, [t.numel() for t in tensors.values()])
            self._views.update({p: part.view(t.shape) for (p, t), part in zip(tensors.items(), parts, strict=True)})

    @property
    def begun(self) -> bool:
        """Whether a step was done."""
        begun: float = self._numbers.tolist()[0]
        return begun == 1.0

    def tensors(self) -> dict[str, Tensor]:
        """Return all of it by name; what is copied into it is what the optimizer recalls."""
        return dict(self._tensors)

    def recall(self, optimizer: torch.optim.Optimizer) -> None:
        """Let `optimizer` remember what the tensors say."""
        holders = _holders(optimizer)
        for (index, key), view in self._views.items():
            holders[index][key] = view
        for place, number in zip(self._counted, self._numbers.tolist()[1:], strict=True):
            holders[place[0]][place[1]] = self._kinds[place](number)

    def memorise(self, optimizer: torch.optim.Optimizer) -> None:
        """Take in what `optimizer` remembers after a step."""
        holders, kinds = _holders(optimizer), _kinds(optimizer)
        if changed := kinds.items() ^ self._kinds.items():
            raise _refusal("target", f"remembers other things than after its first step, {_listed(changed)}: {_ADVICE}")
        for (index, key), view in self._views.items():
            value = holders[index][key]
            if value is not view:  # it made a new tensor
                if (value.shape, value.dtype, value.device) != (view.shape, view.dtype, view.device):
                    raise _refusal("target", f"keeps {key!r} in another shape or type than after its first step")
                view.copy_(value)
                holders[index][key] = view
        numbers = [float(holders[index][key]) for index, key in self._counted]
        self._numbers.copy_(torch.tensor([1.0, *numbers], dtype=torch.float64))


# --- the trial ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def _tried(make: Make, groups: Groups) -> _Memory:
    """Return the memory for what `make` makes; raises RecipeError for what no checkpoint could hold."""
    copies = [{**group, "params": [nn.Parameter(p.clone()) for p in group["params"]]} for group in groups]
    optimizer = make([dict(group) for group in copies])
    _try_step(optimizer, 1.0)
    memory = _Memory(optimizer)
    memory.memorise(optimizer)
    _try_step(optimizer, -0.5)
    memory.memorise(optimizer)

    live = [*(p for group in copies for p in group["params"]), *memory.tensors().values()]
    before, elsewhere = [tensor.clone() for tensor in live], _elsewhere(optimizer)
    _try_step(optimizer, 0.25)
    memory.memorise(optimizer)
    after = [_bits(tensor) for tensor in live]
    if changed := elsewhere.items() ^ _elsewhere(optimizer).items():
        raise _refusal("target", f"remembers what no checkpoint could hold, {_listed(changed)}: {_ADVICE}")

    for tensor, value in zip(live, before, strict=True):
        tensor.copy_(value)
    again = make([dict(group) for group in copies])
    memory.recall(again)
    _try_step(again, 0.25)
    memory.memorise(again)
    if [_bits(tensor) for tensor in live] != after:
        raise _refusal("target", f"does another third step when it is made anew after the second: {_ADVICE}")
    for tensor in memory.tensors().values():
        tensor.zero_()
    return memory


def _try_step(optimizer: torch.optim.Optimizer, size: float) -> None:
    """Let `optimizer` do a step with a gradient of `size` everywhere; what it draws is the same in every trial step."""
    devices = set()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, size)
            devices.add(parameter.device)
    with torch.random.fork_rng([device for device in devices if device.type == "cuda"]):
        try:
            _step(optimizer)
        except RecipeError:
            raise
        except Exception as error:  # the user's own code may raise anything
            raise _refusal("target", f"its step() fails: {type(error).__name__}: {error}") from error


def _step(optimizer: torch.optim.Optimizer) -> None:
    """Let `optimizer` do a step; raises RecipeError where it leaves the weights and goes on with tensors of its own."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    places = [p.data_ptr() for p in parameters]
    optimizer.step()
    if [p.data_ptr() for p in parameters] != places:
        message = "puts another tensor in a parameter's place, so the network's weights never move"
        raise _refusal("target", f"{message}: write into it, p.data.sub_(...) instead of p.data = p.data - ...")


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
    holders = [*(optimizer.state[p] for group in groups for p in group["params"]), *groups]
    if len(optimizer.state) != len(holders) - len(groups):
        raise _refusal("target", "keeps state that belongs to no parameter: no checkpoint could hold it")
    return holders


def _entries(optimizer: torch.optim.Optimizer) -> Iterator[tuple[Place, Any]]:
    """Yield what `optimizer` has in its state and groups, by place, without what is set from outside."""
    holders = _holders(optimizer)
    states = len(holders) - len(optimizer.param_groups)
    for index, holder in enumerate(holders):
        for key, value in holder.items():
            if index < states or key not in ("params", "lr"):
                yield (index, key), value


def _kinds(optimizer: torch.optim.Optimizer) -> dict[Place, type]:
    """Return the type of each thing that `optimizer` has; raises RecipeError for state that no tensor could hold."""
    states = sum(len(group["params"]) for group in optimizer.param_groups)
    kinds: dict[Place, type] = {}
    for place, value in _entries(optimizer):
        kinds[place] = Tensor if isinstance(value, Tensor) else type(value)
        if place[0] < states and not (value is None or isinstance(value, Tensor | int | float)):
            raise _refusal("target", f"keeps {place[1]!r}, a {type(value).__name__}, which no checkpoint could hold")
    return kinds


def _elsewhere(optimizer: torch.optim.Optimizer) -> dict[Place, object]:
    """Return what `optimizer` has where no checkpoint looks: its attributes, and in its groups what is no number."""
    found = {(-1, key): value for key, value in vars(optimizer).items() if key not in ("state", "param_groups")}
    found.update((place, v) for place, v in _entries(optimizer) if not isinstance(v, Tensor | int | float))
    return {place: _comparable(value) for place, value in found.items()}


def _comparable(value: object) -> object:
    """Return something hashable that differs where the plain data in `value` do; of other objects, which they are."""
    match value:
        case nn.Parameter():  # the optimizer's own weights change, and are held
            return id(value)
        case Tensor():
            return str(value.dtype), tuple(value.shape), _bits(value)
        case dict():
            return tuple((_comparable(key), _comparable(item)) for key, item in value.items())
        case list() | tuple() | deque():
            return tuple(_comparable(item) for item in value)
        case set() | frozenset():
            return frozenset(_comparable(item) for item in value)
        case bool() | int() | float() | complex() | str() | bytes() | None:
            return repr(value)
        case _:
            return id(value)


def _bits(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _unused(key: str, taken: Collection[str]) -> str:
    """Return `key`, or where that is taken with a number behind it."""
    names = itertools.chain([key], (f"{key}.{number}" for number in itertools.count(len(taken) - 1)))
    return next(name for name in names if name not in taken)


def _listed(entries: Iterable[tuple[Place, object]]) -> str:
    return ", ".join(sorted({repr(key) for (_, key), _ in entries}))


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
