"""Update rules against the real Keras, in float64, with a rate that changes in every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import keras
import numpy as np
import optimizer_runs as runs
import pytest
import torch
from torch import Tensor

from fewepochs.specs import updates
from fewepochs.train import step as steps

optimizers = keras.optimizers
Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


def follow(theirs: Any, spec: updates.Optimizer, *, momentum: str | None = None) -> Tensor:
    """Return the weights after Keras's steps; `momentum` names the attribute that moves."""
    variables = [keras.Variable(w.numpy(), dtype="float64") for w in runs.shaped(runs.layout().vector).values()]
    theirs.build(variables)
    for gradient, (lr, value, _) in zip(runs.gradients(), runs.course(spec, moving=momentum is not None), strict=True):
        theirs.learning_rate = lr
        if momentum is not None:
            setattr(theirs, momentum, value)
        theirs.apply(list(runs.shaped(gradient).values()))
    return torch.cat([variable.value.detach().reshape(-1) for variable in variables])


def assert_follows(ours: Tensor, theirs: Tensor) -> None:
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=1e-13)


def adam(kind: Make, spec: updates.Adam | updates.AdamW | updates.Nadam | updates.Lamb) -> Any:
    def make(**more: Any) -> Any:
        return kind(spec.lr, beta_1=spec.beta_1, beta_2=spec.beta_2, epsilon=spec.epsilon, **more)

    return pytest.param(spec, make, id=f"{spec.kind} {spec.lr:g}")


def sgd(spec: updates.Sgd) -> Any:
    def make(**more: Any) -> Any:
        return optimizers.SGD(spec.lr, momentum=spec.momentum, nesterov=spec.nesterov, **more)

    return pytest.param(spec, make, id=f"sgd {spec.momentum:g}{' nesterov' * spec.nesterov}")


def rmsprop(spec: updates.RmsProp) -> Any:
    def make(**more: Any) -> Any:
        return optimizers.RMSprop(
            spec.lr, rho=spec.rho, momentum=spec.momentum, epsilon=spec.epsilon, centered=spec.centered, **more
        )

    return pytest.param(spec, make, id=f"rmsprop {spec.momentum:g}{' centered' * spec.centered}")


def lion(spec: updates.Lion) -> Any:
    def make(**more: Any) -> Any:
        return optimizers.Lion(spec.lr, beta_1=spec.beta_1, beta_2=spec.beta_2, **more)

    return pytest.param(spec, make, id=f"lion {spec.lr:g}")


PAIRS = [
    adam(optimizers.Adam, updates.Adam()),
    adam(optimizers.Adam, updates.Adam(lr=0.03, beta_1=0.5, beta_2=0.9, epsilon=1e-3)),
    adam(optimizers.AdamW, updates.AdamW()),
    adam(optimizers.AdamW, updates.AdamW(lr=0.03, beta_1=0.5, beta_2=0.9, epsilon=1e-3)),
    adam(optimizers.Nadam, updates.Nadam()),
    adam(optimizers.Nadam, updates.Nadam(lr=0.03, beta_1=0.5, beta_2=0.9, epsilon=1e-3)),
    sgd(updates.Sgd()),
    sgd(updates.Sgd(momentum=0.9)),
    sgd(updates.Sgd(momentum=0.5, nesterov=True, lr=0.1)),
    rmsprop(updates.RmsProp()),
    rmsprop(updates.RmsProp(lr=0.01, rho=0.7, momentum=0.9, epsilon=1e-3)),
    rmsprop(updates.RmsProp(lr=0.01, momentum=0.5, centered=True)),
    lion(updates.Lion()),
    lion(updates.Lion(lr=0.01, beta_1=0.5, beta_2=0.7)),
    adam(optimizers.Lamb, updates.Lamb()),
    adam(optimizers.Lamb, updates.Lamb(lr=0.03, beta_1=0.5, beta_2=0.9, epsilon=1e-3)),
]


@pytest.mark.parametrize("strength", [0.0, 0.3])
@pytest.mark.parametrize(("spec", "make"), PAIRS)
def test_weights_follow_keras_to_the_last_digits(spec: updates.Optimizer, make: Make, strength: float) -> None:
    """`weight_decay` of any Keras optimizer is our decoupled decay on all weights."""
    decay = runs.NONE if strength == 0 else updates.Decoupled(strength=strength)
    ours, _ = runs.run(spec, decay=decay)
    assert_follows(ours, follow(make(weight_decay=strength), spec))
    assert (ours - runs.layout().vector).abs().max() > spec.lr


MOVING = [
    pytest.param(*pair.values, "beta_1" if pair.values[0].kind.startswith("adam") else "momentum", id=pair.id)
    for pair in PAIRS
    if updates.momentum_of(pair.values[0])
]


@pytest.mark.parametrize(("spec", "make", "name"), MOVING)
def test_a_momentum_that_moves_follows_keras(spec: updates.Optimizer, make: Make, name: str) -> None:
    ours, _ = runs.run(spec, moving=True)
    assert_follows(ours, follow(make(weight_decay=0.0), spec, momentum=name))
    still, _ = runs.run(spec)
    assert (ours - still).abs().max() > 1e-6


def test_keras_leaves_named_variables_undecayed_and_so_do_we() -> None:
    spec = updates.AdamW()
    theirs = optimizers.AdamW(spec.lr, weight_decay=0.3)
    shaped = runs.shaped(runs.layout().vector)
    variables = [keras.Variable(w.numpy(), dtype="float64", name=name) for name, w in shaped.items()]
    theirs.exclude_from_weight_decay(var_names=[name for name in runs.SHAPES if name not in runs.KERNELS])
    theirs.build(variables)
    for gradient, (lr, _, _) in zip(runs.gradients(), runs.course(spec), strict=True):
        theirs.learning_rate = lr
        theirs.apply(list(runs.shaped(gradient).values()))
    ours, _ = runs.run(spec, decay=updates.Decoupled(strength=0.3, on="kernels"))
    assert_follows(ours, torch.cat([variable.value.detach().reshape(-1) for variable in variables]))


@pytest.mark.parametrize("norm", [0.01, 3.0, 1e3])
def test_clipping_follows_keras_global_clipnorm(norm: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below, around and above the norms of the gradients."""
    # On every backend but TensorFlow, Keras 3.15 rounds the minimum of a tensor and a number to float32.
    monkeypatch.setitem(keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    program = cast("steps.TrainingStep", SimpleNamespace(_rules=steps.Rules(clip_norm=norm)))
    for gradient in runs.gradients(10):
        start = torch.zeros(runs.SIZE, dtype=torch.float64)
        variables = [keras.Variable(w.numpy(), dtype="float64") for w in runs.shaped(start).values()]
        theirs = optimizers.SGD(1.0, global_clipnorm=norm)
        theirs.build(variables)
        theirs.apply(list(runs.shaped(gradient).values()))
        expected = -torch.cat([variable.value.detach().reshape(-1) for variable in variables])
        assert_follows(steps.TrainingStep._clipped(program, gradient), expected)


def test_the_references_are_those_that_the_docstrings_name() -> None:
    assert _minor(keras.__version__) == (3, 15)
    assert _minor(torch.__version__) == (2, 13)


def _minor(version: str) -> Sequence[int]:
    return tuple(int(part) for part in version.split(".")[:2])
