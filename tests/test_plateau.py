"""The plateau rule: by hand, and against Keras's own ReduceLROnPlateau."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fewepochs import schedules
from fewepochs.schedules import Horizon
from fewepochs.specs import rates
from oracles import keras_plateau


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
