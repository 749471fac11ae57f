"""Weight decay translated: every equivalence against loops that decay a weight in both forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fewepochs import controls, decay
from fewepochs.decay import Form
from fewepochs.errors import RecipeError
from fewepochs.optim import build as optimizers
from fewepochs.optim.layout import Controls, Layout
from fewepochs.schedules import Rates
from fewepochs.specs import updates
from recipe_samples import FULL, parse

STEPS = 40
MOVING = np.linspace(0.2, 0.02, STEPS)
LEVEL = np.full(STEPS, 0.1)


# --- the oracle: a weight, its loss, a rule, and one of the forms ----------------------------------------------------


def curvature(w: float) -> float:
    """The gradient of a loss that pulls w to 2."""
    return 0.7 * (w - 2.0)


def nothing(w: float) -> float:
    return 0.0


def sgd(*, semantics: str = "torch", nesterov: bool = False) -> Callable[[float, float, float], float]:
    """Return a rule (gradient, lr, momentum) -> step of the weight, with its own buffer."""
    buffer = 0.0

    def step(g: float, lr: float, m: float) -> float:
        nonlocal buffer
        if semantics == "keras":
            buffer = m * buffer - lr * g
            return m * buffer - lr * g if nesterov else buffer
        buffer = m * buffer + g
        return -lr * (g + m * buffer) if nesterov else -lr * buffer

    return step


def adam() -> Callable[[float, float, float], float]:
    m, v, t = 0.0, 0.0, 0

    def step(g: float, lr: float, beta: float) -> float:
        nonlocal m, v, t
        m, v, t = beta * m + (1 - beta) * g, 0.99 * v + 0.01 * g * g, t + 1
        return -lr * m / (1 - beta**t) / (math.sqrt(v / (1 - 0.99**t)) + 1e-8)

    return step


def run(
    rule: Callable[[float, float, float], float],
    *,
    form: Form,
    strength: Rates,
    lr: Rates,
    momentum: Rates,
    loss: Callable[[float], float] = curvature,
) -> list[float]:
    """Return the weight after each step."""
    w, seen = 1.5, []
    for s, rate, m in zip(strength, lr, momentum, strict=True):
        g = loss(w)
        match form:
            case "l2":
                h = 1e-3  # the difference of a square is its gradient, whatever h is
                g += (s * (w + h) ** 2 - s * (w - h) ** 2) / (2 * h)
            case "coupled":
                g += s * w
            case "decoupled":
                w -= rate * s * w
            case "independent":
                w -= s * w
        w += rule(g, rate, m)
        seen.append(w)
    return seen


RULES: dict[str, Callable[[], Any]] = {
    "sgd": sgd,
    "sgd, keras, nesterov": lambda: sgd(semantics="keras", nesterov=True),
    "adam": adam,
}


# --- exact ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize(("form", "to"), [("l2", "coupled"), ("coupled", "l2")])
def test_l2_and_coupled_are_one_for_every_rule(rule: Callable[[], Any], form: Form, to: Form) -> None:
    strength, momentum = np.linspace(0.3, 0.1, STEPS), np.full(STEPS, 0.9)
    other = decay.translate(strength, form=form, to=to, lr=MOVING, momentum=momentum)
    one = run(rule(), form=form, strength=strength, lr=MOVING, momentum=momentum)
    assert run(rule(), form=to, strength=other, lr=MOVING, momentum=momentum) == pytest.approx(one, rel=1e-9)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize(("form", "to"), [("decoupled", "independent"), ("independent", "decoupled")])
def test_decoupled_and_independent_are_one_in_each_step_for_every_rule(
    rule: Callable[[], Any], form: Form, to: Form
) -> None:
    strength, momentum = np.linspace(0.3, 0.1, STEPS), np.full(STEPS, 0.9)
    other = decay.translate(strength, form=form, to=to, lr=MOVING, momentum=momentum)
    one = run(rule(), form=form, strength=strength, lr=MOVING, momentum=momentum)
    assert run(rule(), form=to, strength=other, lr=MOVING, momentum=momentum) == pytest.approx(one, rel=1e-12)


@pytest.mark.parametrize("form", decay.FORMS)
@pytest.mark.parametrize("to", decay.FORMS)
@pytest.mark.parametrize("semantics", ["keras", "torch"])
def test_all_forms_are_one_for_sgd_without_momentum(form: Form, to: Form, semantics: str) -> None:
    strength, none = np.linspace(0.3, 0.1, STEPS), np.zeros(STEPS)
    other = decay.translate(strength, form=form, to=to, lr=MOVING, momentum=none)
    one = run(sgd(semantics=semantics), form=form, strength=strength, lr=MOVING, momentum=none)
    two = run(sgd(semantics=semantics), form=to, strength=other, lr=MOVING, momentum=none)
    assert two == pytest.approx(one, rel=1e-9)


# --- the approximation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("semantics", ["keras", "torch"])
@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_with_momentum_a_weight_comes_to_rest_at_the_same_place(
    momentum: float, semantics: str, nesterov: bool
) -> None:
    steps, c = 3000, 0.05
    lr, m = np.full(steps, 0.05), np.full(steps, momentum)
    s = decay.translate(np.full(steps, c), form="coupled", to="decoupled", lr=lr, momentum=m)
    assert s[0] == pytest.approx(c / (1 - momentum))
    one = run(
        sgd(semantics=semantics, nesterov=nesterov), form="coupled", strength=np.full(steps, c), lr=lr, momentum=m
    )
    two = run(sgd(semantics=semantics, nesterov=nesterov), form="decoupled", strength=s, lr=lr, momentum=m)
    assert one[-1] == pytest.approx(0.7 * 2 / (0.7 + c), rel=1e-9)
    assert two[-1] == pytest.approx(one[-1], rel=1e-9)


@pytest.mark.parametrize("nesterov", [False, True])
def test_with_momentum_it_shrinks_as_fast_to_first_order_in_the_rate(nesterov: bool) -> None:
    """The error of the rate of shrinking halves with the learning rate."""
    steps, c, momentum, errors = 4000, 0.02, 0.9, []
    rule = updates.Sgd(semantics="torch", momentum=momentum, nesterov=nesterov)
    for rate in (0.02, 0.01, 0.005):
        lr, m = np.full(steps, rate), np.full(steps, momentum)
        left = decay.left_by_gradient(np.full(steps, c), lr=lr, momentum=m, rule=rule)
        half = decay.left_by_gradient(np.full(steps // 2, c), lr=lr[:2000], momentum=m[:2000], rule=rule)
        coupled = math.log(left / half) / 2000  # of the later half: the buffer has filled by then
        errors.append(abs(coupled / math.log1p(-rate * c / (1 - momentum)) - 1))
    assert errors[0] < 0.05
    assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.05)
    assert errors[2] / errors[1] == pytest.approx(0.5, abs=0.05)


# --- what is left -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("semantics", ["keras", "torch"])
def test_what_a_penalty_leaves_is_what_the_loop_leaves(semantics: Any, nesterov: bool) -> None:
    strength, momentum = np.linspace(0.5, 0.1, STEPS), np.linspace(0.95, 0.5, STEPS)
    rule = updates.Sgd(semantics=semantics, momentum=0.9, nesterov=nesterov)
    left = decay.left_by_gradient(strength, lr=MOVING, momentum=momentum, rule=rule)
    loop = run(
        sgd(semantics=semantics, nesterov=nesterov),
        form="coupled",
        strength=strength,
        lr=MOVING,
        momentum=momentum,
        loss=nothing,
    )
    assert left == pytest.approx(loop[-1] / 1.5, rel=1e-12)


def test_what_a_decay_leaves_is_the_product_over_the_steps() -> None:
    assert decay.left_by_decay(np.array([0.5, 0.5, 0.2])) == pytest.approx(0.2, rel=1e-15)
    assert decay.left_by_decay(np.array([1.5, 0.5])) == -0.25  # more than all of it: the sign changes
    assert decay.left_by_decay(np.array([1.0, 0.5])) == 0.0
    loop = run(sgd(), form="decoupled", strength=LEVEL, lr=MOVING, momentum=np.full(STEPS, 0.9), loss=nothing)
    assert decay.left_by_decay(MOVING * LEVEL) == pytest.approx(loop[-1] / 1.5, rel=1e-12)


# --- a recipe -----------------------------------------------------------------------------------------------------

NONE = ("regularisation={kind='none'}",)
DECOUPLED = ("optimizer={kind='adamw', lr=0.01}", "weight_decay={kind='decoupled', strength=0.5, on='kernels'}", *NONE)
COUPLED = ("optimizer={kind='sgd', lr=0.1, momentum=0.9}", "weight_decay={kind='coupled', strength=0.01}", *NONE)
FALL = "schedule={kind='polynomial'}"


def translations(*overrides: str, steps: int = 5) -> tuple[decay.Translation, ...]:
    """Return the translations of the full recipe, with a constant rate and ten epochs of `steps`."""
    recipe = parse(FULL, "schedule={kind='constant'}", *overrides)
    return decay.translations(recipe, horizon=controls.horizon(recipe, images=32 * steps))


def equivalents(found: decay.Translation) -> dict[str, decay.Equivalent]:
    return {one.form: one for one in found.equivalents}


def test_a_recipe_without_decay_has_nothing_to_translate() -> None:
    assert translations(*NONE) == ()


def test_adams_l2_is_coupled_and_nothing_else() -> None:
    (found,) = translations()
    assert (found.source, found.form, found.strength) == ("regularisation", "l2", 1e-4)
    assert found.parameters == "convolution kernels"
    table = equivalents(found)
    assert (table["coupled"].strength, table["coupled"].holds, table["coupled"].reason) == (2e-4, "exact", None)
    for form in ("decoupled", "independent"):
        one = table[form]
        assert (one.strength, one.lowest, one.highest, one.holds) == (None, None, None, None)
        assert one.reason is not None
        assert "adam divides" in one.reason
    assert found.shrinkage.step is found.shrinkage.left is found.shrinkage.averaging_epochs is None
    assert found.shrinkage.reason is not None


@pytest.mark.parametrize("kind", ["adam", "nadam", "rmsprop", "lamb", "lion", "muon"])
def test_only_sgd_makes_a_penalty_a_decay(kind: str) -> None:
    (found, *_) = translations(f"optimizer={{kind='{kind}'}}", "weight_decay={kind='coupled'}", *NONE)
    assert equivalents(found)["l2"].strength == pytest.approx(5e-5)
    assert equivalents(found)["decoupled"].strength is None
    assert kind in str(equivalents(found)["decoupled"].reason)


def test_adamws_decay_by_the_numbers() -> None:
    (found,) = translations(*DECOUPLED, FALL)
    table = equivalents(found)
    assert table["decoupled"] == decay.Equivalent("decoupled", 0.5, 0.5, 0.5, "exact")
    assert table["independent"].strength == pytest.approx(0.005)
    assert table["independent"].lowest == pytest.approx(0.005 / 50)
    assert table["independent"].highest == pytest.approx(0.005)
    assert table["independent"].holds == "step by step"
    shrinkage = found.shrinkage
    rates = [0.01 * (1 - k / 50) for k in range(50)]
    assert shrinkage.step == pytest.approx(0.005)
    assert shrinkage.epoch == pytest.approx(1 - math.prod(1 - 0.5 * rate for rate in rates[:5]))
    assert shrinkage.left == pytest.approx(math.prod(1 - 0.5 * rate for rate in rates))
    assert shrinkage.averaging_epochs == pytest.approx(1 / (0.01 * 0.5 * 5))
    assert shrinkage.averaging_mean == pytest.approx(10 / (0.5 * sum(rates)))


def test_an_independent_strength_at_a_constant_rate_is_exact() -> None:
    (found,) = translations(
        "optimizer={kind='adamw', lr=0.01}", "weight_decay={kind='independent', strength=1e-3}", *NONE
    )
    assert equivalents(found)["decoupled"] == decay.Equivalent("decoupled", 0.1, 0.1, 0.1, "exact")


def test_an_independent_strength_has_no_decoupled_one_where_the_rate_is_0() -> None:
    overrides = ("optimizer={kind='adamw', lr=0.01}", "weight_decay={kind='independent', strength=1e-3}", *NONE)
    (found,) = translations(*overrides, "schedule={kind='1cycle', start=0.0, end=0.0}")
    one = equivalents(found)["decoupled"]
    assert one.strength == pytest.approx(0.1)
    assert one.lowest == pytest.approx(0.1)
    assert one.highest is None
    assert one.reason == "without end where the learning rate is 0"


def test_sgds_coupled_decay_is_a_decoupled_one_in_the_long_run() -> None:
    (found,) = translations(*COUPLED)
    table = equivalents(found)
    assert table["decoupled"].strength == pytest.approx(0.1)
    assert table["independent"].strength == pytest.approx(0.01)
    assert table["decoupled"].holds == table["independent"].holds == "long run"
    assert (table["l2"].strength, table["l2"].holds, table["l2"].reason) == (0.005, "exact", "l2 reaches kernels alone")
    assert found.shrinkage.left == pytest.approx(
        decay.left_by_gradient(
            np.full(50, 0.01),
            lr=np.full(50, 0.1),
            momentum=np.full(50, 0.9),
            rule=updates.Sgd(momentum=0.9),
        )
    )


def test_without_momentum_it_is_exact() -> None:
    (found,) = translations(
        "optimizer={kind='sgd', lr=0.1}", "weight_decay={kind='coupled', strength=0.01}", *NONE, FALL
    )
    assert (equivalents(found)["decoupled"].strength, equivalents(found)["decoupled"].holds) == (0.01, "exact")
    assert equivalents(found)["independent"].holds == "step by step"


def test_clipping_limits_what_l2_equals() -> None:
    (found,) = translations("clip_norm=1.0")
    assert equivalents(found)["coupled"].holds == "unclipped"
    (found,) = translations("clip_norm=1.0", "optimizer={kind='sgd'}", "weight_decay={kind='coupled'}", *NONE)
    assert equivalents(found)["decoupled"].holds == "exact"
    assert equivalents(found)["l2"].holds == "unclipped"


def test_clipping_is_named_beside_a_weaker_limit() -> None:
    (found,) = translations("clip_norm=1.0", "optimizer={kind='sgd', momentum=0.9}")
    one = equivalents(found)["decoupled"]
    assert (one.holds, one.reason) == ("long run", "where gradients are not clipped")


def test_what_overflows_is_absent() -> None:
    huge = ("optimizer={kind='sgd', lr=1e200}", "weight_decay={kind='decoupled', strength=1e200}", *NONE)
    (found,) = translations(*huge)
    assert equivalents(found)["independent"].strength is None
    assert (found.shrinkage.step, found.shrinkage.reason) == (None, "its numbers overflow")
    (found,) = translations("optimizer={kind='sgd', lr=1e10}", "weight_decay={kind='decoupled', strength=1.0}", *NONE)
    assert found.shrinkage.left is None


def test_muon_and_its_auxiliary_are_two_parts() -> None:
    muon = "optimizer={kind='muon', lr=0.04, auxiliary={kind='sgd', lr=0.02, momentum=0.5}}"
    kernels, rest = translations(muon, "weight_decay={kind='decoupled', strength=0.5}", *NONE)
    assert (kernels.parameters, kernels.rule) == ("convolution kernels", "muon")
    assert (rest.parameters, rest.rule) == ("everything but convolution kernels", "sgd")
    assert equivalents(kernels)["independent"].strength == pytest.approx(0.02)
    assert equivalents(rest)["independent"].strength == pytest.approx(0.01)
    assert equivalents(rest)["coupled"].strength == pytest.approx(0.25)
    (only,) = translations(muon, "weight_decay={kind='decoupled', on='conv-kernels'}", *NONE)
    assert only.rule == "muon"


def test_kernels_that_get_their_norm_back_do_not_decay() -> None:
    muon = "optimizer={kind='muon', unit_filters=true}"
    kernels, rest = translations(muon, "weight_decay={kind='decoupled'}", *NONE)
    assert kernels.shrinkage.step is None
    assert "norm back" in str(kernels.shrinkage.reason)
    assert rest.shrinkage.step is not None


def test_l2_and_weight_decay_are_two_translations() -> None:
    found = translations(*DECOUPLED[:2])
    assert [(one.source, one.form) for one in found] == [("regularisation", "l2"), ("weight_decay", "decoupled")]


def test_a_budget_too_long_to_follow_is_refused() -> None:
    recipe = parse(FULL, "budget.epochs=1000000")
    with pytest.raises(RecipeError, match=r"budget\.epochs: too many steps to follow each: 1,000,000,000"):
        decay.translations(recipe, horizon=controls.horizon(recipe, images=32_000))


# --- the optimizers that do it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        DECOUPLED,
        COUPLED,
        (*COUPLED, "optimizer.semantics=torch", "optimizer.nesterov=true"),
        ("optimizer={kind='lion', lr=0.01}", "weight_decay={kind='independent', strength=0.01}", *NONE),
        (*COUPLED, "weight_decay={kind='decoupled', strength=0.2, schedule={kind='cosine'}}"),
    ],
)
def test_the_optimizer_leaves_what_was_said(overrides: tuple[str, ...]) -> None:
    """Without a gradient of the loss, the real rule with the real decay, step by step."""
    recipe = parse(FULL, *overrides, "schedule={kind='warm-up', length=0.2, then={kind='cosine', end=0.1}}")
    horizon = controls.horizon(recipe, images=32 * 5)
    (found,) = decay.translations(recipe, horizon=horizon)
    vector = torch.ones(4, dtype=torch.float64)
    layout = Layout(vector, {"kernel": 4}, {"kernel": 2}, 4, 4)
    rule = optimizers.build(recipe.optimizer, layout=layout, weight_decay=recipe.weight_decay)
    for epoch in range(1, 11):
        for step in controls.of_epoch(recipe, epoch=epoch, horizon=horizon).T:
            lr, momentum, strength = (torch.tensor(value, dtype=torch.float64) for value in step)
            live, on_host = torch.ones((), dtype=torch.float64), tuple(step.tolist())
            gradient = torch.zeros(4, dtype=torch.float64)
            rule.update(gradient, Controls(lr=lr, momentum=momentum, decay=strength, live=live, on_host=on_host))
    assert found.shrinkage.left == pytest.approx(vector[0].item(), rel=1e-12)
