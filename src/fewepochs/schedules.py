"""Schedules: pure functions of the step, and the plateau rule with its state in view.

A schedule maps a position in training to a factor; the rate is the optimizer's lr times the factor. Position is counted
in steps done before the step, from 0. A schedule with `unit = "budget"` is stretched to the budget, one with
`unit = "epochs"` is pinned to the epochs it names. Formulas stand with the specs.

Against torch 2.13 and Keras 3.15: cosine, polynomial, exponential, cosine restarts and 1cycle equal their classes
stepped once a step, in closed form (torch's chainable forms differ in the last bits). Deviations: 1. where the rise of
a 1cycle has no more than one step, that step is the peak; torch divides by zero, or begins a little below the peak.

The plateau rule is a function (state, val_loss) -> state, after Keras 3.15's ReduceLROnPlateau. Deviations: 1. the rate
itself is kept in float64, where Keras rounds it to float32; comparisons round to float32, as Keras's do.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import assert_never

import numpy as np
import numpy.typing as npt

from fewepochs.specs import rates

Rates = npt.NDArray[np.float64]
Curve = Callable[[int], float]
"""A pure function of the number of steps done before a step (0 for the very first)."""


@dataclass(frozen=True)
class Horizon:
    """How long a run is: the steps of each epoch of the budget. After the budget every epoch is like its last.

    `begin`: the step that positions are counted from; a warm-up moves it to its own end. One that takes the whole
    budget leaves what follows it one epoch, which no run comes to.
    """

    epoch_steps: tuple[int, ...]
    begin: int = 0

    @classmethod
    def even(cls, budget_epochs: int, steps_per_epoch: int) -> Horizon:
        """Return a horizon whose epochs all have `steps_per_epoch` steps."""
        return cls((steps_per_epoch,) * budget_epochs)

    @property
    def steps(self) -> int:
        """Steps from `begin` to the end of the budget."""
        left = self._firsts[-1] - self.begin
        return left if left > 0 else self.epoch_steps[-1]

    def first(self, epoch: int) -> int:
        """Return the number of steps done before `epoch` (1-based)."""
        beyond = max(0, epoch - 1 - len(self.epoch_steps))
        return self._firsts[epoch - 1 - beyond] + beyond * self.epoch_steps[-1]

    def epoch(self, step: int) -> int:
        """Return the epoch (1-based) of the step that follows `step` steps done."""
        beyond = max(0, step - self._firsts[-1]) // self.epoch_steps[-1]
        if step >= self._firsts[-1]:
            return len(self.epoch_steps) + 1 + beyond
        return bisect_right(self._firsts, step)

    def position(self, step: int, *, unit: rates.TimeUnit) -> float:
        """Return how far from `begin` the `step` is, in epochs or as a fraction of what the budget then leaves."""
        epochs = self._epochs(step) - self._origin
        return epochs if unit == "epochs" else epochs / self._left

    def step_at(self, position: float, *, unit: rates.TimeUnit) -> int:
        """Return the first step at or after `position`."""
        epochs = self._origin + (position if unit == "epochs" else position * self._left)
        whole = math.floor(epochs)
        steps = (epochs - whole) * self._steps_in(whole + 1)
        nearest = round(steps)
        # Rounding must not delay a boundary by a step: 0.29 * 100 epochs is 28.999999999999996.
        close = math.isclose(steps, nearest, rel_tol=0, abs_tol=1e-12 * max(1.0, epochs) * self._steps_in(whole + 1))
        return self.first(whole + 1) + (nearest if close else math.ceil(steps))

    def after(self, position: float, *, unit: rates.TimeUnit) -> Horizon:
        """Return the same run, seen from `position`."""
        return replace(self, begin=self.step_at(position, unit=unit))

    def _epochs(self, step: int) -> float:
        epoch = self.epoch(step)
        return epoch - 1 + (step - self.first(epoch)) / self._steps_in(epoch)

    def _steps_in(self, epoch: int) -> int:
        return self.epoch_steps[min(epoch, len(self.epoch_steps)) - 1]

    @cached_property
    def _firsts(self) -> tuple[int, ...]:
        return tuple(accumulate(self.epoch_steps, initial=0))

    @cached_property
    def _origin(self) -> float:
        return self._epochs(self.begin)

    @cached_property
    def _left(self) -> float:
        left = len(self.epoch_steps) - self._origin
        return left if left > 0 else 1.0


def value(spec: rates.Schedule, step: int, *, horizon: Horizon) -> float:
    """Return the factor of the step that follows `step` steps done (0 for the very first)."""
    return curve(spec, horizon=horizon)(step)


def curve(spec: rates.Schedule, *, horizon: Horizon) -> Curve:
    """Return the factor as a function of the step; what all steps have in common is worked out once."""
    match spec:
        case rates.Constant():
            return lambda _: 1.0
        case rates.PiecewiseConstant():
            return _by(spec.every, _piecewise_constant(spec, horizon=horizon), horizon=horizon)
        case rates.PiecewiseLinear():
            return _by(spec.every, _piecewise_linear(spec, horizon=horizon), horizon=horizon)
        case rates.Polynomial() | rates.Exponential() | rates.Cosine():
            return _by(spec.every, _falling(spec, horizon=horizon), horizon=horizon)
        case rates.CosineRestarts():
            return _by(spec.every, _restarting(spec, horizon=horizon), horizon=horizon)
        case rates.OneCycle():
            ends = (spec.start, 1.0, spec.start, spec.end) if spec.three_phase else (spec.start, 1.0, spec.end)
            return _one_cycle(spec, ends, horizon=horizon)
        case rates.Trapezoid():
            return _by(spec.every, _trapezoid(spec, horizon=horizon), horizon=horizon)
        case rates.WarmUp():
            return _warm_up(spec, horizon=horizon)
        case _:
            assert_never(spec)


def momentum(spec: rates.Schedule, step: int, *, horizon: Horizon) -> float | None:
    """Return the momentum that `spec` asks for at the step that follows `step` steps done; None where it asks none."""
    asked = momentum_curve(spec, horizon=horizon)
    return None if asked is None else asked(step)


def momentum_curve(spec: rates.Schedule, *, horizon: Horizon) -> Curve | None:
    """Return the momentum that `spec` asks for as a function of the step; None where it asks none.

    During a warm-up it is what comes first after it.
    """
    if isinstance(spec, rates.WarmUp):
        after = horizon.after(spec.length, unit=spec.unit)
        then = momentum_curve(spec.then, horizon=after)
        return None if then is None else lambda step: then(max(step, after.begin))
    if not isinstance(spec, rates.OneCycle) or spec.momentum is None:
        return None
    low, high = spec.momentum
    ends = (high, low, high, high) if spec.three_phase else (high, low, high)
    return _one_cycle(spec, ends, horizon=horizon)


def epoch_factors(spec: rates.Schedule, *, epoch: int, horizon: Horizon) -> Rates:
    """Return the factors of all steps of `epoch` (1-based): float64 [steps]."""
    found = curve(spec, horizon=horizon)
    return np.array([found(step) for step in range(horizon.first(epoch), horizon.first(epoch + 1))])


def epoch_rates(
    spec: rates.Schedule, *, lr: float, epoch: int, horizon: Horizon, scale: float = 1.0, min_lr: float = 0.0
) -> Rates:
    """Return the learning rates of all steps of `epoch` (1-based): float64 [steps].

    `scale` is the plateau's reduction so far; it never pushes a rate below min(rate, min_lr).
    """
    found = lr * epoch_factors(spec, epoch=epoch, horizon=horizon)
    return found if scale == 1.0 else np.maximum(found * scale, np.minimum(found, min_lr))


def batch_sizes(spec: rates.BatchSchedule, *, batch_size: int, budget_epochs: int) -> tuple[int, ...]:
    """Return the batch size of each epoch of the budget; a factor that gives a fraction rounds to the nearest."""
    factor = curve(spec, horizon=Horizon.even(budget_epochs, 1))
    return tuple(max(1, round(batch_size * factor(k))) for k in range(budget_epochs))


# --- shapes -------------------------------------------------------------------------------------------------------


def _by(every: rates.Every, found: Curve, *, horizon: Horizon) -> Curve:
    """Return `found` as it is, or with the value of each epoch's first step for the whole epoch."""
    if every == "step":
        return found
    return lambda step: found(max(horizon.begin, horizon.first(horizon.epoch(step))))


