"""A sweep of the learning rate as a value: which rates, and what each seed measured along them.

    exponential   lr_k = from * (up_to / from)^(k / (n - 1))          k = 0 ... n-1, n the number of steps
    linear        lr_k = from + (up_to - from) * k / (n - 1)

The loss of step k is that of its batch before the update by lr_k: what it shows is the work of the rates before. Range
tests are read so everywhere; with 200 steps over six decades it is a shift by 7%.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never, get_args

import numpy as np
import numpy.typing as npt

from fewepochs import problems
from fewepochs import recipe as recipes
from fewepochs.errors import Problem, RecipeError
from fewepochs.specs import updates

Values = npt.NDArray[np.float64]

Kind = Literal["exponential", "linear"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MIN_STEPS, MAX_STEPS = 10, 100_000
SEEDS = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Sweep:
    """Learning rates from `from_lr` to `up_to_lr`, both included, in `steps` steps.

    A seed stops once its smoothed loss is above `factor` times the lowest so far. `smoothing` is the fraction of the
    sweep over which a loss's weight in the smoothed curve falls by e.
    """

    from_lr: float = 1e-6
    up_to_lr: float = 1.0
    steps: int = 200
    kind: Kind = "exponential"
    factor: float = 4.0
    smoothing: float = 0.03

    @property
    def weight(self) -> float:
        """Weight of a loss relative to that of its neighbour one step nearer."""
        return math.exp(-1.0 / (self.smoothing * self.steps))

    def rates(self) -> Values:
        """Return the rate of each step, rising: float64 [steps]."""
        match self.kind:
            case "exponential":
                return np.geomspace(self.from_lr, self.up_to_lr, self.steps)
            case "linear":
                return np.linspace(self.from_lr, self.up_to_lr, self.steps)
            case _:
                assert_never(self.kind)


@dataclass(frozen=True)
class Stop:
    """Why and where a seed's sweep ended; `steps` have a loss, `lr` is the rate of the step that ended it.

    "end": at the sweep's end. "loss": the smoothed loss passed the factor. "not finite": at that step loss or gradient
    was not finite, and the device froze the weights. "interrupted": by a signal.
    """

    kind: Literal["end", "loss", "not finite", "interrupted"]
    steps: int
    lr: float


@dataclass(frozen=True)
class Curve:
    """What one seed measured: `losses` float64 [n] at `rates` float64 [n], n at most the sweep's steps; all finite."""

    seed: int
    rates: Values
    losses: Values
    stop: Stop


@dataclass(frozen=True)
class Measurement:
    """A range test as measured: the curves of the seeds that were begun, of the `seeds` that were asked for.

    `environment` says on what it ran. `signal` is the one that interrupted it.
    """

    recipe: recipes.Recipe
    sweep: Sweep
    seeds: tuple[int, ...]
    curves: tuple[Curve, ...]
    environment: Mapping[str, Any]
    seconds: float
    signal: int | None = None

    @property
    def complete(self) -> bool:
        """Whether every seed was swept to its end."""
        return len(self.curves) == len(self.seeds) and all(curve.stop.kind != "interrupted" for curve in self.curves)


def default_range(optimizer: updates.Optimizer) -> tuple[float, float]:
    """Return the rates that a sweep for `optimizer` spans: six decades around those that are used with its kind.

    Rules that divide by the gradient's size move every weight by about lr a step; the others need larger rates.
    """
    match optimizer:
        case updates.Lion():
            return 1e-7, 0.1
        case (
            updates.Adam()
            | updates.AdamW()
            | updates.Nadam()
            | updates.RmsProp()
            | updates.Lamb()
            | updates.ScheduleFreeAdamW()
            | updates.PythonOptimizer()
        ):
            return 1e-6, 1.0
        case updates.Sgd() | updates.Muon() | updates.ScheduleFreeSgd():
            return 1e-5, 10.0
        case _:
            assert_never(optimizer)


def check(sweep: Sweep, *, seeds: Sequence[int] = ()) -> None:
    """Raise RecipeError with everything that is wrong with `sweep` and `seeds`."""
    found: list[Problem] = []

    def demand(fits: bool, field: str, message: str, value: object, allowed: str, meant: str | None = None) -> None:
        if not fits:
            found.append(Problem(field, message, repr(value), allowed, meant))

    demand(0 < sweep.from_lr < math.inf, "--from", "not a learning rate", sweep.from_lr, "a number above 0")
    demand(0 < sweep.up_to_lr < math.inf, "--up-to", "not a learning rate", sweep.up_to_lr, "a number above 0")
    if not found:
        highest = f"above --from, {sweep.from_lr:g}"
        demand(sweep.from_lr < sweep.up_to_lr, "--up-to", "leaves nothing to sweep", sweep.up_to_lr, highest)
    steps = f"{MIN_STEPS} to {MAX_STEPS}"
    demand(MIN_STEPS <= sweep.steps <= MAX_STEPS, "--steps", "not a number of steps for a sweep", sweep.steps, steps)
    meant = problems.nearest(sweep.kind, KINDS)
    demand(sweep.kind in KINDS, "--sweep", "not a kind of sweep", sweep.kind, ", ".join(KINDS), meant)
    demand(1 < sweep.factor < math.inf, "--factor", "never reached or always", sweep.factor, "a number above 1")
    fraction = "a fraction of the sweep, above 0, at most 0.25"
    demand(0 < sweep.smoothing <= 0.25, "--smoothing", "not a width for smoothing", sweep.smoothing, fraction)
    for seed in seeds:
        demand(seed in SEEDS, "--seeds", "not a seed", seed, "whole numbers of 64 bits")
    if found:
        raise RecipeError("command line", tuple(found))
