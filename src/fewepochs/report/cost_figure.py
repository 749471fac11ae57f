"""What a target costs: seconds of training, and joules where they were measured, of each run up to its first crossing.

A dot is a run, an upright line the recipe's median. A run that did not get there is an open triangle where it ended:
its cost is more than that. Each recipe has a line of its own, its name above it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from fewepochs.report import figures

ROW = 34
TITLES = {"seconds": "seconds of training until {:g}", "joules": "joules until {:g}"}
RUNS, MEDIANS = "spent", "medians"


def figure(data: Mapping[str, Any], found: Mapping[str, Any]) -> figures.Figure | None:
    """Return what the targets of the comparison `found` cost the runs that `summary.build` tells of in `data`.

    None where no cost is known of a run that has reached a target.
    """
    names = [recipe["label"] for recipe in data["recipes"]]
    every = {(target, by): _points(data, target, by=by) for target in found["targets"] for by in TITLES}
    points = {key: rows for key, rows in every.items() if any(not row["censored"] for row in rows)}
    if not points:
        return None
    medians = {(row["arm"], row["target"]): row for row in found["rows"]}
    return figures.Figure(
        name="cost",
        title="What a target costs",
        alternative=_alternative(points, medians),
        chart=lambda ink: _chart(points, names=names, medians=medians, ink=ink),
        table=tuple(_named(RUNS, key) for key in points),
    )


Key = tuple[float, str]


def _points(data: Mapping[str, Any], target: float, *, by: str) -> list[dict[str, Any]]:
    order = [name for recipe in data["recipes"] for name in recipe["runs"]]
    runs = {run["run"]: run for run in data["runs"]}
    return [
        {"arm": runs[name]["recipe"], "run": name, "target": target, "by": by, "spent": spent, "censored": censored}
        for name in order
        for spent, censored in _spent(runs[name], target, by=by)
    ]


def _spent(run: Mapping[str, Any], target: float, *, by: str) -> list[tuple[float, bool]]:
    """Return what `run` needed to `target` and whether it ended without; nothing where that is not known."""
    field = "train_seconds" if by == "seconds" else "joules"
    first = next(crossing["first"] for crossing in run["crossings"] if crossing["target"] == target)
    if first["reached"]:
        return [] if first[field] is None else [(first[field], False)]
    costs = run["costs"]
    whole = costs["epochs"] == run["epochs"] and costs[field] is not None
    return [(costs[field], True)] if whole else []


def _named(name: str, key: Key) -> str:
    return f"{name} {key[1]} {key[0]}"


def _alternative(points: Mapping[Key, Any], medians: Mapping[tuple[str, float], Any]) -> str:
    told = [
        f"{arm} {TITLES[by].format(target)}: median {row[by]['value']:.4g}"
        for target, by in points
        for (arm, asked), row in medians.items()
        if asked == target and row[by]["value"] is not None
    ]
    return f"Cost of each run to the targets. {'; '.join(told)}."


def _chart(
    points: Mapping[Key, list[dict[str, Any]]],
    *,
    names: Sequence[str],
    medians: Mapping[tuple[str, float], Any],
    ink: figures.Ink,
) -> alt.VConcatChart:
    plots = [_plot(key, rows, names=names, ink=ink) for key, rows in points.items()]
    chart = figures.can_hide(figures.finished(alt.VConcatChart(vconcat=plots, spacing=26), ink=ink))
    chart.datasets = {_named(RUNS, key): rows for key, rows in points.items()} | {
        _named(MEDIANS, (target, by)): [
            {"arm": arm, "median": row[by]["value"]}
            for (arm, asked), row in medians.items()
            if asked == target and row[by]["value"] is not None
        ]
        for target, by in points
    }
    return chart


def _plot(key: Key, rows: Sequence[Mapping[str, Any]], *, names: Sequence[str], ink: figures.Ink) -> alt.LayerChart:
    present = [name for name in names if any(row["arm"] == name for row in rows)]
    end = 1.05 * max(row["spent"] for row in rows)
    scale = alt.Scale(domain=[0, end or 1.0], nice=False)
    title, axis = TITLES[key[1]].format(key[0]), alt.Axis(format=",~g", tickCount=6)
    if key[1] == "joules":
        unit, joules = _unit(end)
        title = f"energy until {key[0]:g}, in {unit}"
        axis.labelExpr = f"format(datum.value / {joules}, ',~g')"
    x = alt.X("spent:Q", title=title, scale=scale, axis=axis)
    y = alt.Y("arm:N", title=None, axis=None, scale=alt.Scale(domain=present))
    colour = alt.Color("arm:N", scale=figures.arm_colours(names), legend=None)
    base = alt.Chart(alt.NamedData(_named(RUNS, key))).transform_filter(figures.SHOWN).encode(x=x, y=y, color=colour)
    middle = (
        alt.Chart(alt.NamedData(_named(MEDIANS, key)))
        .transform_filter(figures.SHOWN)
        .encode(x=_of(x, "median"), y=y, color=colour)
    )
    name = (
        alt.Chart(alt.InlineData(values=[{"arm": arm, "name": figures.shortened(names)[arm]} for arm in present]))
        .mark_text(align="left", baseline="bottom", dy=-5, fontSize=11, color=ink.text, aria=False)
        .encode(x=alt.XValue(2), y=y, text=alt.Text("name:N"))
    )
    layers = [
        name,
        middle.mark_tick(orient="vertical", thickness=2, size=16, yOffset=6, aria=False),
        base.transform_filter("!datum.censored").mark_point(filled=True, size=45, opacity=0.75, yOffset=6, aria=False),
        base.transform_filter("datum.censored").mark_point(
            shape="triangle-right", size=55, opacity=0.9, yOffset=6, aria=False
        ),
    ]
    return alt.LayerChart(layer=layers, width=figures.WIDTH, height=ROW * len(present))


def _unit(end: float) -> tuple[str, int]:
    """Return the unit in which numbers up to `end` joules are short, and how many joules it is."""
    return ("J", 1) if end < 10_000 else ("kJ", 1_000) if end < 10_000_000 else ("MJ", 1_000_000)


def _of(x: alt.X, field: str) -> alt.X:
    other = x.copy()
    other.shorthand = f"{field}:Q"
    return other
