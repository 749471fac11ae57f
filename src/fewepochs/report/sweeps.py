"""What a range test found, as plain data and as lines: suggestions with their spread, curves, and how each seed ended.

Every number that is printed or drawn is one of `build`'s. Losses are those of training batches, L2 penalty included;
suggestions are hints, and say so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fewepochs import recipe as recipes
from fewepochs.probes import smoothing, suggestions
from fewepochs.probes.sweeps import Curve, Measurement, Stop, Sweep, Values
from fewepochs.report import labels

CURVE_ROWS = 13
"""Rows of the curve's table; with six decades, two a decade."""

HINT = (
    "A hint, not a result: it comes from fresh weights and few steps, without the recipe's schedule. "
    "Try a rate and its neighbours on a held-out part of the training set."
)


def build(measured: Measurement) -> dict[str, Any]:
    """Return settings, curves, band and suggestions of `measured` as JSON-able data."""
    recipe, sweep = measured.recipe, measured.sweep
    kept = [curve for curve in measured.curves if len(curve.losses)]
    smooth = [smoothing.smooth(curve, sweep=sweep) for curve in kept]
    curves = {curve.seed: one for curve, one in zip(kept, smooth, strict=True)}
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
        "seeds": [_seed(curve, curves.get(curve.seed), measured=measured) for curve in measured.curves],
        "band": _band(smooth),
        "suggestions": [_suggestion(one, seeds=list(curves)) for one in suggestions.over_seeds(smooth)],
        "hint": HINT,
        "environment": dict(measured.environment),
    }


def _seed(curve: Curve, smooth: smoothing.Smooth | None, *, measured: Measurement) -> dict[str, Any]:
    recipe = measured.recipe.model_copy(update={"seed": curve.seed})
    lowest = None if smooth is None else int(smooth.loss.argmin())
    return {
        "seed": curve.seed,
        "digest": recipes.digest(recipe),
        "ended": {**asdict(curve.stop), "text": ended(curve.stop, sweep=measured.sweep)},
        "lr": curve.rates.tolist(),
        "loss": curve.losses.tolist(),
        "smoothed": None if smooth is None else smooth.loss.tolist(),
        "standard_error": None if smooth is None else smooth.error.tolist(),
        "noise": None if smooth is None else smooth.noise,
        "lowest": None if smooth is None or lowest is None else _point(smooth.rates, smooth.loss, at=lowest),
    }


def _point(rates: Values, losses: Values, *, at: int) -> dict[str, float]:
    return {"lr": float(rates[at]), "smoothed": float(losses[at])}


def _band(curves: Sequence[smoothing.Smooth]) -> dict[str, Any] | None:
    if not curves:
        return None
    rates, median, lowest, highest = (values.tolist() for values in smoothing.band(curves))
    of = "range over seeds" if len(curves) > 1 else "two standard errors"
    return {"of": of, "n": len(curves), "lr": rates, "median": median, "lowest": lowest, "highest": highest}


def _suggestion(found: suggestions.Suggestion, *, seeds: Sequence[int]) -> dict[str, Any]:
    return {
        "rule": found.rule,
        "meaning": suggestions.MEANINGS[found.rule],
        "lr": found.lr,
        "lowest": found.lowest,
        "highest": found.highest,
        "spread": None if found.lowest is None or found.highest is None else found.highest / found.lowest,
        "n": sum(answer.lr is not None for answer in found.answers),
        "of": len(found.answers),
        "reason": found.reason,
        "answers": [{"seed": seed, **asdict(answer)} for seed, answer in zip(seeds, found.answers, strict=True)],
    }


# --- words --------------------------------------------------------------------------------------------------------


def lines(found: Mapping[str, Any]) -> list[str]:
    """Return what `build` found as lines for a terminal of 80 columns; the suggestions come last."""
    kinds = f"{found['optimizer']}, batch {found['batch_size']}, {found['precision']}, data {found['data']}"
    told = [f"{found['recipe']}: loss against learning rate", f"  {kinds}", f"  {sweep_line(found['sweep'])}", ""]
    told += _table(_seed_rows(found["seeds"]))
    told += [f"not begun: seed {seed}" for seed in found["not_begun"]]
    if found["band"] is not None:
        told += ["", *_table(_curve_rows(found["band"]))]
    told += ["", *_table(_suggestion_rows(found["suggestions"]))]
    told += [f"{one['rule']}: {one['reason']}" for one in found["suggestions"] if one["reason"]]
    best = next((one["lr"] for one in found["suggestions"] if one["lr"] is not None), None)
    told += ["", *textwrap.wrap(found["hint"], 79)]
    if best is not None:
        told.append(f"  fewepochs train {found['recipe']} --set optimizer.lr={best:.2g}")
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
    rows: list[tuple[str, ...]] = [("seed", "steps", "lowest", "at lr", "noise", "ended")]
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


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _lr(lr: float | None) -> str:
    return "-" if lr is None else f"{lr:.3g}"


def _loss(loss: float) -> str:
    """Return a loss with four decimals, or where that says too little or too much, with four digits."""
    return f"{loss:.4f}" if loss == 0 or 0.01 <= abs(loss) < 1000 else f"{loss:.4g}"
