"""Slices of the two loss surfaces as values: lines and planes through weights, with the losses measured on them.

    line     w(t) = origin + t d                 t evenly spaced
    plane    w(s, t) = origin + s d_1 + t d_2

`length` is |d|, so that t |d| is a distance between weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fewepochs import recipe as recipes
from fewepochs.errors import Problem
from fewepochs.probes.valleys import Values

Kind = Literal["between", "principal", "gradient", "random"]
KINDS: tuple[Kind, ...] = ("between", "principal", "gradient", "random")

MEANINGS: Mapping[Kind, str] = {
    "between": "from the weights before to the weights after; t = 0 and t = 1",
    "principal": "along a principal direction of the path, from its end; t in weight distance",
    "gradient": "down the gradient of the training loss; t relative to the kernels' norm",
    "random": "along normal draws, each filter scaled to its own norm; t relative to the filters' norms",
}


@dataclass(frozen=True)
class Line:
    """Losses of single images on a line: `training` and `validation` float64 [T, images] at `places` [T].

    `epochs` are those of the moments that the line goes through: one, or two at t = 0 and 1. `penalty` [T].
    """

    kind: Kind
    name: str
    epochs: tuple[int, ...]
    length: float
    places: Values
    training: Values
    validation: Values
    penalty: Values


@dataclass(frozen=True)
class Plane:
    """Mean losses on a plane: float64 [len(down), len(across)]; `path` has a row (epoch, across, down) a moment.

    `explained` is the share of the path's squared distances from its end that lies in the plane, None where the plane
    is not of the path.
    """

    kind: Kind
    epoch: int
    across: Values
    down: Values
    training: Values
    validation: Values
    path: tuple[tuple[int, float, float], ...]
    explained: float | None


@dataclass(frozen=True)
class Settings:
    """What is measured: directions, points of a line and of a plane's side (0: none), images, BN's statistics, span.

    `span`: random lines go from -span to span; gradient lines from -`gradient_span` to `gradient_span`.
    """

    kinds: tuple[Kind, ...] = KINDS
    points: int = 25
    grid: int = 15
    images: int = 500
    seed: int = 0
    statistics: Literal["stored", "recomputed"] = "recomputed"
    span: float = 1.0
    gradient_span: float = 0.1


MODES = ("stored", "recomputed")
MOST_IMAGES, MOST_POINTS, MOST_GRID = 100_000, 401, 101


@dataclass(frozen=True)
class Measurement:
    """Slices of a run. `compared`: the epochs of the moments before and after; one where only one is kept."""

    run: str
    recipe: recipes.Recipe
    settings: Settings
    kept: Mapping[int, float | None]
    compared: tuple[int, ...]
    lines: tuple[Line, ...]
    planes: tuple[Plane, ...]
    images: Mapping[str, int]
    seconds: float


def passes(settings: Settings, *, compared: int, kept: int) -> int:
    """Return how many passes over the images the slices take at most: the cost, known beforehand.

    A point takes two, over training and validation images, and a third for statistics that are recomputed.
    """
    lines = sum(
        {"between": int(compared > 1), "principal": min(2, kept - 1), "gradient": compared, "random": compared}[kind]
        for kind in settings.kinds
    )
    planes = int(settings.grid > 0 and bool({"principal", "random"} & set(settings.kinds)))
    each = 2 + (settings.statistics == "recomputed")
    return each * (lines * settings.points + planes * settings.grid**2) + 2 * compared


def before_and_after(rates: Mapping[int, float | None]) -> tuple[int, ...]:
    """Return the epochs between which the rate drops most: the last kept before the drop, and the first kept after.

    `rates`: the last rate of each kept epoch, None where it is not logged. Where no rate falls by a factor of 1.5 from
    one to the next, the first and the last epoch; the only one where there is one.

    >>> before_and_after({2: 0.01, 4: 0.01, 6: 0.001, 8: 0.001})
    (4, 6)
    >>> before_and_after({2: 0.01, 4: 0.009, 6: 0.008})
    (2, 6)
    """
    epochs = sorted(rates)
    if len(epochs) < 2:
        return tuple(epochs)
    drops: dict[tuple[int, ...], float] = {}
    for before, after in itertools.pairwise(epochs):
        high, low = rates[before], rates[after]
        if high and low and high >= 1.5 * low:
            drops[before, after] = high / low
    return max(drops, key=lambda pair: drops[pair]) if drops else (epochs[0], epochs[-1])


def problems(settings: Settings, *, compared: Sequence[int] | None) -> tuple[Problem, ...]:
    """Return everything that is wrong with `settings` and the epochs `compared`, by the command's options."""
    found = []

    def demand(fits: bool, option: str, message: str, value: object, allowed: str) -> None:
        if not fits:
            found.append(Problem(option, message, str(value), allowed))

    for kind in settings.kinds:
        demand(kind in KINDS, "--along", "not a direction", repr(kind), ", ".join(KINDS))
    demand(bool(settings.kinds), "--along", "nothing to measure", "nothing", ", ".join(KINDS))
    points, grid, images = settings.points, settings.grid, settings.images
    demand(9 <= points <= MOST_POINTS, "--points", "not a number of points for a line", points, f"9 to {MOST_POINTS}")
    demand(grid == 0 or 3 <= grid <= MOST_GRID, "--grid", "not a plane's side", grid, f"0, or 3 to {MOST_GRID}")
    demand(2 <= images <= MOST_IMAGES, "--images", "not a number of images", images, f"2 to {MOST_IMAGES:,}")
    statistics = settings.statistics
    demand(statistics in MODES, "--statistics", "not a kind of statistics", repr(statistics), ", ".join(MODES))
    for option, span in (("--span", settings.span), ("--gradient-span", settings.gradient_span)):
        demand(0 < span <= 10, option, "not a half length", span, "above 0, at most 10")
    if compared is not None:
        demand(1 <= len(set(compared)) <= 2, "--epochs", "not one or two epochs", list(compared), "e.g. 8,12")
    return tuple(found)
