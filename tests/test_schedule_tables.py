"""Schedules against tables written by hand: four epochs of two steps, unless a table says otherwise."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from fewepochs import schedules
from fewepochs.schedules import Horizon
from fewepochs.specs import rates

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
    (
        "a square",
        rates.Polynomial(power=2),
        [1, 0.765625, 0.5625, 0.390625, 0.25, 0.140625, 0.0625, 0.015625],
    ),
    ("a square that ends in the middle", rates.Polynomial(power=2, until=0.5), [1, 0.5625, 0.25, 0.0625, 0, 0, 0, 0]),
    ("a line to a half", rates.Polynomial(end=0.5), [1 - k / 16 for k in range(8)]),
    ("a line up", rates.Polynomial(unit="epochs", until=4, end=3), [1 + k / 4 for k in range(8)]),
    ("halved every step", rates.Exponential(end=1 / 256), [1 / 2**k for k in range(8)]),
    (
        "a quarter every epoch",
        rates.Exponential(unit="epochs", every="epoch", until=1, end=0.25),
        [1, 1, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25],
    ),
    (
        "a quarter an epoch",
        rates.Exponential(every="epoch", end=1 / 256),
        [1, 1, *[1 / 4] * 2, *[1 / 16] * 2, *[1 / 64] * 2],
    ),
    (
        "half a wave",
        rates.Cosine(),
        [1, 0.9619397663, 0.8535533906, 0.6913417162, 0.5, 0.3086582838, 0.1464466094, 0.03806023374],
    ),
    (
        "half a wave to a fifth, by epoch",
        rates.Cosine(every="epoch", end=0.2),
        [1, 1, *[0.8828427125] * 2, 0.6, 0.6, *[0.3171572875] * 2],
    ),
    (
        "a quarter of a wave",
        rates.Cosine(wave="quarter"),
        [1, 0.9807852804, 0.9238795325, 0.8314696123, 0.7071067812, 0.555570233, 0.3826834324, 0.195090322],
    ),
    (
        "a quarter that ends in the middle",
        rates.Cosine(wave="quarter", until=0.5, end=0.1),
        [1, 0.9314915793, 0.7363961031, 0.4444150892, 0.1, 0.1, 0.1, 0.1],
    ),
    ("two waves", rates.CosineRestarts(first=0.5), [1, 0.8535533906, 0.5, 0.1464466094] * 2),
    ("four waves, pinned", rates.CosineRestarts(unit="epochs", first=1), [1, 0.5] * 4),
    (
        "three times as long",
        rates.CosineRestarts(first=0.25, stretch=3),
        [1, 0.5, 1, 0.9330127019, 0.75, 0.5, 0.25, 0.0669872981],
    ),
    (
        "three times as long, half as high, to a fifth",
        rates.CosineRestarts(first=0.25, stretch=3, shrink=0.5, end=0.2),
        [1, 0.6, 0.6, 0.5732050808, 0.5, 0.4, 0.3, 0.2267949192],
    ),
    ("ever lower", rates.CosineRestarts(first=0.25, shrink=0.5), [1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625]),
    ("a wave an epoch shows its top alone", rates.CosineRestarts(every="epoch", first=0.25), [1] * 8),
    (
        "1cycle in straight lines",
        rates.OneCycle(rise=0.5, start=0.25, end=0, anneal="linear"),
        [0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0],
    ),
    (
        "1cycle in cosines",
        rates.OneCycle(rise=0.5, start=0, end=0),
        [0, 0.25, 0.75, 1, 0.8535533906, 0.5, 0.1464466094, 0],
    ),
    (
        "1cycle in three phases",
        rates.OneCycle(rise=0.375, start=0.5, end=0.125, anneal="linear", three_phase=True),
        [0.5, 0.75, 1, 0.75, 0.5, 0.375, 0.25, 0.125],
    ),
    (
        "1cycle in three phases, in cosines",
        rates.OneCycle(rise=0.375, start=0.5, end=0, three_phase=True),
        [0.5, 0.75, 1, 0.75, 0.5, 0.375, 0.125, 0],
    ),
    (
        "1cycle whose peak lies between steps",
        rates.OneCycle(rise=0.25 + 1 / 16, start=0, end=0, anneal="linear"),
        [0, 2 / 3, 10 / 11, 8 / 11, 6 / 11, 4 / 11, 2 / 11, 0],
    ),
    (
        "1cycle that rises for a step",
        rates.OneCycle(rise=0.125, start=0.1, end=0.3, anneal="linear"),
        [1 - k / 10 for k in range(8)],
    ),
    (
        "1cycle that rises for less",
        rates.OneCycle(rise=0.01, start=0.1, end=0.3, anneal="linear"),
        [1 - k / 10 for k in range(8)],
    ),
    ("trapezoid", rates.Trapezoid(rise=0.25, fall=0.5), [0, 0.5, 1, 1, 1, 0.75, 0.5, 0.25]),
    ("trapezoid, by epoch", rates.Trapezoid(every="epoch", rise=0.5, fall=0.5), [0, 0, 0.5, 0.5, 1, 1, 0.5, 0.5]),
    (
        "trapezoid between other heights",
        rates.Trapezoid(rise=0.25, fall=0.75, start=0.5, end=0.2),
        [0.5, 0.75, 1, 1, 1, 1, 1, 0.6],
    ),
    ("trapezoid without a rise", rates.Trapezoid(rise=0, fall=0), [1 - k / 8 for k in range(8)]),
    ("trapezoid without a fall", rates.Trapezoid(rise=1, fall=1), [k / 8 for k in range(8)]),
    ("warm-up alone", rates.WarmUp(length=0.25), [0, 0.5, 1, 1, 1, 1, 1, 1]),
    (
        "warm-up in epochs, from a fifth",
        rates.WarmUp(unit="epochs", length=1.5, start=0.1),
        [0.1, 0.4, 0.7, 1, 1, 1, 1, 1],
    ),
    (
        "warm-up, then what is left is a line",
        rates.WarmUp(length=0.25, then=rates.PiecewiseLinear(points=((0, 1), (1, 0)))),
        [0, 0.5, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6],
    ),
    (
        "warm-up, then epochs are counted anew",
        rates.WarmUp(
            unit="epochs", length=1, then=rates.PiecewiseConstant(unit="epochs", boundaries=(1, 2), factors=HALVES)
        ),
        [0, 0.5, 1, 1, 0.5, 0.5, 0.25, 0.25],
    ),
    (
        "warm-up that ends inside an epoch whose first value then holds",
        rates.WarmUp(unit="epochs", length=0.5, then=rates.Cosine(unit="epochs", every="epoch", until=3.5)),
        [
            0,
            1,
            *[(1 + math.cos(math.pi / 7)) / 2] * 2,
            *[(1 + math.cos(3 * math.pi / 7)) / 2] * 2,
            *[(1 + math.cos(5 * math.pi / 7)) / 2] * 2,
        ],
    ),
    (
        "warm-up before a 1cycle rises to its start",
        rates.WarmUp(length=0.5, then=rates.OneCycle(rise=0.5, start=0.5, end=0, anneal="linear")),
        [0, 0.125, 0.25, 0.375, 0.5, 1, 0.5, 0],
    ),
    (
        "warm-up before restarts",
        rates.WarmUp(length=0.5, then=rates.CosineRestarts(first=0.5)),
        [0, 0.25, 0.5, 0.75, 1, 0.5, 1, 0.5],
    ),
    (
        "warm-up before a trapezoid",
        rates.WarmUp(length=0.5, then=rates.Trapezoid(rise=0, fall=0.5)),
        [0, 0.25, 0.5, 0.75, 1, 1, 1, 0.5],
    ),
    ("warm-up down", rates.WarmUp(length=0.25, start=3), [3, 2, 1, 1, 1, 1, 1, 1]),
    ("warm-up shorter than a step", rates.WarmUp(length=0.01, start=0.5), [0.5, 1, 1, 1, 1, 1, 1, 1]),
    (
        "warm-up as long as the budget",
        rates.WarmUp(unit="epochs", length=4, then=rates.Cosine()),
        [k / 8 for k in range(8)],
    ),
    (
        "warm-up longer than the budget",
        rates.WarmUp(unit="epochs", length=8, then=rates.OneCycle(rise=0.9, start=0.5)),
        [k / 32 for k in range(8)],
    ),
]


@pytest.mark.parametrize(("spec", "expected"), [row[1:] for row in TABLES], ids=[row[0] for row in TABLES])
def test_a_schedule_has_the_factors_written_down(spec: rates.Schedule, expected: list[float]) -> None:
    horizon = Horizon.even(4, 2)
    found = [schedules.value(spec, step, horizon=horizon) for step in range(8)]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-15)  # tables have ten digits


def test_every_kind_of_schedule_has_a_table() -> None:
    alternatives, _ = get_args(rates.Schedule)
    assert {type(spec) for _, spec, _ in TABLES} == set(get_args(alternatives))


MOMENTA: list[tuple[str, rates.Schedule, list[float] | None]] = [
    ("none asked", rates.OneCycle(), None),
    ("no 1cycle", rates.Cosine(), None),
    ("none asked after a warm-up", rates.WarmUp(length=0.5, then=rates.OneCycle()), None),
    (
        "against the rate",
        rates.OneCycle(rise=0.5, anneal="linear", momentum=(0.5, 0.8)),
        [0.8, 0.7, 0.6, 0.5, 0.575, 0.65, 0.725, 0.8],
    ),
    (
        "in cosines",
        rates.OneCycle(rise=0.5, momentum=(0.5, 0.9)),
        [0.9, 0.8, 0.6, 0.5, 0.5585786438, 0.7, 0.8414213562, 0.9],
    ),
    (
        "high for the third phase",
        rates.OneCycle(rise=0.375, anneal="linear", three_phase=True, momentum=(0.5, 0.8)),
        [0.8, 0.65, 0.5, 0.65, 0.8, 0.8, 0.8, 0.8],
    ),
    (
        "high for a warm-up",
        rates.WarmUp(length=0.5, then=rates.OneCycle(rise=0.5, momentum=(0.5, 0.8))),
        [0.8, 0.8, 0.8, 0.8, 0.8, 0.5, 0.65, 0.8],
    ),
]


@pytest.mark.parametrize(("spec", "expected"), [row[1:] for row in MOMENTA], ids=[row[0] for row in MOMENTA])
def test_a_schedule_asks_for_the_momenta_written_down(spec: rates.Schedule, expected: list[float] | None) -> None:
    horizon = Horizon.even(4, 2)
    found = [schedules.momentum(spec, step, horizon=horizon) for step in range(8)]
    if expected is None:
        assert found == [None] * 8
    else:
        assert found == pytest.approx(expected, rel=1e-9)


UNEVEN = Horizon((4, 2, 1))
"""As when the batch size is doubled after each epoch: a step of a later epoch is a longer one."""
UNEVEN_TABLES: list[tuple[str, rates.Schedule, list[float]]] = [
    (
        "a line over epochs",
        rates.Polynomial(unit="epochs", until=4),
        [1, 15 / 16, 14 / 16, 13 / 16, 3 / 4, 5 / 8, 1 / 2],
    ),
    ("a line over the budget", rates.Polynomial(), [1, 11 / 12, 10 / 12, 9 / 12, 2 / 3, 1 / 2, 1 / 3]),
    (
        "a boundary in mid-epoch",
        rates.PiecewiseConstant(every="step", boundaries=(0.5,), factors=(1, 0)),
        [1, 1, 1, 1, 1, 0, 0],
    ),
    ("the same, by epoch", rates.PiecewiseConstant(boundaries=(0.5,), factors=(1, 0)), [1, 1, 1, 1, 1, 1, 0]),
    ("a wave an epoch", rates.CosineRestarts(unit="epochs", first=1), [1, 0.8535533906, 0.5, 0.1464466094, 1, 0.5, 1]),
    (
        "1cycle counts steps",
        rates.OneCycle(rise=4 / 7, start=0.25, end=0.1, anneal="linear"),
        [0.25, 0.5, 0.75, 1, 0.7, 0.4, 0.1],
    ),
    ("warm-up", rates.WarmUp(unit="epochs", length=1.5), [0, 0.2, 0.4, 0.6, 0.8, 1, 1]),
    (
        "warm-up, then a line",
        rates.WarmUp(unit="epochs", length=1, then=rates.Polynomial()),
        [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5],
    ),
    ("a trapezoid", rates.Trapezoid(rise=1 / 3, fall=2 / 3), [0, 0.25, 0.5, 0.75, 1, 1, 1]),
]


@pytest.mark.parametrize(
    ("spec", "expected"), [row[1:] for row in UNEVEN_TABLES], ids=[row[0] for row in UNEVEN_TABLES]
)
def test_epochs_of_different_lengths(spec: rates.Schedule, expected: list[float]) -> None:
    found = [schedules.value(spec, step, horizon=UNEVEN) for step in range(7)]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-15)


BATCHES: list[tuple[str, rates.BatchSchedule, list[int]]] = [
    ("as it is", rates.Constant(), [50] * 5),
    ("doubled", rates.PiecewiseConstant(unit="epochs", boundaries=(2, 4), factors=(1, 2, 4)), [50, 50, 100, 100, 200]),
    ("of the budget", rates.PiecewiseConstant(boundaries=(0.4,), factors=(1, 3)), [50, 50, 150, 150, 150]),
    (
        "inside an epoch holds from the next on",
        rates.PiecewiseConstant(unit="epochs", every="step", boundaries=(1.2,), factors=(1, 3)),
        [50, 50, 150, 150, 150],
    ),
    ("to the nearest", rates.PiecewiseConstant(factors=(0.515,)), [26] * 5),
    ("never none", rates.PiecewiseConstant(factors=(0.0,)), [1] * 5),
]


@pytest.mark.parametrize(("spec", "expected"), [row[1:] for row in BATCHES], ids=[row[0] for row in BATCHES])
def test_a_batch_size_follows_its_schedule(spec: rates.BatchSchedule, expected: list[int]) -> None:
    assert list(schedules.batch_sizes(spec, batch_size=50, budget_epochs=5)) == expected
