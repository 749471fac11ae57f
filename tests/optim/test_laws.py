"""The laws that every optimizer keeps, in one table of optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import optimizer_runs as runs
import pytest
import torch
from torch import Tensor

from device_reads import Reads
from fewepochs.optim import rule
from fewepochs.optim.layout import Layout
from fewepochs.specs import updates
from oracles import update_rules

ON_ALL = updates.Decoupled(strength=0.1)
ON_KERNELS = updates.Coupled(strength=0.05, on="kernels")
ON_CONV_KERNELS = updates.Independent(strength=0.01, on="conv-kernels")


def case(name: str, spec: updates.Optimizer, decay: updates.WeightDecay = runs.NONE, *, convex_lr: float) -> Any:
    """Return a row: `convex_lr` is the first rate on the convex problem."""
    return pytest.param(spec, decay, convex_lr, id=name)


def muon(**arguments: Any) -> updates.Muon:
    return updates.Muon(auxiliary=updates.AdamW(lr=0.01), **arguments)


OWN = [
    case("adam", updates.Adam(), convex_lr=0.05),
    case("adam, others", updates.Adam(lr=0.03, beta_1=0.5, beta_2=0.9, epsilon=1e-3), ON_KERNELS, convex_lr=0.05),
    case("adam, torch", updates.Adam(semantics="torch"), ON_KERNELS, convex_lr=0.05),
    case("adamw", updates.AdamW(), ON_ALL, convex_lr=0.05),
    case("adamw, torch", updates.AdamW(semantics="torch", epsilon=1e-3), ON_CONV_KERNELS, convex_lr=0.05),
    case("nadam", updates.Nadam(), ON_ALL, convex_lr=0.05),
    case("nadam, torch", updates.Nadam(semantics="torch", beta_2=0.9, epsilon=1e-3), ON_KERNELS, convex_lr=0.05),
    case("sgd", updates.Sgd(), ON_KERNELS, convex_lr=0.5),
    case("sgd, heavy ball", updates.Sgd(momentum=0.9), ON_ALL, convex_lr=0.1),
    case("sgd, nesterov", updates.Sgd(momentum=0.8, nesterov=True), ON_CONV_KERNELS, convex_lr=0.1),
    case("sgd, torch", updates.Sgd(semantics="torch", momentum=0.9), ON_KERNELS, convex_lr=0.1),
    case("sgd, nesterov, torch", updates.Sgd(semantics="torch", momentum=0.8, nesterov=True), convex_lr=0.1),
    case("rmsprop", updates.RmsProp(), ON_ALL, convex_lr=0.02),
    case("rmsprop, centered", updates.RmsProp(momentum=0.5, centered=True, rho=0.8), convex_lr=0.01),
    case("rmsprop, torch", updates.RmsProp(semantics="torch", momentum=0.7), ON_KERNELS, convex_lr=0.01),
    case("rmsprop, centered, torch", updates.RmsProp(semantics="torch", centered=True), convex_lr=0.01),
    case("lion", updates.Lion(lr=1e-3), ON_ALL, convex_lr=0.02),
    case("lion, others", updates.Lion(lr=1e-3, beta_1=0.8, beta_2=0.95), ON_CONV_KERNELS, convex_lr=0.02),
    case("lamb", updates.Lamb(lr=0.01), ON_ALL, convex_lr=0.05),
    case("lamb, others", updates.Lamb(lr=0.01, beta_2=0.9, epsilon=1e-3), ON_KERNELS, convex_lr=0.05),
    case("muon", muon(), ON_ALL, convex_lr=0.1),
    case("muon, unit filters", muon(unit_filters=True, scale="none", iterations=3), ON_CONV_KERNELS, convex_lr=0.1),
    case("muon, heavy ball", muon(nesterov=False, scale="rms", momentum=0.6), ON_KERNELS, convex_lr=0.1),
    case("muon, sgd", updates.Muon(auxiliary=updates.Sgd(momentum=0.9)), convex_lr=0.1),
]
FOREIGN = [
    case("schedule-free sgd", updates.ScheduleFreeSgd(warm_up_steps=5), ON_ALL, convex_lr=0.5),
    case("schedule-free adamw", updates.ScheduleFreeAdamW(), updates.Decoupled(on="kernels"), convex_lr=0.1),
    case("adagrad", updates.PythonOptimizer(target="torch.optim.Adagrad", arguments={}), ON_ALL, convex_lr=0.5),
    case(
        "a user's own",
        updates.PythonOptimizer(target="optimizer_samples.Replacing", arguments={"momentum": 0.5}),
        ON_KERNELS,
        convex_lr=1.0,
    ),
]
EVERY = [*OWN, *FOREIGN]
rules = pytest.mark.parametrize(("spec", "decay", "convex_lr"), EVERY)
own_rules = pytest.mark.parametrize(("spec", "decay", "convex_lr"), OWN)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def everything(optimizer: rule.Optimizer, weights: Tensor) -> dict[str, Tensor]:
    return {"weights": weights.clone(), **{name: t.clone() for name, t in optimizer.state().items()}}


def assert_same_bits(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.numpy().tobytes() == theirs[name].numpy().tobytes(), name


def test_the_table_has_every_optimizer() -> None:
    kinds = {type(row.values[0]) for row in EVERY}
    assert kinds == set(updates.Optimizer.__args__[0].__args__)


@dtypes
@rules
def test_the_same_gradients_give_the_same_bits(
    spec: updates.Optimizer, decay: updates.WeightDecay, convex_lr: float, dtype: torch.dtype
) -> None:
    first, second = (runs.run(spec, decay=decay, dtype=dtype) for _ in range(2))
    assert_same_bits(everything(first[1], first[0]), everything(second[1], second[0]))


@dtypes
@rules
def test_a_resumed_optimizer_repeats_every_bit(
    spec: updates.Optimizer, decay: updates.WeightDecay, convex_lr: float, dtype: torch.dtype
) -> None:
    """Through the state's names alone, after any step, into an optimizer that has made none or other steps."""
    weights, optimizer = runs.run(spec, decay=decay, dtype=dtype, moving=True)
    expected = everything(optimizer, weights)

    def resumed(k: int, before: rule.Optimizer, at: Layout) -> rule.Optimizer:
        fresh = runs.made(spec, weights=at, decay=decay)
        if k == 20:
            kept = at.vector.clone()
            fresh.update(torch.ones_like(kept), runs.controls(0.1, 0.9, 0.1))
            at.vector.copy_(kept)
        saved = {name: t.clone() for name, t in before.state().items()}
        assert saved.keys() == fresh.state().keys()
        for name, tensor in fresh.state().items():
            assert (tensor.shape, tensor.dtype) == (saved[name].shape, saved[name].dtype), name
            tensor.copy_(saved[name])
        return fresh

    weights, optimizer = runs.run(
        spec, decay=decay, dtype=dtype, moving=True, after=lambda k, o, w: resumed(k, o, w) if k in (0, 7, 20) else o
    )
    assert_same_bits(everything(optimizer, weights), expected)


