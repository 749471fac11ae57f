"""The edge of stability: up to which sharpness an optimizer's rate is stable on a quadratic, and what was measured.

On a quadratic with the Hessian's eigenvalue h, steps of constant rate and full batches stay bounded as long as

    gradient descent                    h < 2 / lr
    heavy ball, momentum b              h < 2 (1 + b) / lr
    Nesterov's momentum b               h < 2 (1 + b) / ((1 + 2 b) lr)
    Adam, for D^-1/2 H D^-1/2           h < 2 (1 + b) / ((1 - b) lr)           38 / lr for b = 0.9

where Adam's D = (1 - b^t) (sqrt(v / (1 - beta_2^t)) + epsilon) is what it divides by, held still. Full-batch training
rises to the edge and hovers there; with small batches it stays below.

Sources: Cohen et al. 2021 (arXiv:2103.00065) for the first three, Cohen et al. 2022 (arXiv:2207.14484) for Adam.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, assert_never, get_args

from fewepochs import recipe as recipes
from fewepochs.errors import Problem
from fewepochs.specs import updates

Kind = Literal["hessian", "preconditioned"]
Statistics = Literal["stored", "recomputed", "batch"]
MODES: tuple[Statistics, ...] = get_args(Statistics)
MOST_IMAGES = 100_000


@dataclass(frozen=True)
class Threshold:
    """The largest stable eigenvalue of the Hessian, or of the preconditioned one; None with a `reason` otherwise."""

    of: Kind
    value: float | None
    rule: str
    reason: str | None = None


@dataclass(frozen=True)
class Eigenvalue:
    """The largest eigenvalue, as Lanczos found it: one lies within `error`; `settled` where it met its tolerance."""

    value: float
    error: float
    lowest: float
    products: int
    settled: bool


@dataclass(frozen=True)
class Row:
    """Sharpness at one moment. `lr` and `momentum` are those of the last step before it.

    `preconditioned` is None where the optimizer has no such matrix.
    """

    epoch: int
    steps: int
    lr: float
    momentum: float
    training: Eigenvalue
    validation: Eigenvalue
    preconditioned: Eigenvalue | None
    threshold: Threshold


@dataclass(frozen=True)
class Settings:
    """What is measured: on how many images, with which of BN's statistics, with the penalty or without, how exactly."""

    images: int = 256
    seed: int = 0
    statistics: Statistics = "stored"
    penalty: bool = True
    tolerance: float = 1e-2
    most_steps: int = 40


@dataclass(frozen=True)
class Measurement:
    """Sharpness over a run. `penalty_adds` is the most that the L2 penalty adds to an eigenvalue."""

    run: str
    recipe: recipes.Recipe
    settings: Settings
    rows: tuple[Row, ...]
    images: Mapping[str, int]
    penalty_adds: float
    seconds: float


def threshold(optimizer: updates.Optimizer, *, lr: float, momentum: float) -> Threshold:
    """Return how sharp the loss may be for `optimizer` at this rate and momentum."""
    if lr <= 0:
        return Threshold("hessian", None, "2 / lr", "the rate is 0")
    match optimizer:
        case updates.Adam() | updates.AdamW():
            rule = f"{2 * (1 + momentum) / (1 - momentum):.4g} / lr (Adam, beta_1 {momentum:g})"
            return Threshold("preconditioned", 2 * (1 + momentum) / ((1 - momentum) * lr), rule)
        case updates.Sgd(nesterov=True):
            factor = 2 * (1 + momentum) / (1 + 2 * momentum)
            return Threshold("hessian", factor / lr, f"{factor:.4g} / lr (Nesterov, momentum {momentum:g})")
        case updates.Sgd():
            factor = 2 * (1 + momentum)
            return Threshold("hessian", factor / lr, f"{factor:.4g} / lr (heavy ball, momentum {momentum:g})")
        case (
            updates.Nadam() | updates.RmsProp() | updates.Lion() | updates.Lamb() | updates.Muon()
            | updates.ScheduleFreeSgd() | updates.ScheduleFreeAdamW() | updates.PythonOptimizer()
        ):  # fmt: skip
            return Threshold("hessian", None, "", f"no threshold is known here for {optimizer.kind}")
        case _:
            assert_never(optimizer)


def problems(settings: Settings) -> tuple[Problem, ...]:
    """Return everything that is wrong with `settings`, by the command's options."""
    found = []
    if not 2 <= settings.images <= MOST_IMAGES:
        found.append(Problem("--images", "not a number of images", str(settings.images), f"2 to {MOST_IMAGES:,}"))
    if settings.statistics not in MODES:
        found.append(Problem("--statistics", "not a kind of statistics", repr(settings.statistics), ", ".join(MODES)))
    if not 1e-6 <= settings.tolerance < 1:
        found.append(Problem("--tolerance", "not a relative error", str(settings.tolerance), "1e-6 to below 1"))
    if not 1 <= settings.most_steps <= 1000:
        found.append(Problem("--steps", "not a number of steps", str(settings.most_steps), "1 to 1000"))
    return tuple(found)
