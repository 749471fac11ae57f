"""What a range test found, as plain data and as lines: suggestions with their spread, curves, and how each seed ended.

Every number that is printed or drawn is one of `build`'s. Losses are those of training batches, L2 penalty included;
suggestions are hints, and say so.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fewepochs import recipe as recipes
from fewepochs.probes import smoothing, suggestions
from fewepochs.probes.sweeps import Curve, Measurement, Stop, Sweep
from fewepochs.report import labels, table_text
from fewepochs.specs import updates

CURVE_ROWS = 13
"""Rows of the curve's table; with six decades, two a decade."""

HINT = (
    "A hint, not a result: it comes from fresh weights and few steps, without the recipe's schedule. "
    "Try a rate and its neighbours on a held-out part of the training set."
)


def build(measured: Measurement) -> dict[str, Any]:
    """Return settings, curves, band and suggestions of `measured` as JSON-able data."""
    recipe, sweep = measured.recipe, measured.sweep
    smooth = [smoothing.smooth(curve, sweep=sweep) for curve in measured.curves]
    return {
        "recipe": recipe.name,
        "digest_without_seeds": recipes.digest(labels.unseeded(recipe)),
        "optimizer": recipe.optimizer.kind,
        "recipe_lr": recipe.optimizer.lr,
        "batch_size": recipe.batch_size,
        "precision": recipe.precision,
        "data": recipe.data.kind,
        "complete": measured.complete,
        "not_begun": [seed for seed in measured.seeds if seed not in {curve.seed for curve in measured.curves}],
        "seconds": measured.seconds,
        "sweep": asdict(sweep),
        "seeds": [_seed(*both, measured=measured) for both in zip(measured.curves, smooth, strict=True)],
        "band": _band(measured.curves, smooth),
        "suggestions": [_suggestion(one, measured=measured) for one in suggestions.over_seeds(smooth)],
        "hint": HINT,
        "environment": dict(measured.environment),
    }


def _seed(curve: Curve, smooth: smoothing.Smooth, *, measured: Measurement) -> dict[str, Any]:
    recipe = measured.recipe.model_copy(update={"seed": curve.seed})
    lowest = int(smooth.loss.argmin()) if len(smooth.loss) else None
    return {
        "seed": curve.seed,
        "digest": recipes.digest(recipe),
        "ended": {**asdict(curve.stop), "text": ended(curve.stop, sweep=measured.sweep)},
        "lr": curve.rates.tolist(),
        "loss": curve.losses.tolist(),
        "smoothed": smooth.loss.tolist(),
        "standard_error": smooth.error.tolist(),
        "noise": smooth.noise,
        "lowest": None if lowest is None else _point(smooth, at=lowest),
    }


def _point(curve: smoothing.Smooth, *, at: int) -> dict[str, float]:
    return {"lr": float(curve.rates[at]), "smoothed": float(curve.loss[at])}


def _band(curves: Sequence[Curve], smooth: Sequence[smoothing.Smooth]) -> dict[str, Any] | None:
    """Return the band over the seeds that were not interrupted, or over the one that was if it is alone."""
    whole = [one for curve, one in zip(curves, smooth, strict=True) if curve.stop.kind != "interrupted"]
    chosen = whole or [one for one in smooth if len(one.loss)]
    if not chosen:
        return None
    found = smoothing.band(chosen)
    return {
        "of": "range over seeds" if len(chosen) > 1 else "two standard errors",
        "n": len(chosen),
        "lr": found.rates.tolist(),
        "median": found.median.tolist(),
        "lowest": found.lowest.tolist(),
        "highest": [value if math.isfinite(value) else None for value in found.highest.tolist()],
    }


def _suggestion(found: suggestions.Suggestion, *, measured: Measurement) -> dict[str, Any]:
    count = sum(answer.lr is not None for answer in found.answers)
    spread = found.highest / found.lowest if found.lowest and found.highest and count > 1 else None
    return {
        "rule": found.rule,
        "meaning": suggestions.MEANINGS[found.rule],
        "lr": found.lr,
        "lowest": found.lowest,
        "highest": found.highest,
        "spread": spread,
        "n": count,
        "of": len(found.answers),
        "reason": found.reason,
        "setting": None if found.lr is None else _setting(measured.recipe, found.lr),
        "answers": [
            {"seed": curve.seed, **asdict(answer)} for curve, answer in zip(measured.curves, found.answers, strict=True)
        ],
    }


