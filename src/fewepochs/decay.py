"""Weight decay translated: the strength of one form in the terms of the others, and what it takes off a weight.

Forms, for a weight w with the gradient g of the loss, at a step with learning rate lr and momentum m:

    l2            g + 2 * l * w       the gradient of l * w^2, as Keras's kernel_regularizer
    coupled       g + c * w           torch's weight_decay of SGD, Adam, RMSprop
    decoupled     w -= lr * s * w     before the update: AdamW
    independent   w -= i * w          before the update, whatever lr is

l2 = coupled: c = 2 * l, for any rule, because the rule sees the same gradient. Where gradients are clipped, l2's part
is clipped with them, and coupled's is not.

coupled = decoupled, for SGD. Without momentum, w - lr * (g + c * w) = (1 - lr * c) * w - lr * g: exact, s = c. With
momentum, heavy-ball or Nesterov's, a gradient moves w by lr * (1 + m + m^2 + ...) = lr / (1 - m) times itself in the
long run, and so does its part c * w: s = c / (1 - m), an approximation at constant rate and momentum. Where w rests,
the two agree exactly: coupled it rests where g + c * w = 0, decoupled where lr * s * w = -lr / (1 - m) * g. On their
way there they agree to first order in lr: without g, a coupled w shrinks by the root z next to 1 of
z^2 - (1 + m - lr * c) * z + m = 0, which is 1 - lr * c / (1 - m) * (1 + O(lr * c / (1 - m)^2)). A rule that divides by
the root of a second moment (Adam and its kin), takes a sign (Lion) or a nearest orthogonal matrix (Muon) does so to
c * w, too: what is left of it depends on the gradients, and no strength of the one form does what the other does.

decoupled = independent: i = lr * s, exact in each step, and so another i in each step where lr moves.

A decoupled weight is a moving average of its updates: w = (1 - lr * s) * w + lr * s * (-u / s), over 1 / (lr * s) steps
(Wang & Aitchison 2024, arXiv:2405.13698), or 1 / (lr * s * steps per epoch) epochs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fewepochs import controls
from fewepochs import recipe as recipes
from fewepochs.errors import Problem, RecipeError
from fewepochs.schedules import Horizon, Rates
from fewepochs.specs import updates

Form = Literal["l2", "coupled", "decoupled", "independent"]
FORMS: tuple[Form, ...] = ("l2", "coupled", "decoupled", "independent")
Holds = Literal["exact", "step by step", "unclipped", "long run"]
HOLDS: tuple[Holds, ...] = ("exact", "step by step", "unclipped", "long run")
"""How an equivalence holds, from strong to weak; a chain of two holds as its weaker part does."""
MOST_STEPS = 20_000_000
"""So many are followed one by one in minutes."""


@dataclass(frozen=True)
class Part:
    """Weights that one rule updates: for Muon there are two parts, else one."""

    parameters: str
    rule: updates.Optimizer
    lr: Rates
    momentum: Rates


@dataclass(frozen=True)
class Equivalent:
    """The strength in another form: at the step of the highest rate, and its range over the budget.

    None where there is none; `reason` then says why. `highest` is None where the rate falls to 0 and the strength would
    have to grow without end; `reason` then says so, as it names what else limits the equivalence.
    """

    form: Form
    strength: float | None
    lowest: float | None
    highest: float | None
    holds: Holds | None
    reason: str | None = None


@dataclass(frozen=True)
class Shrinkage:
    """What decay alone takes off a weight, as if it had no gradient of the loss; shares of the weight.

    `step` and `epoch` are lost in the step of the highest rate and in its epoch, `left` remains after the budget.
    `averaging_epochs` is the time over which the weight averages its updates, at the highest rate; `averaging_mean` the
    same at the budget's mean loss a step. None where there is no such number; `reason` then says why. `left` alone is
    None where each step takes so much more than all of a weight that it grows without end.
    """

    step: float | None
    epoch: float | None
    left: float | None
    averaging_epochs: float | None
    averaging_mean: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Translation:
    """One decay of a recipe on one part of its weights."""

    source: Literal["regularisation", "weight_decay"]
    form: Form
    strength: float
    parameters: str
    rule: str
    equivalents: tuple[Equivalent, ...]
    shrinkage: Shrinkage


# --- formulas -----------------------------------------------------------------------------------------------------


def translate(strength: Rates, *, form: Form, to: Form, lr: Rates, momentum: Rates) -> Rates:
    """Return the strengths that SGD needs in the form `to`, step by step: float64 [steps]; infinite where lr is 0.

    >>> one = np.ones(1)
    >>> translate(1e-4 * one, form="l2", to="decoupled", lr=0.1 * one, momentum=0.9 * one).round(6).tolist()
    [0.002]
    """
    if form == to:
        return strength
    if {form, to} == {"l2", "coupled"}:
        return strength * (2.0 if to == "coupled" else 0.5)
    slow = 1.0 - momentum
    with np.errstate(over="ignore"):
        match form:
            case "l2":
                decoupled = 2.0 * strength / slow
            case "coupled":
                decoupled = strength / slow
            case "decoupled":
                decoupled = strength
            case "independent":
                decoupled = np.divide(strength, lr, out=np.full_like(lr, np.inf), where=lr > 0)
        match to:
            case "l2":
                return decoupled * slow / 2.0
            case "coupled":
                return decoupled * slow
            case "decoupled":
                return decoupled
            case "independent":
                return decoupled * lr


def left_by_decay(removed: Rates) -> float:
    """Return the share of a weight that is left when step k takes the share `removed[k]` off it: prod(1 - removed)."""
    if np.all(removed < 1):
        return math.exp(math.fsum(np.log1p(-removed)))
    kept: list[float] = (1.0 - removed).tolist()
    return math.prod(kept)


def left_by_gradient(coupled: Rates, *, lr: Rates, momentum: Rates, rule: updates.Sgd) -> float:
    """Return the share of a weight that SGD leaves of it if coupled * w is its whole gradient, momentum and all."""
    weight, buffer = 1.0, 0.0
    keras, nesterov = rule.semantics == "keras", rule.nesterov
    for c, rate, m in zip(coupled.tolist(), lr.tolist(), momentum.tolist(), strict=True):
        # Keras's buffer holds steps, torch's gradients: lr comes in before or after it.
        gradient = c * weight * (rate if keras else 1.0)
        buffer = m * buffer + gradient
        moved = gradient + m * buffer if nesterov else buffer
        weight -= moved if keras else rate * moved
    return weight


# --- a recipe -----------------------------------------------------------------------------------------------------


def translations(recipe: recipes.Recipe, *, horizon: Horizon) -> tuple[Translation, ...]:
    """Return what each decay of `recipe` is in the other forms, and what it takes off the weights it touches.

    A plateau is left aside. Raises RecipeError where the budget is too long to follow every step of it.
    """
    found: list[tuple[Literal["regularisation", "weight_decay"], Form, updates.Touched, Rates]] = []
    l2, spec = recipe.regularisation, recipe.weight_decay
    if isinstance(l2, updates.NoRegularisation) and isinstance(spec, updates.NoWeightDecay):
        return ()
    if horizon.steps > MOST_STEPS:
        problem = Problem(
            "budget.epochs", f"too many steps to follow each: {horizon.steps:,}", allowed=f"{MOST_STEPS:,}"
        )
        raise RecipeError(recipe.name, (problem,))
    epochs = range(1, len(horizon.epoch_steps) + 1)
    lr, momentum, decay = np.concatenate([controls.of_epoch(recipe, epoch=e, horizon=horizon) for e in epochs], axis=1)
    if isinstance(l2, updates.L2):
        found.append(("regularisation", "l2", l2.on, np.full_like(lr, l2.strength)))
    if not isinstance(spec, updates.NoWeightDecay):
        found.append(("weight_decay", spec.kind, spec.on, decay))
    return tuple(
        Translation(
            source=source,
            form=form,
            strength=l2.strength if source == "regularisation" and isinstance(l2, updates.L2) else _strength(spec),
            parameters=part.parameters,
            rule=part.rule.kind,
            equivalents=tuple(
                _equivalent(part, strengths, form=form, to=to, on=on, clipped=recipe.clip_norm is not None)
                for to in FORMS
            ),
            shrinkage=_shrinkage(part, strengths, form=form, horizon=horizon),
        )
        for source, form, on, strengths in found
        for part in _parts(recipe, on=on, lr=lr, momentum=momentum)
    )


def _strength(spec: updates.WeightDecay) -> float:
    return 0.0 if isinstance(spec, updates.NoWeightDecay) else spec.strength


TOUCHED: dict[updates.Touched, str] = {
    "conv-kernels": "convolution kernels",
    "kernels": "convolution and dense kernels",
    "all": "every trainable parameter, biases and BN's included",
}
_REST: dict[updates.Touched, str] = {"kernels": "dense kernels", "all": "everything but convolution kernels"}


def _parts(recipe: recipes.Recipe, *, on: updates.Touched, lr: Rates, momentum: Rates) -> tuple[Part, ...]:
    """Return the parts of what `on` names, one for each rule that updates them."""
    rule = recipe.optimizer
    if not isinstance(rule, updates.Muon):
        return (Part(TOUCHED[on], rule, lr, momentum),)
    kernels = Part(TOUCHED["conv-kernels"], rule, lr, momentum)
    if on == "conv-kernels":
        return (kernels,)
    other = rule.auxiliary
    own = np.full_like(momentum, updates.momentum_of(other) or 0.0)
    return (kernels, Part(_REST[on], other, lr * (other.lr / rule.lr), own))


def _equivalent(
    part: Part, strengths: Rates, *, form: Form, to: Form, on: updates.Touched, clipped: bool
) -> Equivalent:
    inside = ("l2", "coupled")
    crosses = (form in inside) != (to in inside)
    reason = _no_crossing(part.rule) if crosses else None
    if reason is not None:
        return Equivalent(to, None, None, None, None, reason)
    found = translate(strengths, form=form, to=to, lr=part.lr, momentum=part.momentum)
    holds: list[Holds] = ["exact"]
    notes: list[str] = []
    if clipped and form != to and "l2" in (form, to):
        holds.append("unclipped")
    if crosses and part.momentum.any():
        holds.append("long run")
    if form != to and "independent" in (form, to) and np.ptp(part.lr) > 0:
        holds.append("step by step")
    weakest = max(holds, key=HOLDS.index)
    if "unclipped" in holds and weakest != "unclipped":
        notes.append("where gradients are not clipped")
    if to == "l2" and on == "all":
        notes.append("l2 reaches kernels alone")
    known, peak = found[np.isfinite(found)], found[int(part.lr.argmax())]
    if len(known) < len(found):
        notes.append("without end where the learning rate is 0")
    return Equivalent(
        to,
        strength=float(peak) if math.isfinite(peak) else None,
        lowest=float(known.min()) if len(known) else None,
        highest=float(known.max()) if len(known) == len(found) else None,
        holds=weakest,
        reason="; ".join(notes) or None,
    )


def _no_crossing(rule: updates.Optimizer) -> str | None:
    """Return why `rule` lets no penalty inside the gradient do what a decay outside it does; None where it does."""
    match rule:
        case updates.Sgd():
            return None
        case updates.Adam() | updates.AdamW() | updates.Nadam() | updates.RmsProp() | updates.Lamb():
            return f"{rule.kind} divides the penalty's gradient, too, by the root of the second moment"
        case updates.Lion():
            return "lion takes the sign of the momentum, the penalty's part in it included"
        case updates.Muon():
            return "muon makes the whole direction semi-orthogonal, the penalty's part in it included"
        case updates.ScheduleFreeSgd() | updates.ScheduleFreeAdamW():
            return "Schedule-Free decays where it takes gradients, and evaluates an average"
        case updates.PythonOptimizer():
            return "what a rule of the user's own does with a gradient is not known"


def _shrinkage(part: Part, strengths: Rates, *, form: Form, horizon: Horizon) -> Shrinkage:
    reason = _no_shrinkage(part.rule, form=form)
    if reason is not None:
        return Shrinkage(None, None, None, None, None, reason)
    removed = translate(strengths, form=form, to="independent", lr=part.lr, momentum=part.momentum)
    peak = int(part.lr.argmax())
    step, epoch = float(removed[peak]), horizon.epoch(peak)
    lost = 1.0 - left_by_decay(removed[horizon.first(epoch) : horizon.first(epoch + 1)])
    total = float(removed.sum())
    if not (math.isfinite(total) and math.isfinite(lost)):
        return Shrinkage(None, None, None, None, None, "its numbers overflow")
    if isinstance(part.rule, updates.Sgd) and form in ("l2", "coupled"):
        coupled = translate(strengths, form=form, to="coupled", lr=part.lr, momentum=part.momentum)
        left = left_by_gradient(coupled, lr=part.lr, momentum=part.momentum, rule=part.rule)
    else:
        left = left_by_decay(removed)
    # Below the smallest numbers an average over that time is none.
    averages = step * horizon.epoch_steps[epoch - 1] > 1e-300
    return Shrinkage(
        step=step,
        epoch=lost,
        left=left if math.isfinite(left) else None,
        averaging_epochs=1.0 / (step * horizon.epoch_steps[epoch - 1]) if averages else None,
        averaging_mean=len(horizon.epoch_steps) / total if averages else None,
        reason=None if averages else "nothing decays at the highest rate",
    )


def _no_shrinkage(rule: updates.Optimizer, *, form: Form) -> str | None:
    """Return why nothing can be said of what decay takes off a weight; None where it can."""
    if form in ("l2", "coupled") or isinstance(rule, updates.ScheduleFreeSgd | updates.ScheduleFreeAdamW):
        return _no_crossing(rule)
    if isinstance(rule, updates.Muon) and rule.unit_filters:
        return "unit_filters gives each kernel its norm back before the update: nothing is left of a decay"
    return None
