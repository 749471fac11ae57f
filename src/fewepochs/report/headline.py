"""The answer in one sentence, with its interval and its n: what a reader takes away who reads nothing else.

It is about the highest target that a recipe reaches in half of its runs. With several recipes it names the one with the
lowest median, and says whether the difference from the next could be chance, by the test of `stats.compare`, corrected
for how many were made. What was not reached, or not tested, is said as that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fewepochs.report import comparison, comparison_console


def build(found: Mapping[str, Any]) -> str:
    """Return the answer of what `comparison.build` found."""
    if not found["accuracies"]:
        return "No runs."
    if not found["targets"]:
        return f"No target was asked. {_best(found)}"
    for target in sorted(found["targets"], reverse=True):
        rows = sorted(_with_median(found, target), key=lambda row: (row["median"]["value"], row["arm"]))
        if rows:
            return _reached(rows, found, target=target)
    return _none_reached(found)


def _with_median(found: Mapping[str, Any], target: float) -> list[Mapping[str, Any]]:
    return [row for row in found["rows"] if row["target"] == target and row["median"]["value"] is not None]


def _reached(rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any], *, target: float) -> str:
    """Return which recipe gets to `target` first; `rows` are those with a median, the lowest first."""
    best, others = rows[0], [row for row in found["rows"] if row["target"] == target and row is not rows[0]]
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
    if others:
        second = rows[1] if len(rows) > 1 else others[0]
        first = " first" if second["median"]["value"] != best["median"]["value"] else ""
        told.append(_lead(best, second, found, target=target))
    verb = "holds" if found["rule"] == "held" else "reaches"
    return f"{best['arm']} {verb} {target:g}{first} {'; '.join(told)}."


def _lead(best: Mapping[str, Any], second: Mapping[str, Any], found: Mapping[str, Any], *, target: float) -> str:
    """Return whether `best` is shown to need less than `second`, the next."""
    arms = {best["arm"], second["arm"]}
    pairs = [pair for pair in found["pairs"] if pair["target"] == target]
    p = next((pair["p_corrected"] for pair in pairs if {pair["first"], pair["second"]} == arms), None)
    if second["median"]["value"] == best["median"]["value"]:
        return f"{second['arm']} has the same median: undecided"
    if p is None:
        return f"its lead over {second['arm']} was not tested"
    if p < comparison.SIGNIFICANT:
        return f"{second['arm']}, the next, needs more (p = {comparison.p_value(p)})"
    return f"its lead over {second['arm']} could be chance (p = {comparison.p_value(p)})"


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
    if best["n"] == 1:
        return f"The best accuracy is that of {best['arm']}, {best['best_val_acc']['value']:.4f} (one run)."
    told = comparison_console.estimate(best["best_val_acc"], by="accuracy")
    return f"The best accuracy is that of {best['arm']}, {told} (mean of {best['n']} runs)."
