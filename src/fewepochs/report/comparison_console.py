"""A comparison in a terminal: a table for each target, accuracies, the pairs in words, then what to keep in mind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewepochs.report import comparison, console, labels, table_text
from fewepochs.stats import estimates

MOST_SENTENCES = 28
"""So many pairs are told in a terminal, all pairs of eight recipes at one target; --json has the rest."""


def lines(found: Mapping[str, Any]) -> list[str]:
    """Return what `comparison.build` found as lines."""
    told: list[str] = []
    for target in found["targets"]:
        told.extend([heading(found, target), *table_text.aligned(_rows(found, target)), ""])
    told.extend(["best accuracy, mean over runs", *table_text.aligned(_accuracies(found)), ""])
    told.extend(_profile(found))
    told.extend(found["sentences"][:MOST_SENTENCES])
    if len(found["sentences"]) > MOST_SENTENCES:
        told.append(f"... and {len(found['sentences']) - MOST_SENTENCES} more pairs: --json has them.")
    if not found["targets"]:
        told.append("No target was asked; --target 0.92 asks one.")
    notes = [*found["caveats"], *found.get("absent", ())]
    told.extend(["", *(f"note: {note}" for note in notes)] if notes else [])
    # Parts end with an empty line, whether or not another one follows.
    return [line for line, before in zip(told, ["", *told[:-1]], strict=True) if line or before]


def page(found: Mapping[str, Any]) -> table_text.Page:
    """Return the same tables for Markdown and CSV; CSV has the targets' rows alone, intervals included."""
    tables = []
    for target in found["targets"]:
        head, *rows = _rows(found, target)
        data = [labels.flat(_number_row(row)) for row in found["rows"] if row["target"] == target]
        tables.append(table_text.Table(heading(found, target), head, tuple(rows), tuple(data)))
    head, *rows = _accuracies(found)
    tables.append(table_text.Table("best accuracy, mean over runs", head, tuple(rows), ()))
    return table_text.Page(
        "comparison", tuple(tables), (*found["sentences"], *found["caveats"], *found.get("absent", ()))
    )


def _number_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "curve"} | {"lost": len(row["lost"])}


def heading(found: Mapping[str, Any], target: float) -> str:
    """Return what a target's table shows: unit, rule, horizon, confidence."""
    unit = comparison.UNITS[found["by"]]
    rule = "first reached" if found["rule"] == "first" else f"held for {found['hold']} evaluations"
    return f"{unit} until {target:g} is {rule}; intervals at {100 * found['confidence']:.4g}%"


def _rows(found: Mapping[str, Any], target: float) -> list[tuple[str, ...]]:
    rows = [row for row in found["rows"] if row["target"] == target]
    horizon = rows[0]["horizon"] if rows else None
    mean = "restricted mean" if horizon is None else f"mean up to {horizon:.4g}"
    head = ["recipe", "budget", "n", "reached", "median", mean, "training", "joules", "pinned"]
    if found["width"] is not None:
        head.append(f"n for width {found['width']:g}")
    budgets = {entry["arm"]: entry["budgets"] for entry in found["accuracies"]}
    table = [tuple(head)]
    for row in rows:
        cells = [
            row["arm"],
            ", ".join(map(str, budgets[row["arm"]])),
            str(row["n"]),
            f"{row['reached']} of {row['n']}",
            estimate(row["median"], by=found["by"]),
            estimate(row["restricted_mean"], by=found["by"]),
            point(row["seconds"], by="seconds"),
            point(row["joules"], by="joules"),
            "unknown" if row["pinned"] is None else str(row["pinned"]),
        ]
        if found["width"] is not None:
            cells.append("-" if row["seeds_needed"] is None else str(row["seeds_needed"]))
        table.append(tuple(cells))
    return table


def _accuracies(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    tested = any(entry["test_acc"]["value"] is not None for entry in found["accuracies"])
    head = ("recipe", "n", "best val_acc", *(("test_acc then", "selection gap") if tested else ()))
    columns = ("best_val_acc", *(("test_acc", "selection_gap") if tested else ()))
    return [
        head,
        *(
            (entry["arm"], str(entry["n"]), *(_mean(entry[column], n=entry["n"]) for column in columns))
            for entry in found["accuracies"]
        ),
    ]


def _mean(dumped: Mapping[str, Any], *, n: int) -> str:
    """Return a mean accuracy, with how many of the `n` runs it is of where it is not of all."""
    told = estimate(dumped, by="accuracy")
    return told if dumped["n"] in (0, n) else f"{told}, n = {dumped['n']}"


def _profile(found: Mapping[str, Any]) -> list[str]:
    """Return performance profiles as lines, where there are several targets to count."""
    if len(found["targets"]) < 2:
        return []
    told = []
    for profile in found["profile"]:
        n = profile["n"]
        heights = zip(profile["factors"], profile["shares"], strict=True)
        steps = ", ".join(f"{round(share * n)} within {factor:.2f}" for factor, share in heights)
        told.append(f"  {profile['arm']}: of {n} targets {steps or 'none reached'}")
    return ["how far from the fastest, by medians", *told, ""] if told else []


def estimate(dumped: Mapping[str, Any], *, by: str) -> str:
    """Return a value with its interval, or what is known instead."""
    return comparison.with_interval(estimates.Estimate.model_validate(dumped), lambda value: number(value, by=by))


def point(dumped: Mapping[str, Any], *, by: str) -> str:
    """Return a value, or its bound, without an interval."""
    if dumped["value"] is None:
        return "unknown" if dumped["above"] is None else f"more than {number(dumped['above'], by=by)}"
    return number(dumped["value"], by=by)


def number(value: float, *, by: str) -> str:
    """Return a value as its kind is written: epochs 12 or 12.4, seconds 93 s, joules 1,200 J, accuracy 0.9712.

    >>> number(12.0, by="epochs"), number(12.44, by="epochs"), number(0.97123, by="accuracy")
    ('12', '12.4', '0.9712')
    """
    match by:
        case "seconds":
            return console.duration(value)
        case "joules":
            return f"{value:,.0f} J"
        case "accuracy":
            return f"{value:.4f}"
        case _:
            return f"{value:.1f}".removesuffix(".0")