def _piecewise_constant(spec: rates.PiecewiseConstant, *, horizon: Horizon) -> Curve:
    starts = [horizon.step_at(boundary, unit=spec.unit) for boundary in spec.boundaries]
    return lambda step: spec.factors[bisect_right(starts, step)]


def _piecewise_linear(spec: rates.PiecewiseLinear, *, horizon: Horizon) -> Curve:
    positions, levels = np.array(spec.points).T
    return lambda step: float(np.interp(horizon.position(step, unit=spec.unit), positions, levels))


def _falling(spec: rates.Polynomial | rates.Exponential | rates.Cosine, *, horizon: Horizon) -> Curve:
    return lambda step: _fall(spec, min(1.0, horizon.position(step, unit=spec.unit) / spec.until))


def _fall(spec: rates.Polynomial | rates.Exponential | rates.Cosine, p: float) -> float:
    match spec:
        case rates.Polynomial():
            return spec.end + (1.0 - spec.end) * math.pow(1.0 - p, spec.power)
        case rates.Exponential():
            return math.pow(spec.end, p)
        case rates.Cosine(wave="half"):
            return spec.end + (1.0 - spec.end) * (1.0 + math.cos(math.pi * p)) / 2.0
        case rates.Cosine():
            # The cosine of a rounded pi/2 is 6e-17, not 0.
            return spec.end + (1.0 - spec.end) * (math.cos(math.pi * p / 2.0) if p < 1.0 else 0.0)
        case _:
            assert_never(spec)