@rules
def test_a_state_from_before_the_first_step_restores_the_beginning(
    spec: updates.Optimizer, decay: updates.WeightDecay, convex_lr: float
) -> None:
    weights = runs.layout()
    optimizer = runs.made(spec, weights=weights, decay=decay)
    beginning, gradient = everything(optimizer, weights.vector), runs.gradients()[3]

    def a_few_steps() -> dict[str, Tensor]:
        for lr, momentum, strength in list(runs.course(spec, decay=decay))[:3]:
            optimizer.update(gradient, runs.controls(lr, momentum, strength))
        return everything(optimizer, weights.vector)

    first = a_few_steps()
    weights.vector.copy_(beginning["weights"])
    for name, tensor in optimizer.state().items():
        tensor.copy_(beginning[name])
    assert_same_bits(a_few_steps(), first)


@rules
def test_schedule_free_alone_averages(spec: updates.Optimizer, decay: updates.WeightDecay, convex_lr: float) -> None:
    _, optimizer = runs.run(spec, decay=decay)
    averages = isinstance(spec, updates.ScheduleFreeSgd | updates.ScheduleFreeAdamW)
    assert (optimizer.averaged() is not None) is averages


@rules
def test_gradients_are_left_alone(spec: updates.Optimizer, decay: updates.WeightDecay, convex_lr: float) -> None:
    optimizer = runs.made(spec, weights=runs.layout(), decay=decay)
    for gradient in runs.gradients(2):
        before = gradient.clone()
        optimizer.update(gradient, runs.controls(0.1, 0.9, 0.1))
        assert torch.equal(gradient, before)


@dtypes
@rules
def test_a_frozen_step_changes_no_bit_of_weights_or_state(
    spec: updates.Optimizer, decay: updates.WeightDecay, convex_lr: float, dtype: torch.dtype
) -> None:
    weights = runs.layout(dtype)
    optimizer = runs.made(spec, weights=weights, decay=decay)
    gradient = runs.gradients()[1].to(dtype)
    for _ in range(3):  # the first step frozen, then one between others
        before = everything(optimizer, weights.vector)
        optimizer.update(torch.zeros_like(gradient), runs.controls(0.1, 0.9, 0.1, live=0.0))
        assert_same_bits(everything(optimizer, weights.vector), before)
        optimizer.update(gradient, runs.controls(0.1, 0.9, 0.1))
        assert not torch.equal(weights.vector, before["weights"])


