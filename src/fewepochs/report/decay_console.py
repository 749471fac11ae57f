"""Weight decay translated, as data and in a terminal: each decay in every form, and what it takes off a weight."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import Any

from fewepochs import decay
from fewepochs import recipe as recipes
from fewepochs.report import outlook

WIDTH = 100
HOLDS: dict[decay.Holds | None, str] = {
    "exact": "exactly",
    "step by step": "exactly, in each step",
    "unclipped": "where gradients are not clipped",
    "long run": "in the long run, at constant rate",
}


def build(recipe: recipes.Recipe, *, steps_per_epoch: int | None = None) -> dict[str, Any]:
    """Return every decay of `recipe` in the other forms as JSON-able data; raises RecipeError as `outlook.horizon`."""
    horizon = outlook.horizon(recipe, steps_per_epoch=steps_per_epoch)
    return {
        "recipe": recipe.name,
        "digest": recipes.digest(recipe),
        "optimizer": recipe.optimizer.kind,
        "epochs": recipe.budget.epochs,
        "steps": horizon.steps,
        "peak": outlook.peak(recipe, horizon=horizon),
        "plateau": None if recipe.plateau is None else recipe.plateau.reading,
        "decays": [asdict(one) for one in decay.translations(recipe, horizon=horizon)],
    }


def lines(data: dict[str, Any]) -> list[str]:
    """Return what `build` found as text."""
    peak = data["peak"]
    found = [
        f"{data['recipe']}: {data['optimizer']}, {_count(data['epochs'], 'epoch')}, {_count(data['steps'], 'step')}; "
        f"highest rate {peak['lr']:.4g} in step {peak['step']:,}"
    ]
    if data["plateau"] == "effective":
        found.append("What the plateau will take away from the rate is left aside.")
    if not data["decays"]:
        return [*found, "", "No regularisation and no weight decay: weights shrink only as the gradient says."]
    for one in data["decays"]:
        found += ["", f"{one['source']}: {one['form']} {one['strength']:g} on {one['parameters']} ({one['rule']})", ""]
        found += [*_table(one), "", *_shrinkage(one["shrinkage"], epochs=data["epochs"])]
    return found


def _table(one: dict[str, Any]) -> list[str]:
    rows = [("form", "at the highest rate", "over the budget", "equal")]
    for equivalent in one["equivalents"]:
        rows.append((equivalent["form"], *_strength(equivalent), _holds(equivalent, own=one["form"])))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    found = [
        ("  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])).rstrip()
        for row in rows
    ]
    # Said once: l2 and coupled, decoupled and independent share it.
    reasons = dict.fromkeys(e["reason"] for e in one["equivalents"] if e["holds"] is None)
    return found + _wrapped("; ".join(f"none: {reason}" for reason in reasons))


def _strength(equivalent: dict[str, Any]) -> tuple[str, str]:
    low, high = equivalent["lowest"], equivalent["highest"]
    here = "-" if equivalent["strength"] is None else f"{equivalent['strength']:.4g}"
    if low is None:
        return here, "-"
    if high is None:
        return here, f"{low:.4g} and up"
    return here, f"{low:.4g}" if f"{low:.4g}" == f"{high:.4g}" else f"{low:.4g} to {high:.4g}"


def _holds(equivalent: dict[str, Any], *, own: str) -> str:
    if equivalent["form"] == own:
        return "what the recipe says"
    if equivalent["holds"] is None:
        return "none"
    reason = f" ({equivalent['reason']})" if equivalent["reason"] else ""
    return HOLDS[equivalent["holds"]] + reason


def _shrinkage(found: dict[str, Any], *, epochs: int) -> list[str]:
    if found["step"] is None:
        return _wrapped(f"What it takes off a weight cannot be said: {found['reason']}.")
    left = "nothing finite" if found["left"] is None else f"{found['left']:.3g}"
    told = [
        f"  A weight without a gradient of the loss loses {found['step']:.3g} of itself in a step and "
        f"{found['epoch']:.3g} in an epoch",
        f"  at the highest rate; {left} is left of it after {_count(epochs, 'epoch')}.",
    ]
    if found["averaging_epochs"] is None:
        return [*told, f"  It averages nothing: {found['reason']}."]
    return [
        *told,
        f"  A weight averages its updates over {found['averaging_epochs']:.3g} epochs at the highest rate, "
        f"{found['averaging_mean']:.3g} over the budget.",
    ]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, width=WIDTH, initial_indent="  ", subsequent_indent="  ")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