def _setting(recipe: recipes.Recipe, lr: float) -> str:
    """Return the override that gives `recipe` the rate that a sweep calls `lr`."""
    setting, optimizer = f"--set optimizer.lr={lr:.2g}", recipe.optimizer
    if isinstance(optimizer, updates.Muon):  # in the sweep, as in training, both rates keep their ratio
        return f"{setting} --set optimizer.auxiliary.lr={lr * optimizer.auxiliary.lr / optimizer.lr:.2g}"
    return setting


# --- words --------------------------------------------------------------------------------------------------------


def lines(found: Mapping[str, Any]) -> list[str]:
    """Return what `build` found as lines for a terminal of 80 columns; the suggestions come last."""
    kinds = f"{found['optimizer']}, batch {found['batch_size']}, {found['precision']}, data {found['data']}"
    told = [f"{found['recipe']}: loss against learning rate", f"  {kinds}", f"  {sweep_line(found['sweep'])}", ""]
    told += table_text.aligned(_seed_rows(found["seeds"]))
    told += [f"not begun: seed {seed}" for seed in found["not_begun"]]
    if found["band"] is not None and found["band"]["lr"]:
        told += ["", *table_text.aligned(_curve_rows(found["band"]))]
    told += ["", *table_text.aligned(_suggestion_rows(found["suggestions"]))]
    told += [f"{one['rule']}: {one['reason']}" for one in found["suggestions"] if one["reason"]]
    told += ["", *textwrap.wrap(found["hint"], 79)]
    told += [f"  {one['setting']}  ({one['rule']})" for one in found["suggestions"] if one["setting"]][:1]
    if not found["complete"]:
        told += ["", "incomplete: interrupted before every seed was swept to its end"]
    return told


def sweep_line(sweep: Mapping[str, Any]) -> str:
    """Return a sweep's settings in words.

    >>> sweep_line({"kind": "linear", "from_lr": 0.001, "up_to_lr": 1.0, "steps": 50})
    'linear sweep from 0.001 to 1 in 50 steps'
    """
    return f"{sweep['kind']} sweep from {sweep['from_lr']:g} to {sweep['up_to_lr']:g} in {sweep['steps']} steps"


def ended(stop: Stop, *, sweep: Sweep) -> str:
    """Return how a seed's sweep ended, and at which rate, in words."""
    at = f"at lr {stop.lr:.3g}"
    match stop.kind:
        case "end":
            return "swept whole"
        case "loss":
            return f"loss above {sweep.factor:g} times its lowest {at}"
        case "not finite":
            return f"loss or gradient not finite {at}"
        case "interrupted":
            return f"interrupted {at}"


def _seed_rows(seeds: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("seed", "steps", "lowest loss", "at lr", "noise", "ended")]
    for seed in seeds:
        lowest = seed["lowest"]
        measured = (
            ("-",) * 3 if lowest is None else (_loss(lowest["smoothed"]), _lr(lowest["lr"]), _loss(seed["noise"]))
        )
        rows.append((str(seed["seed"]), str(seed["ended"]["steps"]), *measured, seed["ended"]["text"]))
    return rows


def _curve_rows(band: Mapping[str, Any]) -> list[tuple[str, ...]]:
    many = band["n"] > 1
    heads = ("lr", "median loss", "lowest", "highest") if many else ("lr", "loss", "-2 errors", "+2 errors")
    rows: list[tuple[str, ...]] = [heads]
    last = len(band["lr"]) - 1
    for step in dict.fromkeys(round(last * row / (CURVE_ROWS - 1)) for row in range(CURVE_ROWS)):
        values = (_loss(band[name][step]) for name in ("median", "lowest", "highest"))
        rows.append((_lr(band["lr"][step]), *values))
    return rows


def _suggestion_rows(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("suggestion", "lr", "lowest", "highest", "spread", "seeds", "where")]
    for one in found:
        numbers = (_lr(one["lr"]), _lr(one["lowest"]), _lr(one["highest"]))
        spread = "-" if one["spread"] is None else f"x{one['spread']:.2g}"
        rows.append((one["rule"], *numbers, spread, f"{one['n']}/{one['of']}", one["meaning"]))
    return rows


def _lr(lr: float | None) -> str:
    return "-" if lr is None else f"{lr:.3g}"


def _loss(loss: float | None) -> str:
    """Return a loss with four decimals, or where that says too little or too much, with four digits."""
    if loss is None:
        return "-"
    return f"{loss:.4f}" if loss == 0 or 0.01 <= abs(loss) < 1000 else f"{loss:.4g}"
