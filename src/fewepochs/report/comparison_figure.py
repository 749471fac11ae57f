"""A comparison as a picture: how many of each recipe's runs have reached a target, over epochs, seconds or joules.

A line rises by one run's share at each arrival (one minus the Kaplan-Meier curve); a tick across it marks runs that
ended there without the target. The band is the curve's pointwise interval, drawn for few recipes only; a dot marks
the median. Recipes differ in colour and dash, and the colours are for light and dark ground alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from fewepochs.errors import Problem, RecipeError
from fewepochs.report import comparison, comparison_console, figures, picture

HEIGHT = 190
MOST_BANDS = 3
"""More bands than this cover one another."""

DATA = ("band", "half", "line", "ended", "median")
"""The data sets of a target's plot."""

LEAST_RUNS = 2
"""A single run makes a step from none to all, and no curve."""


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Draw what `comparison.build` found into `path`, in the format that its name ends in.

    Raises StorageError, and RecipeError where no recipe has a target and two runs.
    """
    if not drawable(found):
        raise RecipeError("command line", (Problem("--to", "nothing to draw: no recipe has a target and two runs"),))
    picture.write(path, figure(found), numbers=comparison_console.lines(found))


def figure(found: Mapping[str, Any]) -> figures.Figure:
    """Return the picture of what `comparison.build` found."""
    drawn = {row["target"] for row in _drawn(found)}
    return figures.Figure(
        name="survival",
        title="Share of runs that have reached the target",
        alternative=alternative(found),
        chart=lambda ink: chart(found, ink=ink),
        table=tuple(_name(DATA[2], target) for target in found["targets"] if target in drawn),
    )


def drawable(found: Mapping[str, Any]) -> bool:
    """Return whether there is a curve to be drawn."""
    return bool(_drawn(found))


def alternative(found: Mapping[str, Any]) -> str:
    """Return the picture in words."""
    told = [
        f"{row['arm']} to {row['target']:g}: {row['reached']} of {row['n']} runs, median "
        + comparison_console.point(row["median"], by=found["by"])
        for row in _drawn(found)
    ]
    return f"Share of runs that have reached the target, over {comparison.UNITS[found['by']]}. {'; '.join(told)}."


def chart(found: Mapping[str, Any], *, ink: figures.Ink = figures.PAPER) -> alt.VConcatChart:
    """Return the picture, a plot for each target below one another."""
    rows = _drawn(found)
    names = list(dict.fromkeys(row["arm"] for row in rows))
    end = max((step["time"] for row in rows for step in row["curve"]), default=1.0)
    targets = [target for target in found["targets"] if any(row["target"] == target for row in rows)]
    plots = [_plot(target, names=names, end=end, found=found, ink=ink) for target in targets]
    picture = figures.can_hide(figures.finished(alt.VConcatChart(vconcat=plots, spacing=22), ink=ink, names=names))
    # By name, and at the top: altair copies what stands in a plot, again and again.
    picture.datasets = {
        _name(what, target): points
        for target in targets
        for what, points in _points(rows, target, end=end, banded=len(names) <= MOST_BANDS).items()
    }
    return picture


def _drawn(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that have a curve, each arm called by its name and its n."""
    runs = {entry["arm"]: f"{entry['arm']} (n = {entry['n']})" for entry in found["accuracies"]}
    return [{**row, "arm": runs[row["arm"]]} for row in found["rows"] if row["n"] >= LEAST_RUNS]


def _plot(target: float, *, names: list[str], end: float, found: Mapping[str, Any], ink: figures.Ink) -> alt.LayerChart:
    title = _axis_title(found, target)
    x = alt.X("time:Q", title=title, scale=alt.Scale(domain=[0, end], nice=False))
    if found["by"] == "epochs":
        x = figures.epochs("time", title=title, last=end)
    y = figures.vertical("share", title="share of runs", span=(0.0, 1.0), numbers=".0%")
    colour, dash = figures.arms(names)
    band, half, lines, ended, medians = (alt.Chart(alt.NamedData(_name(what, target))) for what in DATA)
    band, lines, ended, medians = (one.transform_filter(figures.SHOWN) for one in (band, lines, ended, medians))
    layers: list[alt.Chart] = []
    if len(names) <= MOST_BANDS:
        low, high = y.copy(), alt.Y2("high:Q")
        low.shorthand = "low:Q"
        area = band.mark_area(interpolate="step-after", fillOpacity=0.13, clip=True, aria=False)
        layers.append(area.encode(x=x, y=low, y2=high, color=colour))
    layers.append(half.mark_rule(color=ink.line, strokeDash=[1, 3], aria=False).encode(y=y))
    line = lines.mark_line(interpolate="step-after", strokeWidth=2, aria=False)
    layers.append(line.encode(x=x, y=y, color=colour, strokeDash=dash))
    tick = ended.mark_tick(orient="vertical", thickness=2, size=13, aria=False)
    layers.append(tick.encode(x=x, y=y, color=colour))
    dot = medians.mark_point(filled=True, size=55, opacity=1, aria=False)
    layers.append(dot.encode(x=x, y=y, color=colour))
    return alt.LayerChart(layer=layers, width=figures.WIDTH, height=HEIGHT)


def _name(what: str, target: float) -> str:
    return f"{what} {target}"  # all its digits: two targets, two names


def _points(
    every: Sequence[Mapping[str, Any]], target: float, *, end: float, banded: bool
) -> dict[str, list[dict[str, Any]]]:
    """Return the numbers of one target's plot, in the order of `DATA`; bands are empty unless the plot is `banded`."""
    band, half, lines, ended, medians = DATA
    rows = [row for row in every if row["target"] == target]
    reached = [row for row in rows if row["median"]["value"]]
    return {
        band: [point for row in rows if banded for point in _band(row, end=end)],
        half: [{"share": 0.5}],
        lines: [point for row in rows for point in _line(row, end=end)],
        ended: [point for row in rows for point in _ended(row)],
        medians: [{"arm": row["arm"], "time": row["median"]["value"], "share": 0.5} for row in reached],
    }


def _axis_title(found: Mapping[str, Any], target: float) -> str:
    held = f" held for {found['hold']} evaluations" if found["rule"] == "held" else ""
    return f"{comparison.UNITS[found['by']]} until {target:g}{held}"


def _line(row: Mapping[str, Any], *, end: float) -> list[dict[str, Any]]:
    """Return the corners of a row's line: from none at 0 to where the row's last run arrived or ended, or level on."""
    points = [(0.0, 0.0), *((step["time"], 1 - step["survival"]) for step in row["curve"])]
    if row["curve"][-1]["survival"] == 0:
        points.append((end, 1.0))
    own = {"arm": row["arm"], "target": row["target"]}
    return [{**own, "time": time, "share": share} for time, share in points]


def _band(row: Mapping[str, Any], *, end: float) -> list[dict[str, Any]]:
    """Return the corners of a row's band; it ends where the curve's scale ends, at all runs arrived."""
    points: list[tuple[float, float, float]] = []
    for step in row["curve"]:
        if step["low"] is not None:
            points.append((step["time"], 1 - step["high"], 1 - step["low"]))
        elif points:
            points.append((step["time"], *points[-1][1:]))
            break
    return [{"arm": row["arm"], "time": min(time, end), "low": low, "high": high} for time, low, high in points]


def _ended(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"arm": row["arm"], "time": step["time"], "share": 1 - step["survival"]}
        for step in row["curve"]
        if step["censored"]
    ]
