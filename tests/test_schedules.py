"""Schedules against hand-written tables, the published script's own function, and Keras's callbacks."""

from __future__ import annotations

import math
from fractions import Fraction

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fewepochs import recipe as recipes
from fewepochs import schedules
from fewepochs.schedules import Horizon
from fewepochs.specs import rates
from oracles import keras_plateau
from recipe_samples import schedules as any_schedule


def atienza(epoch: int) -> float:
    """The published script's lr_schedule, as it stands there; `epoch` counts from 0."""
    lr = 1e-3
    if epoch > 180:
        lr *= 0.5e-3
    elif epoch > 160:
        lr *= 1e-3
    elif epoch > 120:
        lr *= 1e-2
    elif epoch > 80:
        lr *= 1e-1
    return lr


def factors(spec: rates.Schedule, *, epochs: int, steps: int, budget: int | None = None) -> list[float]:
    horizon = Horizon.even(budget or epochs, steps)
    return [schedules.value(spec, k, horizon=horizon) for k in range(epochs * steps)]


# --- the published rule -----------------------------------------------------------------------------------------


def test_the_baseline_has_the_published_rate_in_every_step_of_every_epoch() -> None:
    recipe = recipes.load("resnet56v2-adam-atienza")
    horizon = Horizon.even(200, 3)
    for epoch in range(200):
        found = schedules.epoch_rates(recipe.schedule, lr=recipe.optimizer.lr, epoch=epoch + 1, horizon=horizon)
        assert found.tolist() == [atienza(epoch)] * 3, f"epoch {epoch + 1}"


@pytest.mark.parametrize(
    ("first", "before", "now"),
    [(82, 1e-3, 1e-4), (122, 1e-4, 1e-5), (162, 1e-5, 1e-6), (182, 1e-6, 5e-7)],
)
def test_the_82nd_epoch_is_the_first_at_a_tenth(first: int, before: float, now: float) -> None:
    recipe = recipes.load("resnet56v2-adam-atienza")
    found = [
        schedules.epoch_rates(recipe.schedule, lr=recipe.optimizer.lr, epoch=epoch, horizon=Horizon.even(200, 1))[0]
        for epoch in (first - 1, first)
    ]
    assert found == pytest.approx([before, now], rel=1e-15)


@pytest.mark.parametrize("budget", [1, 5, 81, 100, 400])
def test_a_pinned_schedule_does_not_move_with_the_budget(budget: int) -> None:
    recipe = recipes.load("resnet56v2-adam-atienza", overrides=[f"budget.epochs={budget}"])
    horizon = Horizon.even(budget, 2)
    found = [schedules.epoch_rates(recipe.schedule, lr=1e-3, epoch=e, horizon=horizon)[0] for e in range(1, budget + 1)]
    assert found == [atienza(epoch) for epoch in range(budget)]


@pytest.mark.parametrize(("budget", "drops"), [(20, [9, 13, 17, 19]), (200, [81, 121, 161, 181]), (10, [5, 7, 9, 10])])
def test_a_stretched_schedule_drops_at_the_same_fractions(budget: int, drops: list[int]) -> None:
    """0.405 of 20 epochs is 8.1: the first whole epoch after it is the tenth, nine are done."""
    schedule = recipes.load("digits-step").schedule
    found = factors(schedule, epochs=budget, steps=4)
    levels = [1.0, 0.1, 0.01, 0.001, 0.0005]
    assert found == [levels[sum(epoch >= drop for drop in drops)] for epoch in range(budget) for _ in range(4)]


# --- hand-written tables ----------------------------------------------------------------------------------------

