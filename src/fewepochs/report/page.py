"""One report as one HTML file: opens offline, in light or dark, on paper, by keyboard, with or without scripts.

The answer comes first, then what to keep in mind, then the evidence. Numbers come from `report.summary` and
`report.comparison`, pictures from the figures' modules; here they are laid out. Nothing is loaded from anywhere, and a
content security policy says so: only the page's own style and its scripts, known by their SHA-256, may act. The same
runs give the same bytes; no clock is read.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any

from markupsafe import Markup

from fewepochs import store
from fewepochs.report import (
    comparison,
    comparison_console,
    comparison_figure,
    cost_figure,
    drawing,
    findings,
    headline,
    labels,
    library,
    markup,
    noise_figure,
    probe_parts,
    sections,
    summary,
)

MANY = 60
"""A page of more runs than this has no still pictures, draws `MOST_DRAWN` of each recipe, and has the numbers by epoch
of the first `MANY`."""
MOST_DRAWN = 12
MOST_SWITCHED = 12
"""More recipes than this have no switches of their own."""


def render(
    runs: Sequence[store.StoredRun],
    *,
    targets: Sequence[float] = (),
    title: str | None = None,
    question: str = "",
    found: Mapping[str, Any] | None = None,
    probes: Sequence[findings.Finding] = (),
    live: str | None = None,
) -> str:
    """Return the report on `runs` as one HTML document.

    Without `targets`, validation accuracies from 0 to 1, the targets of the runs' recipes are asked. `found` is what a
    study compares by rules of its own, `question` what it asks; `probes` is what probes found. `live` is the version of
    a page that looks for a newer one where it came from.
    """
    data = summary.build(runs, targets=targets if found is None else tuple(found["targets"]))
    groups = labels.group(labels.label(runs))
    found = comparison.build(runs, targets=data["targets"]) if found is None else found
    counted, _ = labels.without_copies(groups)  # as the comparison has them, which says what it left out
    noise = noise_figure.build(counted)
    with futures.ThreadPoolExecutor(max_workers=1) as renderer:  # it works outside of Python, beside all the rest
        desk = drawing.Desk(None if len(runs) > MANY else renderer)
        shown = {
            "survival": desk.figure(comparison_figure.figure(found) if comparison_figure.drawable(found) else None),
            "cost": desk.figure(cost_figure.figure(data, found)),
            "noise": desk.figure(noise_figure.figure(noise)),
        }
        looked = probe_parts.build(probes, desk=desk, shown={run.digest for run in runs})
        panels = desk.panels(counted, data, most=MOST_DRAWN)
        parts = _parts(groups, data, found, noise=noise, counted=counted)
    drawn = any(run.epochs for run in runs)
    scripts = _scripts(figures=drawn or bool(probes), live=live is not None)
    style = markup.asset("page.css")
    return markup.template().render(
        title=title or _title(data),
        question=question,
        headline=headline.build(found) if runs else None,
        policy=markup.policy(scripts=scripts, style=style, live=live is not None),
        style=Markup(style),
        scripts=[Markup(text) for text in scripts],
        live=live,
        drawn=drawn,
        data=data,
        panels=[drawing.finished(panel) for panel in panels["panels"]],
        shared=panels["shared"],
        probes=list(probe_parts.finished(looked)),
        figures={name: figure and drawing.finished(figure) for name, figure in shown.items()},
        **parts,
    )


def _scripts(*, figures: bool, live: bool) -> list[str]:
    """Return what acts on the page: of figures and tables where there are any, and what looks for a newer page."""
    scripts = [library.script(), markup.asset("page.js"), markup.asset("tables.js")] if figures else []
    return [*scripts, markup.asset("live.js")] if live else scripts


def _title(data: Mapping[str, Any]) -> str:
    found = data["recipes"]
    subject = found[0]["label"] if len(found) == 1 else f"{len(found)} recipes"
    asked = ", ".join(f"{target:g}" for target in data["targets"])
    return f"{subject}: epochs to {asked}" if asked else f"{subject}: accuracy by epoch"


def _parts(
    groups: Sequence[labels.Group],
    data: Mapping[str, Any],
    found: Mapping[str, Any],
    *,
    noise: Sequence[Mapping[str, Any]],
    counted: Sequence[labels.Group],
) -> dict[str, Any]:
    """Return what stands on the page beside its figures; `counted` are the `groups` without copies."""
    runs = [run for group in groups for run in group.runs]
    logged = [run for run in runs if run.stored.epochs]
    return {
        "caveats": [*found["caveats"], *summary.endings(data["runs"])],
        "tested": any(run["best"] and run["best"]["test_acc"] is not None for run in data["runs"]),
        "sources": sorted({run["costs"]["joules_source"] for run in data["runs"]} - {None}),
        "load_sources": sorted({run["costs"]["load_source"] for run in data["runs"]} - {None}),
        "unmeasured": _unmeasured(data),
        "together": _together(found),
        "arms": _arms(counted),
        "noise": noise,
        "changes": sections.changes(groups) if len(groups) > 1 else [],
        "base": groups[0].label if groups else "",
        "listings": [sections.listing(group) for group in groups],
        "environment": sections.environment(runs),
        "logs": [sections.log(run) for run in logged[:MANY]],
        "unlogged": len(logged[MANY:]),
    }


def _arms(groups: Sequence[labels.Group]) -> list[dict[str, Any]]:
    """Return the recipes that a reader may hide, by the names that figures give them; none where there are many."""
    if len(groups) > MOST_SWITCHED:
        return []
    names = [(group.label, f"{group.label} (n = {len(group.runs)})") for group in groups]
    return [{"label": label, "names": [label, counted]} for label, counted in names]


def _unmeasured(data: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return why there are no joules, and of how many runs trained here that is said."""
    reasons = [run["costs"]["joules_reason"] for run in data["runs"] if not run["foreign"] and run["costs"]["epochs"]]
    return sorted(Counter(reason for reason in reasons if reason is not None).items())


def _together(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the runs of each recipe say together, or None where no recipe has a target and two runs."""
    if not comparison_figure.drawable(found):
        return None
    text = functools.partial(comparison_console.estimate, by=found["by"])
    return {
        "unit": comparison.UNITS[found["by"]],
        "rows": [
            {**row, "median_told": text(row["median"]), "mean_told": text(row["restricted_mean"])}
            for row in found["rows"]
        ],
        "sentences": found["sentences"][: comparison_console.MOST_SENTENCES],
        "confidence": f"{100 * found['confidence']:.4g}%",
    }
