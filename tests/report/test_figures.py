"""Figures share a look, fit the width that is asked, and hand on their numbers."""

from __future__ import annotations

import itertools
from typing import Any, cast

import altair as alt
import pytest

from fewepochs.report import figures


@pytest.mark.parametrize(
    ("values", "expected"), [([1.0, 0.2], False), ([1.0, 0.1], True), ([1.0, 0.0], False), ([], False)]
)
def test_a_logarithmic_axis_is_for_wide_spans_above_zero(values: list[float], expected: bool) -> None:
    assert figures.is_log(values) is expected


@pytest.mark.parametrize(
    ("span", "expected"),
    [((0.9, 110), [1, 3, 10, 30, 100]), ((8e-6, 1.2e-3), [1e-5, 3e-5, 1e-4, 3e-4, 1e-3]), ((0.07, 2.1), None)],
)
def test_logarithmic_axes_have_few_round_ticks(span: tuple[float, float], expected: list[float] | None) -> None:
    ticks = figures.log_ticks(span)

    assert ticks == (expected or [0.1, 0.2, 0.5, 1.0, 2.0])


def test_wide_logarithmic_axes_stay_readable() -> None:
    assert 2 <= len(figures.log_ticks((1e-12, 1e12))) <= 7


@pytest.mark.parametrize("last", [1, 2, 3, 7, 10, 11, 25, 160, 1000, 4000])
def test_an_axis_of_epochs_has_whole_ticks_at_one_distance_and_not_too_many(last: int) -> None:
    axis = cast(Any, figures.epochs("epoch", title="epoch", last=last).to_dict())["axis"]
    ticks = axis["values"]

    assert ticks[0] == 0
    assert len({after - before for before, after in itertools.pairwise(ticks)}) == 1
    assert last - ticks[-1] < ticks[1]
    assert 2 <= len(ticks) <= 11
    assert all(isinstance(tick, int) for tick in ticks)
    assert axis["format"] == "d"


def _figure() -> figures.Figure:
    def chart(ink: figures.Ink) -> alt.ConcatChart:
        plots = [alt.VConcatChart(vconcat=[alt.Chart(alt.NamedData("a")).mark_point() for _ in range(2)])] * 3
        whole = figures.finished(alt.ConcatChart(concat=plots, columns=2, spacing=20), ink=ink)
        whole.datasets = {"a": [{"run": "r", "epoch": [1, 2], "acc": [0.5, None]}], "b": [{"x": 1}, {"x": 2}]}
        return whole

    return figures.Figure("test", "A test", "Two plots.", chart, table=("a", "b"))


def test_the_numbers_of_a_figure_are_rows_in_which_arrays_are_unfolded() -> None:
    assert figures.rows(figures.specification(_figure())) == [
        {"run": "r", "epoch": 1, "acc": 0.5},
        {"run": "r", "epoch": 2, "acc": None},
        {"x": 1},
        {"x": 2},
    ]


def test_a_figure_fits_the_width_that_is_asked_its_columns_side_by_side() -> None:
    spec = figures.specification(_figure(), width=700)
    widths = {plot["width"] for part in spec["concat"] for plot in part["vconcat"]}

    assert widths == {(700 - 20) // 2 - figures.LEFT - figures.RIGHT}


@pytest.mark.parametrize(("width", "letters", "columns"), [(None, 40, 2), (None, 10, 5), (1100, 40, 3), (330, 40, 1)])
def test_a_legend_has_as_many_columns_as_its_longest_name_leaves_room_for(
    width: float | None, letters: int, columns: int
) -> None:
    def chart(ink: figures.Ink) -> alt.VConcatChart:
        plots = [alt.Chart(alt.InlineData(values=[])).mark_point()]
        return figures.finished(alt.VConcatChart(vconcat=plots), ink=ink, names=["short", "n" * letters])

    spec = figures.specification(figures.Figure("test", "A test", "Nothing.", chart), width=width)

    assert spec["config"]["legend"]["columns"] == columns


def test_long_names_are_cut_in_their_middle_and_stay_apart() -> None:
    names = ["short", "n" * 75 + "1", "n" * 75 + "2", "a" * 40 + "b" + "c" * 40, "a" * 40 + "d" + "c" * 40]
    found = figures.shortened(names)

    assert list(found) == names
    assert found["short"] == "short"
    assert found[names[1]].endswith("n1")
    assert len(set(found.values())) == len(names)
    assert max(map(len, found.values())) <= figures.LETTERS + len(" (2)")


def test_a_plot_never_gets_too_narrow_to_be_one() -> None:
    spec = figures.specification(_figure(), width=100)

    assert {plot["width"] for part in spec["concat"] for plot in part["vconcat"]} == {60}


def test_colours_of_recipes_come_again_with_another_dash() -> None:
    names = [f"r{k}" for k in range(12)]
    scales: list[Any] = [cast(Any, channel.to_dict())["scale"] for channel in figures.arms(names)]
    pairs = {(colour, tuple(dash)) for colour, dash in zip(*(scale["range"] for scale in scales), strict=True)}

    assert [scale["domain"] for scale in scales] == [names, names]
    assert len(pairs) == 12
    assert scales[0]["range"][:6] == list(figures.COLOURS)
