"""Update rules with torch's semantics against torch.optim, in float64, with a rate that changes in every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import optimizer_runs as runs
import pytest
import torch
from torch import Tensor

from fewepochs.specs import updates

optim = torch.optim
Make = Callable[..., Any]
STRENGTH = 0.3
COUPLED, DECOUPLED = updates.Coupled(strength=STRENGTH), updates.Decoupled(strength=STRENGTH)


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    """NAdam keeps the product of its momenta in torch's default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def follow(
    make: Make,
    spec: updates.Optimizer,
    *,
    decay: updates.WeightDecay = runs.NONE,
    moving: bool = False,
) -> Tensor:
    """Return the weights after torch's steps; `decay` is done by the optimizer's own weight_decay, in groups."""
    weights = runs.layout().vector
    parameters = {name: torch.nn.Parameter(w) for name, w in runs.shaped(weights).items()}
    touched = runs.KERNELS if getattr(decay, "on", "all") == "kernels" else tuple(parameters)
    strength = 0.0 if isinstance(decay, updates.NoWeightDecay) else decay.strength
    groups = [
        {"params": [p for name, p in parameters.items() if name in touched], "weight_decay": strength},
        {"params": [p for name, p in parameters.items() if name not in touched], "weight_decay": 0.0},
    ]
    theirs = make([group for group in groups if group["params"]])
    for gradient, (lr, momentum, _) in zip(runs.gradients(), runs.course(spec, moving=moving), strict=True):
        for group in theirs.param_groups:
            group["lr"] = lr
            if moving and "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            elif moving:
                group["momentum"] = momentum
        for name, part in runs.shaped(gradient).items():
            parameters[name].grad = part.clone()
        theirs.step()
    return weights


def assert_follows(ours: Tensor, theirs: Tensor) -> None:
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-13, atol=1e-13)


def adam(kind: Make, spec: updates.Adam | updates.AdamW, decay: updates.WeightDecay) -> Any:
    def make(groups: Any) -> Any:
        return kind(groups, lr=spec.lr, betas=(spec.beta_1, spec.beta_2), eps=spec.epsilon)

    return pytest.param(spec, make, decay, id=f"{spec.kind} {spec.lr:g}")


def nadam(spec: updates.Nadam, decay: updates.WeightDecay) -> Any:
    def make(groups: Any) -> Any:
        return optim.NAdam(
            groups,
            lr=spec.lr,
            betas=(spec.beta_1, spec.beta_2),
            eps=spec.epsilon,
            momentum_decay=spec.momentum_decay,
            decoupled_weight_decay=decay.kind == "decoupled",
        )

    return pytest.param(spec, make, decay, id=f"nadam {spec.lr:g}")


def sgd(spec: updates.Sgd) -> Any:
    def make(groups: Any) -> Any:
        return optim.SGD(groups, lr=spec.lr, momentum=spec.momentum, nesterov=spec.nesterov)

    return pytest.param(spec, make, COUPLED, id=f"sgd {spec.momentum:g}{' nesterov' * spec.nesterov}")


def rmsprop(spec: updates.RmsProp) -> Any:
    def make(groups: Any) -> Any:
        return optim.RMSprop(
            groups,
            lr=spec.lr,
            alpha=spec.rho,
            eps=spec.epsilon,
            momentum=spec.momentum,
            centered=spec.centered,
        )

    return pytest.param(spec, make, COUPLED, id=f"rmsprop {spec.momentum:g}{' centered' * spec.centered}")


OTHER: dict[str, Any] = {"semantics": "torch", "lr": 0.03, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}
PAIRS = [
    adam(optim.Adam, updates.Adam(semantics="torch"), COUPLED),
    adam(optim.Adam, updates.Adam(**OTHER), COUPLED),
    adam(optim.AdamW, updates.AdamW(semantics="torch"), DECOUPLED),
    adam(optim.AdamW, updates.AdamW(**OTHER), DECOUPLED),
    nadam(updates.Nadam(semantics="torch"), COUPLED),
    nadam(updates.Nadam(**OTHER), DECOUPLED),
    sgd(updates.Sgd(semantics="torch")),
    sgd(updates.Sgd(semantics="torch", momentum=0.9)),
    sgd(updates.Sgd(semantics="torch", momentum=0.5, nesterov=True, lr=0.1)),
    rmsprop(updates.RmsProp(semantics="torch")),
    rmsprop(updates.RmsProp(semantics="torch", lr=0.01, rho=0.7, momentum=0.9, epsilon=1e-3)),
    rmsprop(updates.RmsProp(semantics="torch", lr=0.01, momentum=0.5, centered=True)),
]


@pytest.mark.parametrize("decayed", ["none", "all", "kernels"])
@pytest.mark.parametrize(("spec", "make", "decay"), PAIRS)
def test_weights_follow_torch_to_the_last_digits(
    spec: updates.Optimizer, make: Make, decay: updates.Coupled | updates.Decoupled, decayed: str
) -> None:
    """torch's weight_decay is our coupled decay; that of AdamW, and of NAdam if told so, our decoupled one."""
    used: updates.WeightDecay = runs.NONE if decayed == "none" else decay.model_copy(update={"on": decayed})
    ours, _ = runs.run(spec, decay=used)
    assert_follows(ours, follow(make, spec, decay=used))
    assert (ours - runs.layout().vector).abs().max() > spec.lr


@pytest.mark.parametrize(("spec", "make", "decay"), [pair for pair in PAIRS if updates.momentum_of(pair.values[0])])
def test_a_momentum_that_moves_follows_torch(
    spec: updates.Optimizer, make: Make, decay: updates.Coupled | updates.Decoupled
) -> None:
    ours, _ = runs.run(spec, moving=True)
    assert_follows(ours, follow(make, spec, moving=True))
    still, _ = runs.run(spec)
    assert (ours - still).abs().max() > 1e-6


@pytest.mark.parametrize(
    "kind",
    [updates.Adam, updates.Nadam, updates.RmsProp, lambda **given: updates.Sgd(momentum=0.9, **given)],
    ids=["adam", "nadam", "rmsprop", "sgd"],
)
def test_keras_and_torch_are_two_rules(kind: Callable[..., updates.Optimizer]) -> None:
    """By far more than the goldens' tolerance, so that these tell one from the other."""
    keras, _ = runs.run(kind(lr=0.01))
    torchs, _ = runs.run(kind(lr=0.01, semantics="torch"))
    assert (keras - torchs).abs().max() > 1e-3


def test_torchs_defaults_are_those_of_torch_semantics() -> None:
    weights = [torch.zeros(1)]
    assert optim.Adam(weights).defaults["eps"] == updates.Adam(semantics="torch").epsilon
    assert optim.RMSprop(weights).defaults["eps"] == updates.RmsProp(semantics="torch").epsilon
    nadam = optim.NAdam(weights).defaults
    assert nadam["eps"] == updates.Nadam(semantics="torch").epsilon
    assert nadam["momentum_decay"] == updates.Nadam(semantics="torch").momentum_decay
