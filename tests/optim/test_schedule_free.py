"""Schedule-Free against its package, used as its authors say, and against the paper's three sequences."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import optimizer_runs as runs
import pytest
import schedulefree
import torch
from torch import Tensor

from fewepochs import errors
from fewepochs.specs import updates

SgdOrAdamW = updates.ScheduleFreeSgd | updates.ScheduleFreeAdamW
SPECS: list[SgdOrAdamW] = [
    updates.ScheduleFreeSgd(),
    updates.ScheduleFreeSgd(lr=0.1, momentum=0.5, warm_up_steps=7),
    updates.ScheduleFreeAdamW(),
    updates.ScheduleFreeAdamW(lr=0.03, beta_1=0.5, beta_2=0.9, epsilon=1e-3, warm_up_steps=7),
]
specs = pytest.mark.parametrize("spec", SPECS, ids=["sgd", "sgd, others", "adamw", "adamw, others"])
STRENGTH = 0.2


def theirs(spec: SgdOrAdamW, groups: list[dict[str, Any]]) -> Any:
    if isinstance(spec, updates.ScheduleFreeSgd):
        return schedulefree.SGDScheduleFree(
            groups, lr=spec.lr, momentum=spec.momentum, warmup_steps=spec.warm_up_steps, foreach=False
        )
    return schedulefree.AdamWScheduleFree(
        groups,
        lr=spec.lr,
        betas=(spec.beta_1, spec.beta_2),
        eps=spec.epsilon,
        warmup_steps=spec.warm_up_steps,
        foreach=False,
    )


@pytest.mark.parametrize("on", [None, "kernels", "all"])
@specs
def test_weights_and_average_are_those_of_the_package(spec: SgdOrAdamW, on: updates.Touched | None) -> None:
    """Bit for bit: y in training, x after the package's eval()."""
    decay = runs.NONE if on is None else updates.Decoupled(strength=STRENGTH, on=on)
    ours, optimizer = runs.run(spec, decay=decay)
    weights = runs.layout().vector
    parameters = {name: torch.nn.Parameter(w) for name, w in runs.shaped(weights).items()}
    touched = {None: (), "kernels": runs.KERNELS, "all": tuple(runs.SHAPES)}[on]
    groups = [
        {"params": [p for name, p in parameters.items() if (name in touched) is inside], "weight_decay": strength}
        for inside, strength in ((True, STRENGTH), (False, 0.0))
    ]
    package = theirs(spec, [group for group in groups if group["params"]])
    package.train()
    for gradient, (lr, _, _) in zip(runs.gradients(), runs.course(spec), strict=True):
        for group in package.param_groups:
            group["lr"] = lr
        for name, part in runs.shaped(gradient).items():
            parameters[name].grad = part.clone()
        package.step()
    assert torch.equal(ours, weights)
    package.eval()
    average = optimizer.averaged()
    assert average is not None
    assert torch.equal(average, weights)
    assert not torch.equal(average, ours)


@pytest.mark.parametrize("moving", [False, True])
@specs
def test_weights_and_average_follow_the_papers_three_sequences(spec: SgdOrAdamW, moving: bool) -> None:
    decay = updates.Decoupled(strength=STRENGTH)
    course = runs.course(spec, decay=decay, moving=moving)
    start = runs.layout().vector.numpy()
    x, z, v, weights_so_far, lr_max = start.copy(), start.copy(), np.zeros_like(start), 0.0, 0.0
    beta = spec.momentum if isinstance(spec, updates.ScheduleFreeSgd) else spec.beta_1
    for t, (gradient, (lr, _, strength)) in enumerate(zip(runs.gradients().numpy(), course, strict=True), start=1):
        y = (1 - beta) * z + beta * x
        if isinstance(spec, updates.ScheduleFreeSgd):
            direction = gradient + strength * y
        else:
            v = spec.beta_2 * v + (1 - spec.beta_2) * gradient**2
            direction = gradient / (np.sqrt(v / (1 - spec.beta_2**t)) + spec.epsilon) + strength * y
        warm = lr * min(1.0, t / spec.warm_up_steps) if spec.warm_up_steps else lr
        lr_max = max(lr_max, warm)
        weights_so_far += lr_max**2
        z = z - warm * direction
        x = x + (lr_max**2 / weights_so_far) * (z - x)
    ours, optimizer = runs.run(spec, decay=decay, moving=moving)
    average = optimizer.averaged()
    assert average is not None
    np.testing.assert_allclose(average.numpy(), x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.numpy(), (1 - beta) * z + beta * x, rtol=0, atol=1e-12)


@specs
def test_the_average_before_the_first_step_is_the_weights_in_a_tensor_of_its_own(spec: SgdOrAdamW) -> None:
    weights = runs.layout()
    average = runs.made(spec, weights=weights).averaged()
    assert average is not None
    assert torch.equal(average, weights.vector)
    assert average.data_ptr() != weights.vector.data_ptr()


@specs
def test_asking_for_the_average_changes_nothing(spec: SgdOrAdamW) -> None:
    def asked(k: int, optimizer: Any, weights: Any) -> Any:
        optimizer.averaged()
        return optimizer

    def bits(run: tuple[Tensor, Any]) -> dict[str, bytes]:
        return {name: t.numpy().tobytes() for name, t in {"weights": run[0], **run[1].state()}.items()}

    assert bits(runs.run(spec, after=asked)) == bits(runs.run(spec))


@pytest.mark.parametrize("decay", [updates.Coupled(), updates.Independent()], ids=["coupled", "independent"])
def test_other_kinds_of_weight_decay_are_refused(decay: updates.WeightDecay) -> None:
    with pytest.raises(errors.RecipeError, match=r"weight_decay\.kind: not for Schedule-Free.*none, decoupled"):
        runs.made(updates.ScheduleFreeSgd(), weights=runs.layout(), decay=decay)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "schedulefree", None)
    with pytest.raises(errors.RecipeError, match=r"pip install 'fewepochs\[schedulefree\]'") as raised:
        runs.made(updates.ScheduleFreeAdamW(), weights=runs.layout())
    assert raised.value.problems[0].field == "optimizer.kind"
