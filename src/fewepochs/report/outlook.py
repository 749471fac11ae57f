"""What a recipe will do before it is trained: its controls over the budget, as plain data.

Every epoch is there, from its first step to its last. What a plateau will take away depends on the run: it is named,
and the rates are those without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fewepochs import controls, schedules
from fewepochs import recipe as recipes
from fewepochs.errors import Problem, RecipeError
from fewepochs.specs import updates

MOVING = ("lr", "momentum", "weight_decay", "batch_size")
LABELS = {
    "lr": "learning rate",
    "momentum": "momentum",
    "weight_decay": "weight decay",
    "batch_size": "batch size",
}
SAMPLES = 1200


@dataclass(frozen=True)
class Sample:
    """The controls at a step: `done` in epochs, from 0. None where the recipe has none."""

    done: float
    lr: float
    momentum: float | None
    weight_decay: float | None
    batch_size: int


def horizon(recipe: recipes.Recipe, *, steps_per_epoch: int | None = None) -> schedules.Horizon:
    """Return the steps of each epoch; `steps_per_epoch`, at the recipe's batch size, is needed for the user's own data.

    Raises RecipeError where it is missing, or where nothing is left to train on.
    """
    images = controls.training_images(recipe) if steps_per_epoch is None else steps_per_epoch * recipe.batch_size
    if images is None:
        message = f"missing; how many images {recipe.data.kind!r} has is not known before they are read"
        raise RecipeError(recipe.name, (Problem("--steps-per-epoch", message, allowed="1 or more"),))
    return controls.horizon(recipe, images=images)


def build(recipe: recipes.Recipe, *, steps_per_epoch: int | None = None) -> dict[str, Any]:
    """Return the controls of `recipe` over its budget as JSON-able data; raises RecipeError as `horizon` does."""
    whole = horizon(recipe, steps_per_epoch=steps_per_epoch)
    epochs = _epochs(recipe, horizon=whole)
    decay = None if isinstance(recipe.weight_decay, updates.NoWeightDecay) else recipe.weight_decay
    return {
        "recipe": recipe.name,
        "digest": recipes.digest(recipe),
        "optimizer": recipe.optimizer.kind,
        "lr": recipe.optimizer.lr,
        "schedule": recipe.schedule.kind,
        "momentum": updates.momentum_of(recipe.optimizer),
        "weight_decay": None if decay is None else {"kind": decay.kind, "strength": decay.strength, "on": decay.on},
        "batch_size": recipe.batch_size,
        "plateau": None if recipe.plateau is None else recipe.plateau.reading,
        "training_images": controls.training_images(recipe) if steps_per_epoch is None else None,
        "steps": whole.steps,
        "peak": peak(recipe, horizon=whole),
        "epochs": epochs,
    }


def samples(recipe: recipes.Recipe, *, horizon: schedules.Horizon, count: int = SAMPLES) -> list[Sample]:
    """Return the controls at about `count` steps, evenly spaced, and at the ends of each epoch if these are few."""
    read = _reader(recipe, horizon=horizon)
    return [read(step) for step in _sampled(horizon, count=count)]


def is_log(values: Sequence[float]) -> bool:
    """Say whether a logarithmic axis shows `values` better: half of them lie at a tenth of the highest or below."""
    rising = sorted(values)
    return rising[0] > 0 and rising[len(rising) // 2] <= 0.1 * rising[-1]


def moves(epochs: Sequence[dict[str, Any]], name: str) -> bool:
    """Say whether a control takes more than one value."""
    return len({row[key] for row in epochs for key in keys(name)}) > 1


def keys(name: str) -> tuple[str, ...]:
    """Return where a row has the first and the last value of a control."""
    return ("batch_size",) if name == "batch_size" else (f"{name}_first", f"{name}_last")


def _sampled(horizon: schedules.Horizon, *, count: int) -> list[int]:
    steps = {round(k * (horizon.steps - 1) / max(1, count - 1)) for k in range(count)}
    if len(horizon.epoch_steps) <= count:
        for epoch in range(1, len(horizon.epoch_steps) + 1):
            steps |= {horizon.first(epoch), horizon.first(epoch + 1) - 1}
    return sorted(steps)


def _reader(recipe: recipes.Recipe, *, horizon: schedules.Horizon) -> Callable[[int], Sample]:
    curves, sizes = controls.curves(recipe, horizon=horizon), controls.batch_sizes(recipe)
    return lambda step: Sample(
        done=horizon.position(step, unit="epochs"),
        lr=curves.lr(step),
        momentum=None if curves.momentum is None else curves.momentum(step),
        weight_decay=None if curves.decay is None else curves.decay(step),
        batch_size=sizes[horizon.epoch(step) - 1],
    )


def _epochs(recipe: recipes.Recipe, *, horizon: schedules.Horizon) -> list[dict[str, Any]]:
    read, rows = _reader(recipe, horizon=horizon), []
    for epoch, steps in enumerate(horizon.epoch_steps, start=1):
        first, last = read(horizon.first(epoch)), read(horizon.first(epoch + 1) - 1)
        row: dict[str, Any] = {"epoch": epoch, "steps": steps, "batch_size": first.batch_size}
        for name in ("lr", "momentum", "weight_decay"):
            row |= {f"{name}_first": getattr(first, name), f"{name}_last": getattr(last, name)}
        rows.append(row)
    return rows


def peak(recipe: recipes.Recipe, *, horizon: schedules.Horizon) -> dict[str, Any]:
    """Return the highest learning rate and the first step that has it, counted from 1.

    It is looked for around the highest of the samples: between two samples a schedule rises or falls but once.
    """
    rate = controls.curves(recipe, horizon=horizon).lr
    steps: Sequence[int] = _sampled(horizon, count=SAMPLES)
    while True:
        best = max(range(len(steps)), key=lambda k: rate(steps[k]))
        around = range(steps[max(0, best - 1)], steps[min(len(steps) - 1, best + 1)] + 1)
        if len(around) <= SAMPLES:
            break
        steps = sorted({*around[:: len(around) // SAMPLES + 1], around[-1], steps[best]})
    step = max(around, key=rate)
    return {"lr": rate(step), "step": step + 1, "epoch": horizon.epoch(step)}
