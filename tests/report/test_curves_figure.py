"""Figures hold the records' own numbers, on axes that show every crossing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import vl_convert

from fewepochs import store
from fewepochs.report import curves_figure, figures, labels
from fewepochs.stats import target as crossing_rules
from report_runs import make_run


def test_the_numbers_of_a_figure_are_the_records_bit_for_bit() -> None:
    runs = [make_run(seed=seed) for seed in (0, 1)]
    found = _numbers(*runs, targets=(0.9, 0.97))["runs"]

    assert found == [
        {"run": run.name}
        | {
            column: [getattr(record, column) for record in run.epochs]
            for column in ("epoch", "acc", "val_acc", "loss", "val_loss")
        }
        for run in runs
    ]


def test_the_targets_are_drawn_where_they_are() -> None:
    rows = _numbers(make_run(), targets=(0.97, 0.9))["targets"]

    assert [(row["target"], row["label"]) for row in rows] == [(0.9, "0.9"), (0.97, "0.97")]


def test_labels_of_close_targets_are_moved_apart_and_keep_their_order() -> None:
    targets = (0.91, 0.92, 0.925, 0.93)
    shared = curves_figure.axes([make_run()], targets=targets)
    beside = [row["beside"] for row in curves_figure.datasets((), targets=targets, shared=shared)["targets"]]
    pixels = [place * curves_figure.ACCURACY_HEIGHT / (shared.accuracy[1] - shared.accuracy[0]) for place in beside]

    assert all(later - earlier > 11.5 for earlier, later in pairwise(pixels))
    assert curves_figure.datasets((), targets=(0.8, 0.95), shared=shared)["targets"][0]["beside"] == 0.8


def test_the_learning_rate_goes_from_each_epochs_first_step_to_its_last() -> None:
    (found,) = _numbers(make_run(drop_after=2, epochs=3))["rates"]

    assert found["done"] == [0, 1, 1, 2, 2, 3]
    assert found["epoch"] == [1, 1, 2, 2, 3, 3]
    assert found["rate"] == [1e-3, 1e-3, 1e-3, 1e-3, 1e-4, 1e-4]


def test_runs_with_the_same_rates_share_one_line() -> None:
    runs = [make_run(seed=0), make_run(seed=1), make_run(drop_after=5, seed=2)]
    found = _numbers(*runs)["rates"]

    assert [rates["run"] for rates in found] == ["2 runs alike", runs[2].name]


def test_a_run_without_epochs_is_left_out_of_the_curves() -> None:
    runs = [make_run(), make_run(epochs=0, seed=1, state="crashed")]
    found = _numbers(*runs)

    assert [run["run"] for run in found["runs"]] == [runs[0].name]


def test_axes_show_every_crossing_and_say_when_early_epochs_lie_below() -> None:
    axes = curves_figure.axes([make_run()], targets=(0.9, 0.97))

    assert (axes.epochs, axes.accuracy, axes.clipped) == (20, (0.75, 1.0), True)


def test_axes_go_down_to_a_run_that_never_came_near_the_target() -> None:
    poor = make_run(plateau=0.3, seed=1)
    axes = curves_figure.axes([make_run(), poor], targets=(0.97,))

    assert axes.accuracy[0] < max(record.val_acc for record in poor.epochs)


def test_axes_go_down_to_a_target_that_every_epoch_lies_above() -> None:
    axes = curves_figure.axes([make_run()], targets=(0.1, 0.97))

    assert min(record.val_acc for record in make_run().epochs) > 0.3
    assert (axes.accuracy[0], axes.clipped) == (0.1, False)


def test_without_targets_nothing_lies_below_the_axis() -> None:
    axes = curves_figure.axes([make_run()], targets=())

    assert not axes.clipped
    assert axes.accuracy[0] <= min(record.val_acc for record in make_run().epochs)


def test_a_rate_that_falls_to_zero_still_has_its_place() -> None:
    run = make_run(drop_after=10)
    last = run.epochs[-1].model_copy(update={"lr_last": 0.0})
    axes = curves_figure.axes([type(run)(**{**run.__dict__, "epochs": (*run.epochs[:-1], last)})], targets=())

    assert axes.rates[0] == 0.0
    assert not figures.is_log(axes.rates)


def test_training_and_validation_differ_in_dash_as_well_as_colour() -> None:
    text = json.dumps(_specification(make_run()))

    assert '"domain": ["training", "validation"], "range": ["#b3261e", "#0b57a4"]' in text
    assert '"domain": ["training", "validation"], "range": [[5, 2], [1, 0]]' in text


def test_first_crossings_are_marked_and_pinned_ones_told_apart() -> None:
    pinned, free, short = make_run(drop_after=13), make_run(seed=1, drop_after=5), make_run(seed=2, plateau=0.9)
    found = _numbers(pinned, free, short, targets=(0.97,))

    assert [(row["run"], row["target"], row["pinned"]) for row in found["crossings"]] == [
        (pinned.name, 0.97, True),
        (free.name, 0.97, False),
    ]
    assert found["crossings"][0]["epoch"] == crossing_rules.crossing(pinned.epochs, 0.97).epoch
    assert found["drops"] == [{"done": 5}, {"done": 13}]


def test_figures_of_equal_runs_are_equal() -> None:
    def once() -> list[Any]:
        runs = [make_run(seed=seed) for seed in (0, 1)]
        shared = curves_figure.axes(runs, targets=(0.9,))
        return [
            _specification(*runs),
            curves_figure.panel(shared=shared).to_dict(),
            curves_figure.datasets(labels.label(runs), targets=(0.9,), shared=shared),
        ]

    assert json.dumps(once()) == json.dumps(once())


def test_the_median_is_drawn_as_far_as_all_runs_go() -> None:
    short, whole = [make_run(seed=seed, epochs=12) for seed in (0, 1)], [make_run(seed=seed) for seed in (2, 3)]
    drawn = _vega(*short, *whole)
    thick = [line for line in drawn if line["stroke"] == "#0b57a4" and line["width"] == "2.2"]

    assert [line["points"] for line in thick] == [12, 12]  # of accuracy and of loss


def test_a_single_run_has_neither_median_nor_band() -> None:
    assert "2.2" not in {line["width"] for line in _vega(make_run())}
    assert "2.2" in {line["width"] for line in _vega(make_run(), make_run(seed=1))}


def test_a_run_of_one_epoch_is_a_dot_for_each_part_and_quantity() -> None:
    def dots(*runs: store.StoredRun) -> list[str]:
        svg = vl_convert.vegalite_to_svg(_specification(*runs))
        groups = re.findall(r'<g class="mark-symbol role-mark[^>]*>(.*?)</g>', svg, flags=re.DOTALL)
        return [fill for group in groups for fill in re.findall(r'fill="(#\w+)"', group)]

    training, validation = figures.PAPER.training, figures.PAPER.validation

    assert sorted(dots(make_run(epochs=1, plateau=0.5))) == sorted([training, validation] * 2)
    assert training not in dots(make_run(epochs=2))


def test_the_loss_has_a_logarithmic_axis_where_that_is_asked_and_can_be() -> None:
    shared = replace(curves_figure.axes([make_run()], targets=()), losses=(0.1, 5.0))

    def kind(*, log: bool | None, axes: curves_figure.Axes = shared) -> str:
        plot = curves_figure.panel(shared=axes, log=log).to_dict()["vconcat"][1]
        return str(next(layer for layer in plot["layer"] if "y" in layer["encoding"])["encoding"]["y"]["scale"]["type"])

    assert [kind(log=None), kind(log=False), kind(log=True)] == ["log", "linear", "log"]
    assert kind(log=True, axes=replace(shared, losses=(0.0, 1.0))) == "linear"


def test_a_panel_that_is_switched_is_the_one_that_was_asked_so() -> None:
    shared = replace(curves_figure.axes([make_run()], targets=()), losses=(0.1, 5.0))
    linear, log = (curves_figure.panel(shared=shared, log=log).to_dict() for log in (False, True))

    assert curves_figure.switched(log, shared=shared, log=False) == linear
    assert curves_figure.switched(linear, shared=shared, log=True) == log
    assert linear != log


def test_recipes_stand_side_by_side_with_numbers_of_their_own() -> None:
    runs = [make_run(f"batch_size={size}", seed=seed) for size in (32, 64) for seed in (0, 1)]
    spec = _specification(*runs)

    assert [part["title"]["text"] for part in spec["concat"]] == [
        "digits-step (batch_size = 32)",
        "digits-step (batch_size = 64)",
    ]
    assert [len(spec["datasets"][f"runs{k}"]) for k in (0, 1)] == [2, 2]
    assert {row["run"] for row in figures.rows(spec)} == {run.name for run in runs}


def test_a_live_figure_of_several_recipes_can_be_drawn() -> None:
    groups = labels.group(labels.label([make_run(f"batch_size={size}") for size in (32, 64)]))
    figure = curves_figure.figure(groups, targets=(0.9,), live=True)

    assert vl_convert.vegalite_to_svg(figures.specification(figure)).count("accuracy") >= 2


def test_figures_of_no_run_can_be_drawn() -> None:
    shared = curves_figure.axes((), targets=(0.9,))
    chart = curves_figure.panel(shared=shared, live=False)
    chart.datasets = curves_figure.datasets((), targets=(0.9,), shared=shared)

    assert ">0.9<" in vl_convert.vegalite_to_svg(chart.to_dict())


# --- what the tests look at -------------------------------------------------------------------------------------------


def _numbers(*runs: store.StoredRun, targets: tuple[float, ...] = ()) -> dict[str, list[dict[str, Any]]]:
    shared = curves_figure.axes(runs, targets=targets)
    return curves_figure.datasets(labels.label(runs), targets=targets, shared=shared)


def _specification(*runs: store.StoredRun) -> dict[str, Any]:
    return figures.specification(curves_figure.figure(labels.group(labels.label(runs)), targets=(0.9,)))


def _vega(*runs: store.StoredRun) -> list[dict[str, Any]]:
    """Return the lines that are drawn: colour, width, and how many points they go through."""
    svg = vl_convert.vegalite_to_svg(_specification(*runs))
    found = []
    for path in re.findall(r"<path[^>]*>", svg):
        width, stroke = re.search(r'stroke-width="([^"]*)"', path), re.search(r'stroke="([^"]*)"', path)
        line = re.search(r'\bd="([^"]*)"', path)
        if width and stroke and line and 'fill="none"' not in path.split("d=")[0]:
            found.append({"stroke": stroke[1], "width": width[1], "points": len(re.findall("[ML]", line[1]))})
    return found
