"""Learning-rate schedules: pure functions of the step, and the plateau rule with its state in view.

A schedule maps a position in training to a factor; the rate is the optimizer's lr times the factor. Position is counted
in steps done before the step, from 0; an epoch has `steps_per_epoch` steps. A schedule with `unit = "budget"` is
stretched to the budget, one with `unit = "epochs"` is pinned to the epochs it names.

The plateau rule is a function (state, val_loss) -> state, after Keras 3.15's ReduceLROnPlateau. Deviations: 1. the rate
itself is kept in float64, where Keras rounds it to float32; comparisons round to float32, as Keras's do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt

from fewepochs import specs

Rates = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Horizon:
    """How long a run is: `budget_epochs` epochs of `steps_per_epoch` steps."""

    budget_epochs: int
    steps_per_epoch: int


def value(spec: specs.Schedule, step: int, *, horizon: Horizon) -> float:
    """Return the factor of the step that follows `step` steps done (0 for the very first)."""
    match spec:
        case specs.Constant():
            return 1.0
        case specs.PiecewiseConstant():
            step = _seen(step, every=spec.every, horizon=horizon)
            done = sum(step >= _steps(b, unit=spec.unit, horizon=horizon) for b in spec.boundaries)
            return spec.factors[done]
        case specs.PiecewiseLinear():
            return _linear(spec, _seen(step, every=spec.every, horizon=horizon), horizon=horizon)
        case _:
            assert_never(spec)


def epoch_rates(
    spec: specs.Schedule, *, lr: float, epoch: int, horizon: Horizon, scale: float = 1.0, min_lr: float = 0.0
) -> Rates:
    """Return the learning rates of all steps of `epoch` (1-based): float64 [steps_per_epoch].

    `scale` is the plateau's reduction so far; it never pushes a rate below min(rate, min_lr).
    """
    first = (epoch - 1) * horizon.steps_per_epoch
    rates = np.array([lr * value(spec, first + k, horizon=horizon) for k in range(horizon.steps_per_epoch)])
    return rates if scale == 1.0 else np.maximum(rates * scale, np.minimum(rates, min_lr))


def _seen(step: int, *, every: specs.Every, horizon: Horizon) -> int:
    """Return the step whose value holds at `step`: its own, or that of its epoch's first step."""
    return step if every == "step" else step - step % horizon.steps_per_epoch


def _steps(position: float, *, unit: specs.TimeUnit, horizon: Horizon) -> int:
    """Return the first step at or after `position`, in steps done."""
    epochs = position * horizon.budget_epochs if unit == "budget" else position
    steps = epochs * horizon.steps_per_epoch
    nearest = round(steps)
    # Rounding must not delay a boundary by a step: 0.29 * 100 epochs is 28.999999999999996.
    return nearest if math.isclose(steps, nearest, rel_tol=1e-12) else math.ceil(steps)


def _linear(spec: specs.PiecewiseLinear, step: int, *, horizon: Horizon) -> float:
    position = step / horizon.steps_per_epoch
    if spec.unit == "budget":
        position /= horizon.budget_epochs
    return float(np.interp(position, [p for p, _ in spec.points], [f for _, f in spec.points]))


# --- plateau ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlateauState:
    """What ReduceLROnPlateau remembers: the best val_loss, epochs waited, cooldown left, the reduction so far."""

    best: float = math.inf
    wait: int = 0
    cooldown: int = 0
    scale: float = 1.0


def plateau_update(
    spec: specs.Plateau, state: PlateauState, *, val_loss: float, lr: float
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
