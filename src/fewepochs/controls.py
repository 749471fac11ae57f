"""Controls: what a recipe moves from step to step - learning rate, momentum, weight decay, batch size.

    learning rate   optimizer.lr * schedule
    momentum        the schedule's, where it is a 1cycle that has one, or the optimizer's * momentum_schedule
    weight decay    weight_decay.strength * weight_decay.schedule
    batch size      batch_size * batch_schedule, changed between epochs

Pure functions of the recipe and of how many images an epoch has: the training loop follows them, and what a run will do
can be shown before it is trained. What a plateau takes away depends on the run, and comes in from outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fewepochs import recipe as recipes
from fewepochs import schedules
from fewepochs.errors import Problem, RecipeError
from fewepochs.schedules import Curve, Horizon, Rates
from fewepochs.specs import inputs, updates

TRAINING_IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "digits": 1_437}
"""Of the data sets whose size is known before they are read."""


@dataclass(frozen=True)
class Curves:
    """The controls as functions of the steps done before a step.

    `momentum` is None where the optimizer has none that a schedule could move, `decay` where the recipe has none.
    """

    lr: Curve
    momentum: Curve | None
    decay: Curve | None


def training_images(recipe: recipes.Recipe) -> int | None:
    """Return how many images an epoch has, those held out aside; None for the user's own (npz), unread as yet.

    Raises RecipeError where none is left.
    """
    images = TRAINING_IMAGES.get(recipe.data.kind)
    return None if images is None else images_left(recipe.data, images=images)


def images_left(spec: inputs.DataSpec, *, images: int) -> int:
    """Return how many of a training set's `images` are trained on; raises RecipeError where none is left."""
    held_out = spec.validation.images if isinstance(spec.validation, inputs.HeldOut) else 0
    if held_out >= images:
        field, message = "data.validation.images", "leaves nothing to train on"
        raise RecipeError(spec.kind, (Problem(field, message, str(held_out), f"1 to {images - 1}"),))
    return images - held_out


def require_batch(recipe: recipes.Recipe, *, images: int) -> None:
    """Raise RecipeError where the `images` that are trained on are fewer than a batch."""
    if recipe.batch_size > images:
        message = "larger than the training set"
        raise RecipeError(recipe.name, (Problem("batch_size", message, str(recipe.batch_size), f"1 to {images}"),))


def batch_sizes(recipe: recipes.Recipe) -> tuple[int, ...]:
    """Return the batch size of each epoch of the budget."""
    return schedules.batch_sizes(
        recipe.batch_schedule, batch_size=recipe.batch_size, budget_epochs=recipe.budget.epochs
    )


def horizon(recipe: recipes.Recipe, *, images: int) -> Horizon:
    """Return the steps of each epoch of `images` images; a last, smaller batch is a step, too."""
    return Horizon(tuple(-(-images // size) for size in batch_sizes(recipe)))


def curves(recipe: recipes.Recipe, *, horizon: Horizon) -> Curves:
    """Return the controls of `recipe` as functions of the step, a plateau aside."""
    factor = schedules.curve(recipe.schedule, horizon=horizon)
    return Curves(
        lr=lambda step: recipe.optimizer.lr * factor(step),
        momentum=_momentum(recipe, horizon=horizon),
        decay=_decay(recipe, horizon=horizon),
    )


def of_epoch(recipe: recipes.Recipe, *, epoch: int, horizon: Horizon, plateau_scale: float = 1.0) -> Rates:
    """Return learning rate, momentum and weight decay of each step of `epoch` (1-based): float64 [3, steps].

    `plateau_scale` is the plateau's reduction of the rate so far. What a recipe does not have is 0.
    """
    found = curves(recipe, horizon=horizon)
    steps = range(horizon.first(epoch), horizon.first(epoch + 1))
    rest = [
        [0.0] * len(steps) if curve is None else [curve(k) for k in steps] for curve in (found.momentum, found.decay)
    ]
    rates = schedules.epoch_rates(
        recipe.schedule,
        lr=recipe.optimizer.lr,
        epoch=epoch,
        horizon=horizon,
        scale=plateau_scale,
        min_lr=0.0 if recipe.plateau is None else recipe.plateau.min_lr,
    )
    return np.stack([rates, *rest])


def _momentum(recipe: recipes.Recipe, *, horizon: Horizon) -> Curve | None:
    own = updates.momentum_of(recipe.optimizer)
    if own is None:
        return None
    asked = schedules.momentum_curve(recipe.schedule, horizon=horizon)
    factor = schedules.curve(recipe.momentum_schedule, horizon=horizon)
    return asked if asked is not None else lambda step: own * factor(step)


def _decay(recipe: recipes.Recipe, *, horizon: Horizon) -> Curve | None:
    spec = recipe.weight_decay
    if isinstance(spec, updates.NoWeightDecay):
        return None
    factor = schedules.curve(spec.schedule, horizon=horizon)
    return lambda step: spec.strength * factor(step)