HALVES = (1.0, 0.5, 0.25)
TABLES: list[tuple[str, rates.Schedule, list[float]]] = [
    # four epochs of two steps
    ("constant", rates.Constant(), [1, 1, 1, 1, 1, 1, 1, 1]),
    ("no boundary", rates.PiecewiseConstant(factors=(0.5,)), [0.5] * 8),
    (
        "epochs",
        rates.PiecewiseConstant(unit="epochs", boundaries=(1, 3), factors=HALVES),
        [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25],
    ),
    ("budget", rates.PiecewiseConstant(boundaries=(0.25, 0.75), factors=HALVES), [1, 1, *[0.5] * 4, 0.25, 0.25]),
    (
        "inside an epoch, by epoch",
        rates.PiecewiseConstant(unit="epochs", boundaries=(0.5, 2.5), factors=HALVES),
        [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25],
    ),
    (
        "inside an epoch, by step",
        rates.PiecewiseConstant(unit="epochs", every="step", boundaries=(0.5, 2.5), factors=HALVES),
        [1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25],
    ),
    (
        "inside a step",
        rates.PiecewiseConstant(unit="epochs", every="step", boundaries=(0.6, 2.4), factors=HALVES),
        [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25],
    ),
    ("at the very end", rates.PiecewiseConstant(boundaries=(1.0,), factors=(1.0, 0.5)), [1] * 8),
    ("beyond the end", rates.PiecewiseConstant(unit="epochs", boundaries=(9,), factors=(1.0, 0.5)), [1] * 8),
    ("to zero", rates.PiecewiseConstant(boundaries=(0.5,), factors=(1.0, 0.0)), [1, 1, 1, 1, 0, 0, 0, 0]),
    (
        "a line over the budget",
        rates.PiecewiseLinear(points=((0, 1), (1, 0))),
        [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125],
    ),
    (
        "a line, by epoch",
        rates.PiecewiseLinear(every="epoch", points=((0, 1), (1, 0))),
        [1, 1, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25],
    ),
    (
        "up and down, in epochs",
        rates.PiecewiseLinear(unit="epochs", points=((0, 0), (1, 1), (3, 0.5))),
        [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.5],
    ),
    (
        "flat before and after its points",
        rates.PiecewiseLinear(unit="epochs", points=((1, 0.25), (2, 0.75))),
        [0.25, 0.25, 0.25, 0.5, 0.75, 0.75, 0.75, 0.75],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "expected"), [row[1:] for row in TABLES], ids=[row[0] for row in TABLES])
def test_a_schedule_has_the_factors_written_down(spec: rates.Schedule, expected: list[float]) -> None:
    assert factors(spec, epochs=4, steps=2) == expected


@given(st.integers(1, 999), st.integers(1, 300), st.integers(1, 40))
@example(290, 100, 1)
@example(405, 20, 36)
def test_a_boundary_lies_where_its_decimal_fraction_lies(thousandth: int, budget: int, steps: int) -> None:
    """Binary rounding of 0.29 * 100 must not delay a boundary by a step."""
    spec = rates.PiecewiseConstant(every="step", boundaries=(thousandth / 1000,), factors=(1.0, 0.0))
    first = math.ceil(Fraction(thousandth, 1000) * budget * steps)
    horizon = Horizon.even(budget, steps)
    assert schedules.value(spec, first, horizon=horizon) == 0.0
    assert schedules.value(spec, first - 1, horizon=horizon) == 1.0


@given(st.integers(1, 10**6), st.integers(1, 2000))
def test_a_boundary_in_whole_epochs_is_exact(epoch: int, steps: int) -> None:
    spec = rates.PiecewiseConstant(unit="epochs", every="step", boundaries=(epoch,), factors=(1.0, 0.0))
    horizon = Horizon.even(1, steps)
    assert schedules.value(spec, epoch * steps, horizon=horizon) == 0.0
    assert schedules.value(spec, epoch * steps - 1, horizon=horizon) == 1.0


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(any_schedule(), st.integers(1, 12), st.integers(1, 12), st.floats(1e-6, 1.0))
def test_an_epochs_rates_are_the_values_of_its_steps(spec: rates.Schedule, budget: int, steps: int, lr: float) -> None:
    horizon = Horizon.even(budget, steps)
    seen: list[float] = []
    for epoch in range(1, budget + 1):
        found = schedules.epoch_rates(spec, lr=lr, epoch=epoch, horizon=horizon)
        assert found.dtype == np.float64
        assert len(found) == steps
        seen.extend(found)
    assert seen == [lr * schedules.value(spec, k, horizon=horizon) for k in range(budget * steps)]
    if isinstance(spec, rates.PiecewiseConstant | rates.PiecewiseLinear) and spec.every == "epoch":
        assert all(len(set(seen[k : k + steps])) == 1 for k in range(0, len(seen), steps))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.floats(0, 1), st.floats(0, 1))
