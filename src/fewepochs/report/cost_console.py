"""What runs have cost, in a terminal: seconds by phase, load, watts, memory; and seconds and joules to each target.

    run                      set-up  compiling  training  evaluation  images/s  load  watts  peak memory  joules
    digits-step-s0-b6b709f8  0.8 s   0.1 s      7.1 s     0.6 s       530       96%   -      320 MB       -

What was not measured is a dash, with its reason in a note.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from fewepochs.report import console, table_text

HEADS = ("run", "set-up", "compiling", "training", "evaluation", "images/s", "load", "watts", "peak memory", "joules")
NONE = "-"


def lines(answers: Mapping[str, Any]) -> list[str]:
    """Return the costs in what `summary.build` found, as lines; none where no run has any."""
    runs = [run for run in answers["runs"] if run["costs"]["epochs"]]
    if not runs:
        return []
    told = table_text.aligned([HEADS, *(_row(run) for run in runs)])
    reached = [row for run in runs for row in _crossings(run)]
    if reached:
        told += ["", *table_text.aligned([("run", "target", "epoch", "training", "joules"), *reached])]
    return [*told, "", *_notes(runs)]


def _row(run: Mapping[str, Any]) -> tuple[str, ...]:
    cost = run["costs"]
    again = f" ({cost['starts']} starts)" if cost["starts"] > 1 else ""
    return (
        run["run"],
        console.duration(cost["setup_seconds"]) + again,
        *(_shown(cost[f"{name}_seconds"], console.duration) for name in ("compile", "train", "evaluation")),
        _shown(cost["images_per_second"], "{:,.0f}".format),
        _shown(cost["load"], "{:.0%}".format),
        _shown(cost["watts"], "{:.1f}".format),
        _shown(cost["peak_memory_bytes"], lambda count: f"{count / 1e6:,.0f} MB"),
        _shown(cost["joules"], "{:,.0f}".format),
    )


def _shown(value: Any, form: Any) -> str:
    return NONE if value is None else str(form(value))


def _crossings(run: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            run["run"],
            f"{found['target']:g}",
            str(first["epoch"]),
            _shown(first["train_seconds"], console.duration),
            _shown(first["joules"], "{:,.0f}".format),
        )
        for found in run["crossings"]
        if (first := found["first"])["reached"]
    ]


def _notes(runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return why something is absent, and of how many of the runs; then what load is."""
    found = list(runs)
    reasons = Counter(
        (what, run["costs"][f"{name}_reason"])
        for run in found
        for what, name in (("joules and watts", "joules"), ("load", "load"))
        if run["costs"][f"{name}_reason"] is not None
    )
    absent = [f"note: {what} not measured in {n} of {len(found)}: {why}" for (what, why), n in sorted(reasons.items())]
    told = ((name, run["costs"][f"{name}_source"]) for run in found for name in ("joules", "load"))
    return [*absent, *(f"note: {name}: {source}" for name, source in sorted({pair for pair in told if pair[1]}))]
