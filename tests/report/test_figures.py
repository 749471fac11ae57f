"""Figures hold the records' own numbers, on axes that show every crossing."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
import vl_convert

from fewepochs.report import figures, labels
from report_runs import make_run


def test_the_numbers_of_a_figure_are_the_records_bit_for_bit() -> None:
    runs = [make_run(seed=seed) for seed in (0, 1)]
    found = figures.accuracy(runs, targets=(0.9, 0.97)).to_dict()["datasets"]["runs"]

    assert found == [
        {"run": run.name}
        | {
            column: [getattr(record, column) for record in run.epochs]
            for column in ("epoch", "acc", "val_acc", "loss", "val_loss")
        }
        for run in runs
    ]


def test_the_targets_are_drawn_where_they_are() -> None:
    rows = figures.accuracy([make_run()], targets=(0.97, 0.9)).to_dict()["datasets"]["targets"]

    assert [(row["target"], row["label"]) for row in rows] == [(0.9, "0.9"), (0.97, "0.97")]


def test_labels_of_close_targets_are_moved_apart_and_keep_their_order() -> None:
    targets = (0.91, 0.92, 0.925, 0.93)
    shared = figures.axes([make_run()], targets=targets)
    beside = [row["beside"] for row in figures.datasets((), targets=targets, shared=shared)["targets"]]
    pixels = [place * figures.ACCURACY_HEIGHT / (shared.accuracy[1] - shared.accuracy[0]) for place in beside]

    assert all(later - earlier > 11.5 for earlier, later in pairwise(pixels))
    assert figures.datasets((), targets=(0.8, 0.95), shared=shared)["targets"][0]["beside"] == 0.8


def test_the_learning_rate_goes_from_each_epochs_first_step_to_its_last() -> None:
    (found,) = figures.learning_rate([make_run(drop_after=2, epochs=3)]).to_dict()["datasets"]["rates"]

    assert found["done"] == [0, 1, 1, 2, 2, 3]
    assert found["epoch"] == [1, 1, 2, 2, 3, 3]
    assert found["rate"] == [1e-3, 1e-3, 1e-3, 1e-3, 1e-4, 1e-4]


def test_runs_with_the_same_rates_share_one_line() -> None:
    runs = [make_run(seed=0), make_run(seed=1), make_run(drop_after=5, seed=2)]
    found = figures.learning_rate(runs).to_dict()["datasets"]["rates"]

    assert [rates["run"] for rates in found] == ["2 runs alike", runs[2].name]


def test_a_run_without_epochs_is_left_out_of_the_curves() -> None:
    runs = [make_run(), make_run(epochs=0, seed=1, state="crashed")]
    found = figures.loss(runs).to_dict()["datasets"]

    assert [run["run"] for run in found["runs"]] == [runs[0].name]


def test_axes_show_every_crossing_and_say_when_early_epochs_lie_below() -> None:
    axes = figures.axes([make_run()], targets=(0.9, 0.97))

    assert (axes.epochs, axes.accuracy, axes.clipped) == (20, (0.75, 1.0), True)


def test_axes_go_down_to_a_run_that_never_came_near_the_target() -> None:
    poor = make_run(plateau=0.3, seed=1)
    axes = figures.axes([make_run(), poor], targets=(0.97,))

    assert axes.accuracy[0] < max(record.val_acc for record in poor.epochs)


def test_without_targets_nothing_lies_below_the_axis() -> None:
    axes = figures.axes([make_run()], targets=())

    assert not axes.clipped
    assert axes.accuracy[0] <= min(record.val_acc for record in make_run().epochs)


@pytest.mark.parametrize(
    ("values", "expected"), [([1.0, 0.2], False), ([1.0, 0.1], True), ([1.0, 0.0], False), ([], False)]
)
def test_a_logarithmic_axis_is_for_wide_spans_above_zero(values: list[float], expected: bool) -> None:
    assert figures.is_log(values) is expected


def test_a_rate_that_falls_to_zero_still_has_its_place() -> None:
    run = make_run(drop_after=10)
    last = run.epochs[-1].model_copy(update={"lr_last": 0.0})
    axes = figures.axes([type(run)(**{**run.__dict__, "epochs": (*run.epochs[:-1], last)})], targets=())

    assert not axes.rate_log
    assert axes.rate[0] == 0.0


@pytest.mark.parametrize(
    ("span", "expected"),
    [((0.9, 110), [1, 3, 10, 30, 100]), ((8e-6, 1.2e-3), [1e-5, 3e-5, 1e-4, 3e-4, 1e-3]), ((0.07, 2.1), None)],
)
def test_logarithmic_axes_have_few_round_ticks(span: tuple[float, float], expected: list[float] | None) -> None:
    ticks = figures.log_ticks(span)

    assert ticks == (expected or [0.1, 0.2, 0.5, 1.0, 2.0])


def test_wide_logarithmic_axes_stay_readable() -> None:
    assert 2 <= len(figures.log_ticks((1e-12, 1e12))) <= 7


def test_training_and_validation_differ_in_dash_as_well_as_colour() -> None:
    text = json.dumps(figures.accuracy([make_run()], targets=()).to_dict())

    assert '"domain": ["training", "validation"], "range": ["#b3261e", "#0b57a4"]' in text
    assert '"domain": ["training", "validation"], "range": [[5, 2], [1, 0]]' in text


def test_figures_of_equal_runs_are_equal() -> None:
    def once() -> list[Any]:
        runs = [make_run(seed=seed) for seed in (0, 1)]
        shared = figures.axes(runs, targets=(0.9,))
        return [
            figures.accuracy(runs, targets=(0.9,)).to_dict(),
            figures.loss(runs).to_dict(),
            figures.learning_rate(runs).to_dict(),
            figures.panel(shared=shared).to_dict(),
            figures.datasets(labels.label(runs), targets=(0.9,), shared=shared),
        ]

    assert json.dumps(once()) == json.dumps(once())


def test_every_figure_can_be_drawn_without_a_browser() -> None:
    runs = [make_run(drop_after=9), make_run(seed=1)]
    for chart in (figures.accuracy(runs, targets=(0.9,)), figures.loss(runs), figures.learning_rate(runs)):
        svg = vl_convert.vegalite_to_svg(chart.to_dict())
        assert svg.startswith("<svg")
        assert svg.count('class="mark-line') >= 1


def test_figures_of_no_run_can_be_drawn() -> None:
    svg = vl_convert.vegalite_to_svg(figures.accuracy((), targets=(0.9,)).to_dict())

    assert ">0.9<" in svg