def _restarting(spec: rates.CosineRestarts, *, horizon: Horizon) -> Curve:
    growth = math.log(spec.stretch)
    just = 1e-9  # a restart that rounding puts after its step still belongs to it

    def factor(step: int) -> float:
        passed = horizon.position(step, unit=spec.unit) / spec.first
        if growth == 0.0:
            cycle = math.floor(passed + just)
            inside = passed - cycle
        else:
            cycle = math.floor(math.log1p(passed * (spec.stretch - 1.0)) / growth + just)
            begin = math.expm1(cycle * growth) / (spec.stretch - 1.0)
            inside = (passed - begin) / spec.stretch**cycle
        height: float = spec.shrink**cycle * (1.0 + math.cos(math.pi * inside)) / 2.0
        return spec.end + (1.0 - spec.end) * height

    return factor


def _one_cycle(spec: rates.OneCycle, ends: tuple[float, ...], *, horizon: Horizon) -> Curve:
    """Return a line through `ends`, the values at the begin and at the end of each phase."""
    last = horizon.steps - 1.0
    peak = max(0.0, spec.rise * horizon.steps - 1.0)
    turns = (0.0, peak, 2.0 * peak, last) if spec.three_phase else (0.0, peak, last)

    def line(step: int) -> float:
        here = min(float(step - horizon.begin), last)
        phase = next((k for k in range(len(turns) - 2) if here <= turns[k + 1]), len(turns) - 2)
        begin, end = turns[phase], turns[phase + 1]
        p = (here - begin) / (end - begin) if end > begin else 1.0
        if spec.anneal == "cosine":
            p = (1.0 - math.cos(math.pi * p)) / 2.0
        low, high = sorted(ends[phase : phase + 2])
        # Rounding must not leave the range that the ends span: a momentum in [0.85, 0.95] stays in it.
        return min(high, max(low, ends[phase] + (ends[phase + 1] - ends[phase]) * p))

    return line


def _trapezoid(spec: rates.Trapezoid, *, horizon: Horizon) -> Curve:
    def factor(step: int) -> float:
        position = min(1.0, horizon.position(step, unit="budget"))
        if position < spec.rise:
            return spec.start + (1.0 - spec.start) * position / spec.rise
        if position <= spec.fall:
            return 1.0
        return 1.0 + (spec.end - 1.0) * (position - spec.fall) / (1.0 - spec.fall)

    return factor


def _warm_up(spec: rates.WarmUp, *, horizon: Horizon) -> Curve:
    after = horizon.after(spec.length, unit=spec.unit)
    then = curve(spec.then, horizon=after)
    first = then(after.begin)

    def factor(step: int) -> float:
        if step >= after.begin:
            return then(step)
        share = (step - horizon.begin) / (after.begin - horizon.begin)
        return first * (spec.start + (1.0 - spec.start) * share)

    return factor


# --- plateau ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlateauState:
    """What ReduceLROnPlateau remembers: the best val_loss, epochs waited, cooldown left, the reduction so far."""

    best: float = math.inf
    wait: int = 0
    cooldown: int = 0
    scale: float = 1.0


def plateau_update(
    spec: rates.Plateau, state: PlateauState, *, val_loss: float, lr: float
) -> tuple[PlateauState, float]:
    """Return the state after an epoch and the rate that then stands in the optimizer.

    `lr` is the rate that stood in the optimizer during the epoch. With the reading "overwritten" the state's scale
    stays 1, because the next epoch begins with the schedule's own rate.
    """
    cooldown, wait, best = state.cooldown, state.wait, state.best
    if cooldown > 0:
        cooldown, wait = cooldown - 1, 0
    if math.isinf(best) or _float32(val_loss + spec.min_delta) < _float32(best):
        return PlateauState(val_loss, 0, cooldown, state.scale), lr
    if cooldown > 0:
        return PlateauState(best, wait, cooldown, state.scale), lr
    wait += 1
    if wait < spec.patience or _float32(lr) <= _float32(spec.min_lr):
        return PlateauState(best, wait, cooldown, state.scale), lr
    reduced = max(lr * spec.factor, spec.min_lr)
    scale = state.scale * spec.factor if spec.reading == "effective" else 1.0
    return PlateauState(best, 0, spec.cooldown, scale), reduced


def _float32(value: float) -> np.float32:
    with np.errstate(over="ignore"):  # a finite loss above 3.4e38 is infinite to Keras, too
        return np.float32(value)
