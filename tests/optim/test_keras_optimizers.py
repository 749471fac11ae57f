"""Update rules against the real Keras, and the laws that every optimizer keeps."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from torch import Tensor

from fewepochs import seeds
from fewepochs.optim import build
from fewepochs.specs import updates

STEPS, SIZE = 50, 40
SPECS = [updates.Adam(), updates.Adam(lr=0.03, beta_1=0.5, beta_2=0.9, epsilon=1e-3)]


def gradients(steps: int = STEPS) -> Tensor:
    """Of very different sizes, so that epsilon matters: [steps, SIZE] float64."""
    draws = seeds.uniform(seeds.derive(0, "gradients"), steps * SIZE).reshape(steps, SIZE) - 0.5
    return torch.from_numpy(draws * 10.0 ** np.linspace(-9, 1, SIZE))


def start() -> Tensor:
    return torch.from_numpy(seeds.uniform(seeds.derive(0, "weights"), SIZE) - 0.5)


def rates(lr: float) -> Tensor:
    """A rate that changes, as a schedule's does."""
    return torch.linspace(lr, lr / 10, STEPS, dtype=torch.float64)


def run(spec: updates.Adam, *, dtype: torch.dtype = torch.float64, live: Tensor | None = None) -> Tensor:
    weights = start().to(dtype)
    optimizer = build.build(spec, weights=weights)
    alive = torch.ones(STEPS, dtype=torch.float64) if live is None else live
    for gradient, lr, on in zip(gradients(), rates(spec.lr), alive, strict=True):
        optimizer.update(gradient.to(dtype), lr=lr, live=on)
    return weights


@pytest.mark.parametrize("spec", SPECS)
def test_weights_follow_keras_to_the_last_digits(spec: updates.Adam) -> None:
    keras.config.set_floatx("float64")
    try:
        variable = keras.Variable(start().numpy(), dtype="float64")
        theirs = keras.optimizers.Adam(spec.lr, beta_1=spec.beta_1, beta_2=spec.beta_2, epsilon=spec.epsilon)
        theirs.build([variable])
        for gradient, lr in zip(gradients(), rates(spec.lr), strict=True):
            theirs.learning_rate = float(lr)
            theirs.apply([gradient])
        expected = variable.value.detach().numpy()
    finally:
        keras.config.set_floatx("float32")
    np.testing.assert_allclose(run(spec), expected, rtol=0, atol=1e-13)


def test_torchs_adam_is_another_rule() -> None:
    """Its epsilon stands beside sqrt(v_hat): the test above would fail it by far."""
    spec = SPECS[0]
    weights = start().requires_grad_()
    theirs = torch.optim.Adam([weights], betas=(spec.beta_1, spec.beta_2), eps=spec.epsilon)
    for gradient, lr in zip(gradients(), rates(spec.lr), strict=True):
        theirs.param_groups[0]["lr"] = float(lr)
        weights.grad = gradient.clone()
        theirs.step()
    difference = (weights.detach() - run(spec)).abs()
    assert difference.max() > 1e-3
    # Where gradients are large epsilon is nothing, and the two are one.
    assert difference[-1] < 1e-6


@pytest.mark.parametrize("spec", SPECS)
def test_the_same_gradients_give_the_same_bits(spec: updates.Adam) -> None:
    assert torch.equal(run(spec, dtype=torch.float32), run(spec, dtype=torch.float32))


@pytest.mark.parametrize("spec", SPECS)
def test_a_resumed_optimizer_repeats_every_bit(spec: updates.Adam) -> None:
    weights = start()
    first = build.build(spec, weights=weights)
    steps = list(zip(gradients(), rates(spec.lr), strict=True))
    on = torch.tensor(1.0, dtype=torch.float64)
    for gradient, lr in steps[:20]:
        first.update(gradient, lr=lr, live=on)
    second = build.build(spec, weights=weights)
    for name, tensor in second.state().items():
        tensor.copy_(first.state()[name])
    for gradient, lr in steps[20:]:
        second.update(gradient, lr=lr, live=on)
    assert torch.equal(weights, run(spec))


@pytest.mark.parametrize("spec", SPECS)
def test_gradients_are_left_alone(spec: updates.Adam) -> None:
    weights, gradient = start(), gradients()[0]
    before = gradient.clone()
    build.build(spec, weights=weights).update(
        gradient, lr=torch.tensor(0.1, dtype=torch.float64), live=torch.tensor(1.0, dtype=torch.float64)
    )
    assert torch.equal(gradient, before)


@pytest.mark.parametrize("spec", SPECS)
def test_a_frozen_step_changes_no_bit_of_weights_or_state(spec: updates.Adam) -> None:
    weights = start().float()
    optimizer = build.build(spec, weights=weights)
    lr, on = torch.tensor(0.1, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)

    def everything() -> dict[str, Tensor]:
        return {"weights": weights.clone(), **{name: t.clone() for name, t in optimizer.state().items()}}

    for frozen_first in (True, False):
        before = everything()
        optimizer.update(gradients()[1].float(), lr=lr, live=0 * on)
        after = everything()
        assert all(torch.equal(after[name], before[name]) for name in before), frozen_first
        optimizer.update(gradients()[2].float(), lr=lr, live=on)


def test_steps_frozen_in_between_do_not_count() -> None:
    """Adam's t counts updates: a run with frozen steps equals one that never had them."""
    spec = SPECS[0]
    live = torch.ones(STEPS, dtype=torch.float64)
    live[[0, 7, 8, 30]] = 0
    weights = start()
    optimizer = build.build(spec, weights=weights)
    for gradient, lr, on in zip(gradients(), rates(spec.lr), live, strict=True):
        if on:
            optimizer.update(gradient, lr=lr, live=on)
    assert torch.equal(run(spec, live=live), weights)


@pytest.mark.parametrize("spec", [updates.Adam(lr=0.05), updates.Adam(lr=0.05, beta_1=0.5, beta_2=0.9)])
def test_a_convex_problem_is_solved(spec: updates.Adam) -> None:
    goal, weights = torch.linspace(-1, 1, SIZE, dtype=torch.float64), start()
    optimizer = build.build(spec, weights=weights)
    on = torch.tensor(1.0, dtype=torch.float64)
    for k in range(600):
        optimizer.update(weights - goal, lr=torch.tensor(spec.lr * (1 - k / 600), dtype=torch.float64), live=on)
    assert (weights - goal).abs().max() < 1e-3
