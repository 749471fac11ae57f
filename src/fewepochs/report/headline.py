"""The answer in one sentence, with its interval and its n: what a reader takes away who reads nothing else.

It is about the highest target that a recipe reaches in half of its runs. With several recipes it names the one with the
lowest median, and says whether the difference from the next could be chance, by the test of `stats.compare`, corrected
for how many were made. What was not reached, or not tested, is said as that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fewepochs.report import comparison, comparison_console
from fewepochs.stats import arms


def build(found: Mapping[str, Any]) -> str:
    """Return the answer of what `comparison.build` found."""
    if not found["accuracies"]:
        return "No runs."
    if not found["targets"]:
        return f"No target was asked. {_best(found)}"
    for target in sorted(found["targets"], reverse=True):
        rows = sorted((row for row in found["rows"] if row["target"] == target), key=_place)
        if rows[0]["median"]["value"] is not None:
            return _reached(rows[0], rows[1:], found, target=target)
    return _none_reached(found)


def _place(row: Mapping[str, Any]) -> tuple[float, float, float, str]:
    """Return what arms are put in order by: medians; where there are none, means, then the share that arrived."""
    known = [row[name]["value"] for name in ("median", "restricted_mean")]
    median, mean = (math.inf if value is None else value for value in known)
    return median, mean, -row["reached"] / max(1, row["n"]), row["arm"]


def _reached(
    best: Mapping[str, Any], others: Sequence[Mapping[str, Any]], found: Mapping[str, Any], *, target: float
) -> str:
    """Return that `best` gets to `target` first, or why that is not known; `others` are in order."""
    number = comparison_console.point if best["n"] == 1 else comparison_console.estimate
    needs = f"{number(best['median'], by=found['by'])} {comparison.UNITS[found['by']]}"
    told = [
        f"after {needs}, one run"
        if best["n"] == 1
        else f"after a median of {needs}, {best['reached']} of {best['n']} runs"
    ]
    if best["pinned"]:
        told.append(
            f"{best['pinned']} of these crossings {'is' if best['pinned'] == 1 else 'are'} pinned to a drop of the rate"
        )
    first = ""
    unknown = [row for row in others if not _is_behind(row, best)]
    behind = [row for row in others if row not in unknown]
    if behind:
        ahead, lead = _lead(best, behind[0], found, target=target)
        told.append(lead)
        first = " first" if ahead and not unknown else ""
    if unknown:
        told.append(_not_followed(unknown, by=found["by"]))
    verb = "holds" if found["rule"] == "held" else "reaches"
    return f"{best['arm']} {verb} {target:g}{first} {'; '.join(told)}."


def _is_behind(row: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    """Return whether the row's median is known to be no smaller than the best one."""
    return row["median"]["value"] is not None or (row["median"]["above"] or 0) >= best["median"]["value"]


def _not_followed(rows: Sequence[Mapping[str, Any]], *, by: arms.By) -> str:
    """Return that `rows` were not followed far enough to be placed."""
    if len(rows) > 1:
        return f"{len(rows)} recipes were not followed that far"
    (row,) = rows
    if row["median"]["above"] is None:
        return f"nothing is known of {row['arm']}"
    longest = comparison_console.point({**row["median"], "value": row["median"]["above"]}, by=by)
    return f"{row['arm']} was followed to {longest} {comparison.UNITS[by]} only"


def _lead(
    best: Mapping[str, Any], second: Mapping[str, Any], found: Mapping[str, Any], *, target: float
) -> tuple[bool, str]:
    """Return whether `best` may be called first, and whether it is shown to need less than `second`, the next."""
    arms_asked = {best["arm"], second["arm"]}
    pairs = [pair for pair in found["pairs"] if pair["target"] == target]
    pair = next((pair for pair in pairs if {pair["first"], pair["second"]} == arms_asked), None)
    if second["median"]["value"] == best["median"]["value"]:
        return False, f"{second['arm']} has the same median: undecided"
    if pair is None or pair["p_corrected"] is None:
        return True, f"its lead over {second['arm']} was not tested"
    p = comparison.p_value(pair["p_corrected"])
    if pair["p_corrected"] >= comparison.SIGNIFICANT:
        return True, f"its lead over {second['arm']} could be chance (p = {p})"
    if (pair["logrank"]["excess"] > 0) == (pair["first"] == best["arm"]):
        return True, f"{second['arm']}, the next, needs more (p = {p})"
    return False, f"by all of their runs {second['arm']} needs less (p = {p}): median and test disagree"


def _none_reached(found: Mapping[str, Any]) -> str:
    if all(entry["best_val_acc"]["value"] is None for entry in found["accuracies"]):
        return "No epoch is done yet."
    lowest = min(found["targets"])
    runs = sum(row["n"] for row in found["rows"] if row["target"] == lowest)
    reached = sum(row["reached"] for row in found["rows"] if row["target"] == lowest)
    some = f"only {reached} of {runs} runs" if reached else f"none of {runs} {'run' if runs == 1 else 'runs'}"
    return f"No recipe reaches {lowest:g} in half of its runs: {some} did. {_best(found)}"


def _best(found: Mapping[str, Any]) -> str:
    known = [entry for entry in found["accuracies"] if entry["best_val_acc"]["value"] is not None]
    if not known:
        return "No epoch is done yet."
    best = max(known, key=lambda entry: entry["best_val_acc"]["value"])
    n = best["best_val_acc"]["n"]
    if n == 1:
        return f"The best accuracy is that of {best['arm']}, {best['best_val_acc']['value']:.4f} (one run)."
    told = comparison_console.estimate(best["best_val_acc"], by="accuracy")
    return f"The best accuracy is that of {best['arm']}, {told} (mean of {n} runs)."
