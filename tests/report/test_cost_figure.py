"""The cost figure has a dot for each run: what it spent up to its first crossing, or in all without one."""

from __future__ import annotations

import re

import pytest
import vl_convert

from fewepochs import store
from fewepochs.report import comparison, cost_figure, figures, summary
from fewepochs.stats import target as crossing_rules
from report_runs import make_run


def _figure(*runs: store.StoredRun, targets: tuple[float, ...] = (0.97,)) -> figures.Figure | None:
    found = comparison.build(runs, targets=targets)
    return cost_figure.figure(summary.build(runs, targets=found["targets"]), found)


def test_a_dot_is_what_a_run_spent_up_to_its_first_crossing() -> None:
    runs = [make_run(seed=0, joules=2.0), make_run(seed=1, joules=3.0)]
    figure = _figure(*runs)
    assert figure is not None
    crossings = [crossing_rules.crossing(run.epochs, 0.97, costs=run.costs) for run in runs]

    assert [(row["by"], row["run"], row["spent"]) for row in figures.rows(figures.specification(figure))] == [
        *(("seconds", run.name, found.train_seconds) for run, found in zip(runs, crossings, strict=True)),
        *(("joules", run.name, found.joules) for run, found in zip(runs, crossings, strict=True)),
    ]


def test_a_run_without_the_target_is_censored_at_all_it_spent() -> None:
    reached, missed = make_run(), make_run(seed=1, plateau=0.9)
    figure = _figure(reached, missed)
    assert figure is not None
    rows = {row["run"]: row for row in figures.rows(figures.specification(figure))}

    assert (rows[reached.name]["censored"], rows[missed.name]["censored"]) == (False, True)
    assert rows[missed.name]["spent"] == sum(cost.train_seconds for cost in missed.costs)


def test_a_cost_that_is_not_known_has_no_dot() -> None:
    figure = _figure(make_run(), make_run(seed=1, costed=3))
    assert figure is not None
    rows = figures.rows(figures.specification(figure))

    assert [row["run"] for row in rows] == [make_run().name]
    assert {row["by"] for row in rows} == {"seconds"}


def test_where_nobody_arrives_or_no_cost_is_known_there_is_no_figure() -> None:
    assert _figure(make_run(plateau=0.5)) is None
    assert _figure(make_run(costed=0)) is None
    assert _figure(make_run("targets=[]"), targets=()) is None


def test_medians_are_those_of_the_comparison() -> None:
    runs = [make_run(f"batch_size={size}", seed=seed) for size in (32, 64) for seed in range(3)]
    found = comparison.build(runs, targets=(0.97,))
    figure = cost_figure.figure(summary.build(runs, targets=found["targets"]), found)
    assert figure is not None
    medians = figures.specification(figure)["datasets"]["medians seconds 0.97"]

    assert {row["arm"]: row["median"] for row in medians} == {
        row["arm"]: row["seconds"]["value"] for row in found["rows"]
    }
    assert all(f"{row['median']:.4g}" in figure.alternative for row in medians)


@pytest.mark.parametrize(
    ("joules", "title", "last"),
    [
        (0.1, "energy until 0.97, in J", 1.4),
        (20.0, "energy until 0.97, in J", 300),
        (9000.0, "energy until 0.97, in kJ", 140),
        (9e6, "energy until 0.97, in MJ", 140),
    ],
)
def test_numbers_of_an_axis_are_plain_and_its_title_has_their_unit(joules: float, title: str, last: float) -> None:
    figure = _figure(make_run(joules=joules))
    assert figure is not None
    svg = vl_convert.vegalite_to_svg(figures.specification(figure))
    axes = re.findall(r"X-axis titled '([^']*)' for(.*?)role-axis-title", svg)
    labels = [re.findall(r">([^<>]+)</text>", labels) for _, labels in axes]

    assert [told for told, _ in axes] == ["seconds of training until 0.97", title]
    assert all(re.fullmatch(r"[\d,.]+", label) for label in [*labels[0], *labels[1]])
    assert float(labels[1][-1]) == last


def test_the_names_of_the_recipes_are_drawn() -> None:
    figure = _figure(*(make_run(f"batch_size={size}") for size in (32, 64)))
    assert figure is not None
    svg = vl_convert.vegalite_to_svg(figures.specification(figure))

    assert all(f">digits-step (batch_size = {size})<" in svg for size in (32, 64))
