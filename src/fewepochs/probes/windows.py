"""What an epoch costs, as values: cells of batch size and precision, and what was measured of each in windows of steps.

    training     plan + N * seconds / images        N images an epoch, seconds and images of a window's steps
    evaluation   M * seconds / images               M images evaluated after an epoch, of some that were evaluated

The plan - an epoch's order and augmentation drawn and sent - is made once an epoch, and is measured as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from fewepochs import recipe as recipes
from fewepochs.errors import Problem, RecipeError

MOST_CELLS = 64
FIXED = ('batch_schedule={kind="constant"}',)
"""A cell has one batch size, whatever its recipe would make of it later on."""


@dataclass(frozen=True)
class Cell:
    """A recipe with one batch size and one precision."""

    batch_size: int
    precision: str
    recipe: recipes.Recipe


@dataclass(frozen=True)
class Window:
    """One measurement of a cell: `steps` steps of `images` images, and an evaluation of `evaluated` images.

    `load` is the part of the time in which the device was busy, `joules` those of the steps; what was not measured is
    None with a reason. `peak_memory_bytes` is that of the window alone.
    """

    steps: int
    images: int
    plan_seconds: float
    step_seconds: float
    evaluated: int
    evaluation_seconds: float
    load: float | None = None
    load_reason: str | None = None
    joules: float | None = None
    joules_reason: str | None = None
    peak_memory_bytes: int | None = None
    memory_reason: str | None = None


@dataclass(frozen=True)
class Measured:
    """What was measured of a cell, a window a round; of an epoch of so many images, and so many evaluated after it.

    Without a window, `failure` says why.
    """

    cell: Cell
    images: int
    evaluation_images: int
    windows: tuple[Window, ...]
    failure: str | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch, the last, smaller one included."""
        return -(-self.images // self.cell.batch_size)

    def train_seconds(self) -> list[float]:
        """Return the seconds that an epoch's training takes, by each window."""
        return [one.plan_seconds + self.images * one.step_seconds / one.images for one in self.windows]

    def evaluation_seconds(self) -> list[float]:
        """Return the seconds that the evaluation after an epoch takes, by each window."""
        return [self.evaluation_images * one.evaluation_seconds / one.evaluated for one in self.windows]

    def images_per_second(self) -> list[float]:
        """Return an epoch's images over its seconds of training, by each window."""
        return [self.images / seconds for seconds in self.train_seconds()]

    def watts(self) -> list[float]:
        """Return joules over seconds of the windows in which both are known."""
        return [one.joules / one.step_seconds for one in self.windows if one.joules is not None]


def cells(
    recipe: str, *, overrides: tuple[str, ...] = (), batch_sizes: tuple[int, ...], precisions: tuple[str, ...]
) -> tuple[Cell, ...]:
    """Return `recipe` with each batch size in each precision; none given: the recipe's own. Raises RecipeError."""
    base = recipes.load(recipe, overrides=overrides)
    pairs = [(size, of) for size in batch_sizes or (base.batch_size,) for of in precisions or (base.precision,)]
    if len(pairs) > MOST_CELLS:
        problem = Problem("--batch-size, --precision", "too many cells", str(len(pairs)), f"at most {MOST_CELLS}")
        raise RecipeError("command line", (problem,))
    return tuple(
        Cell(size, of, recipes.load(recipe, overrides=(*overrides, f"batch_size={size}", f"precision={of}", *FIXED)))
        for size, of in pairs
    )
