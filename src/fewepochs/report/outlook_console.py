"""What a recipe will do, in a terminal: the facts, small curves of what moves, a table of epochs.

The table shows the epochs at which something turns; stretches in which nothing moves are one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fewepochs import recipe as recipes
from fewepochs import schedules
from fewepochs.report import blocks, outlook
from fewepochs.specs import rates, updates

ROWS = 24
"""So many rows a table has at most; a longer one is thinned, and says so."""


def lines(
    recipe: recipes.Recipe, *, data: dict[str, Any], horizon: schedules.Horizon, width: int = 80, plain: bool = False
) -> list[str]:
    """Return what `outlook.build` found as text; curves have `width` columns and, if `plain`, only ASCII."""
    found = _facts(recipe, data=data)
    drawn = outlook.samples(recipe, horizon=horizon, count=8 * width)
    for name in outlook.MOVING:
        if name == "lr" or outlook.moves(data["epochs"], name):
            values = [float(getattr(sample, name)) for sample in drawn]
            found += [
                "",
                *blocks.curve(
                    [sample.done for sample in drawn],
                    values,
                    title=outlook.LABELS[name],
                    epochs=recipe.budget.epochs,
                    width=width,
                    height=8 if name == "lr" else 4,
                    log=outlook.is_log(values),
                    plain=plain,
                ),
            ]
    return [*found, "", *_table(data["epochs"])]


def _facts(recipe: recipes.Recipe, *, data: dict[str, Any]) -> list[str]:
    steps = sorted({row["steps"] for row in data["epochs"]}, reverse=True)
    each = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
    images = data["training_images"]
    epochs = "1 epoch" if recipe.budget.epochs == 1 else f"{recipe.budget.epochs:,} epochs"
    found = [
        f"{recipe.name}: {epochs}, {data['steps']:,} steps, {each} an epoch"
        + (f" of {images:,} images" if images else "")
    ]
    peak = data["peak"]
    highest = f"; highest in step {peak['step']:,} (epoch {peak['epoch']:,}): {peak['lr']:.4g}"
    highest = highest if outlook.moves(data["epochs"], "lr") else ""
    facts = {
        "learning rate": f"{_course(recipe.optimizer.lr, recipe.schedule)} ({recipe.optimizer.kind}){highest}",
        "momentum": _momentum(recipe),
        "batch size": _course(recipe.batch_size, recipe.batch_schedule),
    }
    if isinstance(recipe.optimizer, updates.Muon):
        auxiliary = recipe.optimizer.auxiliary
        facts["auxiliary"] = f"{auxiliary.kind} with lr {auxiliary.lr:g}, on the same schedule"
    if not isinstance(recipe.weight_decay, updates.NoWeightDecay):
        decay = recipe.weight_decay
        facts["weight decay"] = f"{_course(decay.strength, decay.schedule)} ({decay.kind}, on {decay.on})"
    if isinstance(recipe.regularisation, updates.L2):
        facts["L2"] = f"{recipe.regularisation.strength:g} (on {recipe.regularisation.on})"
    if recipe.plateau is not None:
        effect = "in the log alone" if recipe.plateau.reading == "overwritten" else "as val_loss asks, not shown here"
        facts["plateau"] = f"lowers the learning rate {effect}"
    return [*found, *(f"  {name:<15}{fact}" for name, fact in facts.items())]


def _course(value: float, schedule: rates.Schedule) -> str:
    """Return a value and the schedule that it follows: "0.04 x warm-up, then cosine"."""
    if isinstance(schedule, rates.Constant):
        return f"{value:g}"
    then = f", then {schedule.then.kind}" if isinstance(schedule, rates.WarmUp) else ""
    return f"{value:g} x {schedule.kind}{then}"


def _momentum(recipe: recipes.Recipe) -> str:
    own = updates.momentum_of(recipe.optimizer)
    if own is None:
        return f"none that a schedule could move ({recipe.optimizer.kind})"
    course = recipe.schedule.then if isinstance(recipe.schedule, rates.WarmUp) else recipe.schedule
    if isinstance(course, rates.OneCycle) and course.momentum is not None:
        return f"{course.momentum[0]:g} to {course.momentum[1]:g}, against the learning rate"
    return _course(own, recipe.momentum_schedule)


# --- the table ----------------------------------------------------------------------------------------------------


def _table(epochs: Sequence[dict[str, Any]]) -> list[str]:
    names = [name for name in outlook.MOVING if any(row[outlook.keys(name)[0]] is not None for row in epochs)]
    spans = _spans(epochs)
    kept = _kept(epochs, spans)
    table = [["epoch", *(outlook.LABELS[name] for name in names)]]
    for first, last in kept:
        label = f"{first + 1}" if first == last else f"{first + 1}-{last + 1}"
        table.append([label, *(_cell(epochs[first], epochs[last], name) for name in names)])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    found = [
        "  ".join(
            cell.rjust(width) if column == 0 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    if len(kept) < len(spans):
        found.append(
            f"{len(kept)} of {len(spans)} rows: where something turns, and some between; --json has every epoch"
        )
    return found


def _cell(first: dict[str, Any], last: dict[str, Any], name: str) -> str:
    keys = outlook.keys(name)
    begin, end = (f"{row[key]:.4g}" for row, key in ((first, keys[0]), (last, keys[-1])))
    return begin if begin == end else f"{begin} -> {end}"


def _spans(epochs: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
    """Return runs of epochs (from 0) in which nothing moves, and every other epoch alone."""
    spans: list[tuple[int, int]] = []
    for k, row in enumerate(epochs):
        still = all(row[f"{name}_first"] == row[f"{name}_last"] for name in ("lr", "momentum", "weight_decay"))
        same = k > 0 and all(row[key] == epochs[k - 1][key] for name in outlook.MOVING for key in outlook.keys(name))
        if spans and still and same:
            spans[-1] = (spans[-1][0], k)
        else:
            spans.append((k, k))
    return spans


def _kept(epochs: Sequence[dict[str, Any]], spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return at most `ROWS` of the rows: the first, the last, those at which something turns, and some between."""
    if len(spans) <= ROWS:
        return list(spans)
    ends = {0, len(spans) - 1}
    turning = [k for k in range(1, len(spans) - 1) if _turns(epochs, spans[k - 1 : k + 2])]
    turning = turning[:: 1 + len(turning) // (ROWS - len(ends))]
    left = ROWS - len(ends) - len(turning)
    between = {round(k * (len(spans) - 1) / (left + 1)) for k in range(1, left + 1)}
    return [spans[k] for k in sorted(ends | set(turning) | between)]


def _turns(epochs: Sequence[dict[str, Any]], around: Sequence[tuple[int, int]]) -> bool:
    """Say whether a control goes another way after the middle span than before it: up, down, or level."""
    (_, before), (first, last), (after, _) = around
    for name in outlook.MOVING:
        keys = outlook.keys(name)
        values = [epochs[before][keys[-1]], epochs[first][keys[0]], epochs[last][keys[-1]], epochs[after][keys[0]]]
        if None in values:
            continue
        into, out = values[1] - values[0] or values[2] - values[1], values[3] - values[2] or values[2] - values[1]
        if (into > 0) != (out > 0) or (into < 0) != (out < 0):
            return True
    return False