def test_a_plateaus_scale_stops_at_min_lr_and_never_raises_a_rate(
    levels: list[float], scale: float, min_lr: float
) -> None:
    boundaries = tuple(float(k) for k in range(1, len(levels)))
    spec = rates.PiecewiseConstant(unit="epochs", boundaries=boundaries, factors=tuple(levels))
    for epoch, level in enumerate(levels, start=1):
        (rate,) = schedules.epoch_rates(
            spec, lr=1.0, epoch=epoch, horizon=Horizon.even(1, 1), scale=scale, min_lr=min_lr
        ).tolist()
        assert rate == (level if scale == 1 else max(level * scale, min(level, min_lr)))
        assert rate <= level


# --- plateau: ReduceLROnPlateau itself --------------------------------------------------------------------------


def follow(
    spec: rates.Plateau, val_losses: list[float], *, lr: float, schedule: rates.Schedule | None = None
) -> tuple[list[float], list[float]]:
    """Return each epoch's rate and its logged rate, as the training loop asks for them."""
    state, used, logged = schedules.PlateauState(), [], []
    for epoch, val_loss in enumerate(val_losses, start=1):
        found = schedules.epoch_rates(
            schedule or rates.Constant(),
            lr=lr,
            epoch=epoch,
            horizon=Horizon.even(len(val_losses), 2),
            scale=state.scale,
            min_lr=spec.min_lr,
        )
        used.append(float(found[-1]))
        state, after = schedules.plateau_update(spec, state, val_loss=val_loss, lr=used[-1])
        logged.append(after)
    return used, logged


def test_a_plateau_by_hand() -> None:
    spec = rates.Plateau(factor=0.5, patience=2, min_delta=0.25, cooldown=1, min_lr=0.125)
    val_losses = [4.0, 3.0, 2.75, 2.8, 2.8, 2.8, 2.8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    used, logged = follow(spec, val_losses, lr=1.0)
    #       4    3  2.75: exactly min_delta better is no better
    assert logged == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125]
    assert used == [1.0, *logged[:-1]]


LOSSES = st.lists(
    st.integers(0, 64).map(lambda k: k / 16) | st.floats(0, 8) | st.sampled_from([2.3, 2.3001, 2.2999, 2.29995]),
    min_size=1,
    max_size=30,
)
PLATEAUS = st.builds(
    rates.Plateau,
    reading=st.sampled_from(["overwritten", "effective"]),
    factor=st.sampled_from([0.1, 0.5, 0.31622776601683794]),
    patience=st.integers(0, 4),
    min_delta=st.sampled_from([0.0, 1e-4, 1 / 16, 0.5]),
    cooldown=st.integers(0, 3),
    min_lr=st.sampled_from([0.0, 0.5e-6, 1e-5, 1e-4, 1e-3, 1e-2]),
)


@settings(max_examples=200, deadline=None)
@given(PLATEAUS, LOSSES)
@example(rates.Plateau(factor=0.1, patience=1, cooldown=2, min_lr=1e-5), [1.0] * 20)
@example(rates.Plateau(factor=0.1, patience=0), [0.5, 0.5001, 0.5, 0.4999, 0.4998])
def test_the_effective_reading_trains_as_keras_does(spec: rates.Plateau, val_losses: list[float]) -> None:
    """Rates within rounding: Keras multiplies the rate by the factor time and again, here the factors come first."""
    spec = spec.model_copy(update={"reading": "effective"})
    used, after = keras_plateau.follow(spec, val_losses, lr=1e-3)
    ours, logged = follow(spec, val_losses, lr=1e-3)
    assert ours == pytest.approx(used, rel=1e-13)
    assert logged == pytest.approx(after, rel=1e-13)


