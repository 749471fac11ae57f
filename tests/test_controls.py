"""What a recipe moves from step to step, as the training loop is given it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from fewepochs import controls, schedules
from fewepochs import recipe as recipes
from fewepochs.schedules import Horizon
from recipe_samples import FULL, RECIPES, parse

SGD = "optimizer={kind='sgd', lr=0.5, momentum=0.8}"


def of_epoch(*overrides: str, epoch: int = 1, epochs: int = 2, steps: int = 4, scale: float = 1.0) -> list[list[float]]:
    recipe = parse(FULL, f"budget.epochs={epochs}", "schedule={kind='constant'}", *overrides)
    horizon = Horizon.even(epochs, steps)
    found: list[list[float]] = controls.of_epoch(recipe, epoch=epoch, horizon=horizon, plateau_scale=scale).tolist()
    return found


def test_rate_momentum_and_decay_follow_their_own_schedules() -> None:
    half = "{kind='piecewise-constant', boundaries=[0.5], factors=[1.0, 0.5]}"
    rates, momenta, decays = of_epoch(
        SGD,
        "schedule={kind='polynomial'}",
        f"momentum_schedule={half}",
        f"weight_decay={{kind='coupled', strength=0.25, schedule={half}}}",
        epoch=2,
    )
    assert rates == [0.25, 0.1875, 0.125, 0.0625]
    assert momenta == [0.4] * 4
    assert decays == [0.125] * 4


def test_what_a_recipe_does_not_have_is_0() -> None:
    assert of_epoch("optimizer={kind='lion', lr=0.5}") == [[0.5] * 4, [0.0] * 4, [0.0] * 4]


def test_the_momentum_of_a_1cycle_replaces_the_optimizers_own() -> None:
    cycle = "{kind='1cycle', rise=0.5, anneal='linear', momentum=[0.5, 0.75]}"
    _, momenta, _ = of_epoch(SGD, f"schedule={cycle}", epochs=1, steps=8)
    assert momenta == pytest.approx([0.75, 0.75 - 1 / 12, 0.75 - 2 / 12, 0.5, 0.5625, 0.625, 0.6875, 0.75])


def test_a_plateau_lowers_the_rate_alone_and_not_below_its_floor() -> None:
    rates, momenta, _ = of_epoch(SGD, "plateau.min_lr=0.125", scale=0.5)
    assert rates == [0.25] * 4
    assert momenta == [0.8] * 4
    assert of_epoch(SGD, "plateau.min_lr=0.125", scale=0.125)[0] == [0.125] * 4


@pytest.mark.parametrize(
    ("overrides", "images"),
    [
        (("data.kind=cifar10", "data.validation={kind='test'}"), 50_000),
        (("data.kind=cifar100", "data.validation.images=5000"), 45_000),
        (("data.kind=digits", "data.validation.images=300"), 1_137),
        (("data.kind=npz",), None),
    ],
)
def test_the_size_of_a_known_training_set_is_known_without_it(overrides: tuple[str, ...], images: int | None) -> None:
    assert controls.training_images(parse(FULL, *overrides)) == images


def test_epochs_get_shorter_as_batches_get_larger() -> None:
    doubled = "batch_schedule={kind='piecewise-constant', unit='epochs', boundaries=[1, 2], factors=[1.0, 2.0, 4.0]}"
    recipe = parse(FULL, "batch_size=30", "budget.epochs=3", doubled)
    assert controls.batch_sizes(recipe) == (30, 60, 120)
    assert controls.horizon(recipe, images=100).epoch_steps == (4, 2, 1)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=30)
@given(RECIPES)
def test_the_curves_are_the_controls_of_every_step(recipe: recipes.Recipe) -> None:
    recipe = recipe.model_copy(update={"budget": recipe.budget.model_copy(update={"epochs": 3})})
    horizon = controls.horizon(recipe, images=600)
    curves = controls.curves(recipe, horizon=horizon)
    for epoch in (1, 3):
        found = controls.of_epoch(recipe, epoch=epoch, horizon=horizon)
        assert found.shape == (3, horizon.epoch_steps[epoch - 1])
        for k, step in enumerate(range(horizon.first(epoch), horizon.first(epoch + 1))):
            expected = [0.0 if curve is None else curve(step) for curve in (curves.lr, curves.momentum, curves.decay)]
            np.testing.assert_array_equal(found[:, k], expected)
            assert expected[1] < 1
            assert all(value >= 0 for value in expected if not math.isnan(value))
        rates = schedules.epoch_rates(recipe.schedule, lr=recipe.optimizer.lr, epoch=epoch, horizon=horizon)
        np.testing.assert_array_equal(found[0], rates)
