"""Optimizers that are not ours: driven as torch drives them, refused where a checkpoint could not hold them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import optimizer_runs as runs
import optimizer_samples
import pytest
import torch
from torch import Tensor

from fewepochs import errors
from fewepochs.optim import build, permission
from fewepochs.specs import updates


def spec(target: str, **arguments: Any) -> updates.PythonOptimizer:
    return updates.PythonOptimizer(target=target, lr=0.01, arguments=arguments)


PLAIN = {
    "AdamW": {"betas": (0.8, 0.99), "weight_decay": 0.1},
    "SGD": {"momentum": 0.9, "nesterov": True},
    "RMSprop": {"centered": True, "momentum": 0.5},
    "NAdam": {},
    "RAdam": {},
    "Adagrad": {"initial_accumulator_value": 0.1},
    "Adafactor": {},  # has factors of matrices: sees kernels as matrices
    "ASGD": {},
    "Rprop": {},
}


@pytest.mark.parametrize(("name", "arguments"), PLAIN.items(), ids=PLAIN)
def test_weights_are_those_of_the_optimizer_driven_by_torch(name: str, arguments: dict[str, Any]) -> None:
    """Bit for bit, kernels as matrices and everything else as vectors."""
    own = spec(f"torch.optim.{name}", **arguments)
    ours, _ = runs.run(own)
    assert torch.equal(ours, driven_by_torch(getattr(torch.optim, name), own))


def driven_by_torch(kind: Any, own: updates.PythonOptimizer) -> Tensor:
    """Return the weights after all steps of the optimizer, without anything of ours."""
    weights = runs.layout().vector
    parameters = {key: torch.nn.Parameter(w) for key, w in runs.shaped(weights).items()}
    theirs = kind(parameters.values(), lr=own.lr, **own.arguments)
    for gradient, (lr, _, _) in zip(runs.gradients(), runs.course(own), strict=True):
        theirs.param_groups[0]["lr"] = lr
        for key, part in runs.shaped(gradient).items():
            parameters[key].grad = part.clone()
        theirs.step()
    return weights


@pytest.mark.parametrize("name", ["Adapting", "Lazy", "Numbers", "Replacing"])
def test_made_anew_after_every_step_it_ends_where_torch_drives_it(name: str) -> None:
    def again(k: int, optimizer: Any, weights: Any) -> Any:
        fresh = runs.made(own, weights=weights)
        assert fresh.state().keys() == optimizer.state().keys()
        for key, tensor in fresh.state().items():
            tensor.copy_(optimizer.state()[key])
        return fresh

    own = spec(f"optimizer_samples.{name}")
    resumed, _ = runs.run(own, after=again)
    whole, _ = runs.run(own)
    expected = driven_by_torch(getattr(optimizer_samples, name), own)
    assert torch.equal(whole, expected)
    assert torch.equal(resumed, expected)


def test_the_state_holds_tensors_as_vectors_and_numbers_as_one_more() -> None:
    optimizer = runs.made(spec("torch.optim.AdamW"), weights=runs.layout())
    shapes = {name: tuple(tensor.shape) for name, tensor in optimizer.state().items()}
    assert shapes.pop("numbers")
    assert shapes == {"step": (len(runs.SHAPES),), "exp_avg": (runs.SIZE,), "exp_avg_sq": (runs.SIZE,)}


def test_what_an_optimizer_counts_in_python_is_restored_as_what_it_was() -> None:
    """An int stays an int and a bool a bool: `steps > 3` decides, and `isinstance` may."""
    seen: list[Any] = []

    def look(k: int, optimizer: Any, weights: Any) -> Any:
        fresh = runs.made(own, weights=weights)
        for name, tensor in fresh.state().items():
            tensor.copy_(optimizer.state()[name])
        seen.append(fresh)
        return fresh

    own = spec("optimizer_samples.Replacing")
    resumed, last = runs.run(own, after=look)
    whole, _ = runs.run(own)
    assert torch.equal(resumed, whole)
    theirs: torch.optim.Optimizer = seen[-2]._optimizer
    group = theirs.param_groups[0]
    assert (type(group["steps"]), group["steps"], group["warm"]) == (int, runs.STEPS, True)
    assert {type(state["count"]) for state in theirs.state.values()} == {int}
    assert last.averaged() is None


def problem(own: updates.PythonOptimizer, *, allow_code: tuple[str, ...] = runs.ALLOWED) -> errors.Problem:
    with pytest.raises(errors.RecipeError) as raised:
        build.build(own, layout=runs.layout(), weight_decay=runs.NONE, allow_code=allow_code)
    assert raised.value.exit_code == 2
    [found] = raised.value.problems
    return found


REFUSED = [
    ("optimizer_samples.Missing", {}, "target", "optimizer_samples has no Missing"),
    ("optimizer_samples.RATE", {}, "target", "not a class derived from torch.optim.Optimizer"),
    ("optimizer_samples.Tensor", {}, "target", "not a class derived from torch.optim.Optimizer"),
    ("optimizer_samples.inner.Deep", {}, "target", "optimizer_samples.inner cannot be imported"),
    ("optimizer_samples.Listing", {}, "target", "keeps 'history', a list"),
    ("optimizer_samples.Counting", {}, "target", "remembers what no checkpoint could hold, 't'"),
    ("optimizer_samples.Grouping", {}, "target", "remembers what no checkpoint could hold, 'defaults', 'history'"),
    ("optimizer_samples.Beginning", {}, "target", "does another third step when it is made anew after the second"),
    ("optimizer_samples.Detaching", {"begin": 1}, "target", "write into it, p.data.sub_(...) instead of p.data ="),
    *(
        (
            "optimizer_samples.Narrow",
            {"dtype": dtype},
            "target",
            f"keeps 'buffer' as torch.{dtype}, which no checkpoint",
        )
        for dtype in ("float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64")
    ),
    ("optimizer_samples.Global", {}, "target", "keeps state that belongs to no parameter"),
    ("torch.optim.LBFGS", {}, "target", "its step() fails: TypeError"),
    ("torch.optim.SGD", {"momenum": 0.9}, "arguments", "unexpected keyword argument 'momenum'"),
    ("torch.optim.SGD", {"momentum": -1.0}, "arguments", "ValueError: Invalid momentum value: -1.0"),
    ("torch.optim.SGD", {"lr": 0.1}, "arguments", "lr comes from optimizer.lr"),
    ("torch.optim.Muon", {}, "arguments", "Muon only supports 2D parameters"),
]


@pytest.mark.parametrize(("target", "arguments", "field", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_used_is_refused_with_the_reason(
    target: str, arguments: dict[str, Any], field: str, message: str
) -> None:
    found = problem(spec(target, **arguments))
    assert found.field == f"optimizer.{field}"
    assert message in found.message


def test_a_module_that_fails_when_it_is_imported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_module.py").write_text("raise ZeroDivisionError('at import')")
    monkeypatch.syspath_prepend(tmp_path)
    found = problem(spec("broken_module.Any"), allow_code=("broken_module",))
    assert found.field == "optimizer.target"
    assert "ZeroDivisionError: at import" in found.message


def test_an_optimizer_that_remembers_more_after_its_first_step_ends_the_run() -> None:
    with pytest.raises(errors.RecipeError, match="remembers other things than after its first step"):
        runs.run(spec("optimizer_samples.Growing"))


def test_an_optimizer_that_leaves_the_weights_in_a_later_step_ends_the_run() -> None:
    with pytest.raises(errors.RecipeError, match="the network's weights never move"):
        runs.run(spec("optimizer_samples.Detaching", begin=10 * len(runs.SHAPES)))


def test_what_is_a_tensor_in_the_trial_and_none_in_the_run_ends_the_run() -> None:
    optimizer = runs.made(spec("optimizer_samples.Lazy"), weights=runs.layout())
    with pytest.raises(errors.RecipeError, match="remembers other things than after its first step, 'buffer'"):
        optimizer.update(torch.zeros(runs.SIZE, dtype=torch.float64), runs.controls(0.1, 0.0, 0.0))


def test_the_trial_leaves_weights_state_and_torchs_random_numbers_alone() -> None:
    weights, before = runs.layout(), torch.get_rng_state()
    optimizer = runs.made(spec("optimizer_samples.Drawing"), weights=weights)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights.vector, runs.layout().vector)
    assert not any(tensor.any() for tensor in optimizer.state().values())


# --- permission ---------------------------------------------------------------------------------------------------

PERMISSIONS = [
    ("mypkg", True),
    ("mypkg.optim", True),
    ("mypkg.optim.Fancy", True),
    ("mypk", False),
    ("mypkg.opt", False),
    ("mypkg.optim.Fancy.more", False),
    ("mypkg.optim.", False),
    ("optim", False),
    ("", False),
    (".", False),
    ("*", False),
    ("mypkg.*", False),
    ("MYPKG", False),
]


@pytest.mark.parametrize(("allowed", "covered"), PERMISSIONS)
def test_a_permission_covers_whole_parts_of_a_name(allowed: str, covered: bool) -> None:
    assert permission.covers(allowed, "mypkg.optim.Fancy") is covered


def test_code_that_is_not_allowed_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strangers_module.py").write_text("raise AssertionError('the code was run')")
    monkeypatch.syspath_prepend(tmp_path)
    for allowed in ((), ("torch.optim", "strangers", "strangers_module2")):
        found = problem(spec("strangers_module.Any"), allow_code=allowed)
        assert found.field == "optimizer.target"
        assert "add --allow-code strangers_module" in found.message
    assert "strangers_module" not in sys.modules


def test_nothing_else_needs_a_permission() -> None:
    for own in (updates.Adam(), updates.Muon(), updates.ScheduleFreeSgd()):
        permission.require_allowed(own, allow_code=())


def test_weights_stay_one_vector() -> None:
    """The optimizer's parameters are views: what it does to them is done to the weights, in place."""
    weights = runs.layout()
    before: Tensor = weights.vector
    runs.made(spec("torch.optim.SGD"), weights=weights).update(runs.gradients()[0], runs.controls(0.5, 0.0, 0.0))
    torch.testing.assert_close(before, runs.layout().vector - 0.5 * runs.gradients()[0], rtol=0, atol=1e-15)