@settings(max_examples=200, deadline=None)
@given(PLATEAUS, LOSSES)
def test_the_overwritten_reading_shows_in_the_log_and_nowhere_else(
    spec: rates.Plateau, val_losses: list[float]
) -> None:
    """The script's callbacks are [lr_reducer, lr_scheduler]: the second sets the rate anew at every epoch's begin."""
    spec = spec.model_copy(update={"reading": "overwritten"})
    boundaries, levels = (3.0, 6.0, 12.0, 20.0), (1.0, 1e-1, 1e-2, 1e-3, 0.5e-3)
    schedule = rates.PiecewiseConstant(unit="epochs", boundaries=boundaries, factors=levels)

    def rule(epoch: int) -> float:
        return 1e-3 * levels[sum(epoch >= boundary for boundary in boundaries)]

    used, after = keras_plateau.follow(spec, val_losses, lr=1e-3, schedule=rule)
    ours, logged = follow(spec, val_losses, lr=1e-3, schedule=schedule)
    assert ours == used == [rule(epoch) for epoch in range(len(val_losses))]
    assert logged == after


@given(PLATEAUS, LOSSES)
def test_a_plateaus_state_is_all_that_it_remembers(spec: rates.Plateau, val_losses: list[float]) -> None:
    state, best = schedules.PlateauState(), math.inf
    for val_loss in val_losses:
        before = state
        state, rate = schedules.plateau_update(spec, state, val_loss=val_loss, lr=1e-3)
        assert (state, rate) == schedules.plateau_update(spec, before, val_loss=val_loss, lr=1e-3)
        assert state.best <= best
        assert state.wait >= 0
        assert 0 <= state.cooldown <= spec.cooldown
        assert 0 < rate <= 1e-3
        assert state.scale == (1.0 if spec.reading == "overwritten" else state.scale) <= 1.0
        best = state.best


def test_a_huge_first_loss_is_the_best_so_far() -> None:
    state, _ = schedules.plateau_update(rates.Plateau(), schedules.PlateauState(), val_loss=1e300, lr=1.0)
    assert (state.best, state.wait) == (1e300, 0)
    state, _ = schedules.plateau_update(rates.Plateau(), state, val_loss=1.0, lr=1.0)
    assert (state.best, state.wait) == (1.0, 0)


def test_the_logged_rate_is_the_one_in_the_history_of_a_real_fit() -> None:
    """The published callbacks on a model that cannot learn, so that the reducer has something to reduce."""
    spec = rates.Plateau(reading="overwritten", factor=0.31622776601683794, patience=1, min_lr=0.5e-6)
    schedule = rates.PiecewiseConstant(unit="epochs", boundaries=(3,), factors=(1.0, 0.1))
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1, trainable=False), keras.layers.Dense(1)])
    model.compile(loss="mse", optimizer=keras.optimizers.Adam(1e-8))
    x, y = np.ones((4, 2), dtype=np.float32), np.ones((4, 1), dtype=np.float32)
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-8 if epoch < 3 else 1e-9)
    history = model.fit(
        x,
        y,
        epochs=6,
        verbose=0,
        validation_data=(x, y),
        callbacks=[keras_plateau.reducer(spec.model_copy(update={"min_lr": 0.0})), scheduler],
    ).history
    _, logged = follow(spec.model_copy(update={"min_lr": 0.0}), history["val_loss"], lr=1e-8, schedule=schedule)
    assert logged == pytest.approx(history["learning_rate"], rel=1e-6)
    assert logged[1] == pytest.approx(1e-8 * 0.31622776601683794)