@rules
def test_frozen_steps_do_not_count(spec: updates.Optimizer, decay: updates.WeightDecay, convex_lr: float) -> None:
    """A run with frozen steps equals one that never had them."""
    live = [1] * runs.STEPS
    for k in (0, 7, 8, 20):
        live[k] = 0
    weights, optimizer = runs.run(spec, decay=decay, live=live)
    alone = runs.layout()
    twin = runs.made(spec, weights=alone, decay=decay)
    for gradient, (lr, momentum, strength), on in zip(
        runs.gradients(), runs.course(spec, decay=decay), live, strict=True
    ):
        if on:
            twin.update(gradient, runs.controls(lr, momentum, strength))
    assert_same_bits(everything(optimizer, weights), everything(twin, alone.vector))


@pytest.mark.parametrize("moving", [False, True], ids=["constant", "moving"])
@own_rules
def test_tensors_as_controls_give_what_python_numbers_give(
    spec: updates.Optimizer, decay: updates.WeightDecay, convex_lr: float, moving: bool
) -> None:
    """Against the slow twin, one tensor at a time, driven by floats; with momentum and decay that move, too."""
    touched = () if isinstance(decay, updates.NoWeightDecay) else _touched(decay.on)
    expected = update_rules.follow(
        spec,
        _arrays(runs.layout().vector),
        [_arrays(gradient) for gradient in runs.gradients()],
        runs.course(spec, decay=decay, moving=moving),
        decay=decay,
        touched=touched,
        conv_kernels=runs.CONV_KERNELS,
    )
    weights, _ = runs.run(spec, decay=decay, moving=moving)
    for name, tensor in _arrays(weights).items():
        np.testing.assert_allclose(tensor, expected[name], rtol=1e-12, atol=1e-12, err_msg=name)


@own_rules
def test_float32_follows_float64(spec: updates.Optimizer, decay: updates.WeightDecay, convex_lr: float) -> None:
    exact, _ = runs.run(spec, decay=decay)
    rounded, _ = runs.run(spec, decay=decay, dtype=torch.float32)
    moved = float((exact - runs.layout().vector).abs().max())
    # Each step rounds a weight of about 1 by up to 6e-8, and what is added to it in proportion.
    assert float((rounded - exact).abs().max()) < runs.STEPS * 6e-8 + 1e-5 * moved


@own_rules
def test_no_step_reads_the_device(
    spec: updates.Optimizer, decay: updates.WeightDecay, convex_lr: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer = runs.made(spec, weights=runs.layout(), decay=decay)
    gradient, controls = runs.gradients()[0], runs.controls(0.1, 0.9, 0.1)
    with Reads.forbidden(monkeypatch) as reads:
        optimizer.update(gradient, controls)
        optimizer.averaged()
    assert reads.seen == []


@dtypes
@rules
def test_a_convex_problem_is_solved(
    spec: updates.Optimizer, decay: updates.WeightDecay, convex_lr: float, dtype: torch.dtype
) -> None:
    """Half the sum of curvature * (w - goal)^2, curvatures from 0.2 to 1, with a rate that falls to zero."""
    weights, steps = runs.layout(dtype), 150
    goal = 0.5 * weights.vector.flip(0).clone()
    curvature = torch.linspace(0.2, 1.0, runs.SIZE, dtype=dtype)
    if isinstance(spec, updates.Muon) and spec.unit_filters:
        # Its kernels keep their norm: let that of the goal be the one.
        for name, kernel in runs.shaped(goal).items():
            if name in runs.CONV_KERNELS:
                kernel.mul_(len(kernel) ** 0.5 / kernel.norm())
    optimizer = runs.made(spec, weights=weights)

    def loss() -> float:
        average = optimizer.averaged()
        at = weights.vector if average is None else average
        return float(0.5 * (curvature * (at - goal).square()).sum())

    start = loss()
    for k in range(steps):
        momentum = updates.momentum_of(spec) or 0.0
        gradient = curvature * (weights.vector - goal)
        optimizer.update(gradient, runs.controls(convex_lr * (1 - k / steps), momentum, 0.0))
    assert loss() < 1e-3 * start


def _arrays(vector: Tensor) -> dict[str, update_rules.Array]:
    return {name: tensor.numpy().copy() for name, tensor in runs.shaped(vector).items()}


def _touched(on: updates.Touched) -> tuple[str, ...]:
    return {"conv-kernels": runs.CONV_KERNELS, "kernels": runs.KERNELS, "all": tuple(runs.SHAPES)}[on]
