"""Keras's own callbacks, driven epoch by epoch on nothing but a learning rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from fewepochs.specs import rates


@dataclass
class Optimizer:
    """What the callbacks want of an optimizer."""

    learning_rate: float


@dataclass
class Model:
    """What the callbacks want of a model."""

    optimizer: Optimizer
    metrics: list[Any] = field(default_factory=list)


def reducer(spec: rates.Plateau) -> Any:
    """Return Keras's ReduceLROnPlateau with the settings of `spec`."""
    return keras.callbacks.ReduceLROnPlateau(
        monitor="val_loss",
        factor=spec.factor,
        patience=spec.patience,
        min_delta=spec.min_delta,
        cooldown=spec.cooldown,
        min_lr=spec.min_lr,
    )


def follow(
    spec: rates.Plateau, val_losses: Sequence[float], *, lr: float, schedule: Callable[[int], float] | None = None
) -> tuple[list[float], list[float]]:
    """Return the rate that each epoch trained with, and the one that stood in the optimizer after its callbacks.

    `schedule` maps the epoch, from 0, to a rate; its LearningRateScheduler comes second, as in the published script.
    """
    model = Model(Optimizer(lr))
    callbacks = [reducer(spec)]
    if schedule is not None:
        callbacks.append(keras.callbacks.LearningRateScheduler(schedule))
    for callback in callbacks:
        callback.set_model(model)
        callback.on_train_begin()
    used, after = [], []
    for epoch, val_loss in enumerate(val_losses):
        for callback in callbacks:
            callback.on_epoch_begin(epoch)
        used.append(float(model.optimizer.learning_rate))
        logs = {"val_loss": val_loss}
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)
        after.append(float(model.optimizer.learning_rate))
        if schedule is not None:
            assert logs["learning_rate"] == after[-1]  # what History takes down
    return used, after
