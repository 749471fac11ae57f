"""What a recipe will do, as a picture: learning rate, and below it what else moves, over one axis of epochs.

Momentum and batch size are drawn where they move, weight decay where there is one. A rate of which half lies at a tenth
of the highest or below has a logarithmic axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt

from fewepochs import recipe as recipes
from fewepochs import schedules
from fewepochs.report import figures, outlook, outlook_console, picture
from fewepochs.report.outlook import Sample
from fewepochs.specs import updates

RATE_HEIGHT, HEIGHT = 200, 70


def write(path: Path, recipe: recipes.Recipe, *, data: dict[str, Any], horizon: schedules.Horizon) -> None:
    """Draw what `outlook.build` found into `path`, in the format that its name ends in. Raises StorageError."""
    figure = figures.Figure(
        name="schedule",
        title=f"{recipe.name}: schedule",
        alternative=f"{_subtitle(data)}. Curves over {recipe.budget.epochs} epochs of {', '.join(_panels(data))}.",
        chart=lambda ink: chart(recipe, data=data, horizon=horizon, ink=ink),
    )
    picture.write(path, figure, numbers=outlook_console.lines(recipe, data=data, horizon=horizon))


def chart(
    recipe: recipes.Recipe, *, data: dict[str, Any], horizon: schedules.Horizon, ink: figures.Ink = figures.PAPER
) -> alt.VConcatChart:
    """Return the picture of what `outlook.build` found."""
    drawn = outlook.samples(recipe, horizon=horizon)
    names = _panels(data)
    plots = [
        _plot(name, drawn, epochs=recipe.budget.epochs, lowest=name == names[-1], decay=recipe.weight_decay, ink=ink)
        for name in names
    ]
    title = alt.TitleParams(
        text=f"{recipe.name}: schedule",
        subtitle=_subtitle(data),
        anchor="start",
        color=ink.text,
        subtitleColor=ink.text,
        fontSize=14,
        subtitleFontSize=11,
        offset=12,
    )
    return figures.finished(alt.VConcatChart(vconcat=plots, spacing=16, title=title), ink=ink)


def _panels(data: dict[str, Any]) -> list[str]:
    shown = {"lr": True, "weight_decay": data["weight_decay"] is not None}
    return [name for name in outlook.MOVING if shown.get(name) or outlook.moves(data["epochs"], name)]


def _subtitle(data: dict[str, Any]) -> str:
    """Return the facts in one line; a control without a panel of its own has its value here."""
    facts = [f"{data['optimizer']}, {len(data['epochs']):,} epochs, {data['steps']:,} steps"]
    if data["momentum"] is not None and not outlook.moves(data["epochs"], "momentum"):
        facts.append(f"momentum {data['momentum']:g}")
    if not outlook.moves(data["epochs"], "batch_size"):
        facts.append(f"batch size {data['batch_size']:,}")
    if data["plateau"] == "effective":
        facts.append("without what the plateau will take away")
    return "; ".join(facts)


def _plot(
    name: str,
    drawn: Sequence[Sample],
    *,
    epochs: int,
    lowest: bool,
    decay: updates.WeightDecay,
    ink: figures.Ink,
) -> alt.Chart:
    values = [float(getattr(sample, name)) for sample in drawn]
    log = outlook.is_log(values)
    span = (min(values) / 1.2, max(values) * 1.2) if log else (0.0, max(values) * 1.05 or 1.0)
    title = f"weight decay ({decay.kind})" if name == "weight_decay" else outlook.LABELS[name]
    x = figures.epochs("done", title="epochs done" if lowest else None, last=epochs, labels=lowest)
    rows = [{"done": sample.done, "value": value} for sample, value in zip(drawn, values, strict=True)]
    line = alt.Chart(alt.InlineData(values=rows)).mark_line(
        color=ink.validation,
        strokeWidth=1.8,
        clip=True,
        aria=False,
        # What changes between epochs alone has no slope in between.
        interpolate="step-after" if name == "batch_size" else "linear",
    )
    numbers = ",d" if name == "batch_size" else "~g"
    plot: alt.Chart = line.encode(x=x, y=figures.vertical("value", title=title, span=span, log=log, numbers=numbers))
    plot.width, plot.height = figures.WIDTH, RATE_HEIGHT if name == "lr" else HEIGHT
    return plot
