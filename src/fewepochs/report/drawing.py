"""Figures on the page: a still picture for readers without scripts and for paper, and what the live one is made of.

Pictures are drawn beside all other work, by a thread that waits outside of Python. The panels of several recipes share
one specification, and each has its numbers. On a page of many runs there are no stills: its script draws all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any

import altair
import vl_convert
from markupsafe import Markup

from fewepochs.foreign import run as foreign_runs
from fewepochs.report import curves_figure, figures, labels, markup
from fewepochs.specs import updates


class Desk:
    """Draws figures for one page, with `renderer`, or leaves them to the page's script where there is none."""

    def __init__(self, renderer: futures.Executor | None) -> None:
        self._renderer = renderer

    def figure(self, figure: figures.Figure | None) -> dict[str, Any] | None:
        """Return a figure as the template takes it, its picture to come."""
        if figure is None:
            return None
        spec = figures.specification(figure, ink=figures.PAGE)
        return {
            "name": figure.name,
            "title": figure.title,
            "alternative": figure.alternative,
            "picture": self._renderer and self._renderer.submit(_picture, spec),
            "spec": markup.json_block(spec),
        }

    def panels(self, groups: Sequence[labels.Group], data: Mapping[str, Any], *, most: int) -> dict[str, Any]:
        """Return the recipes' curves and the specification they share; without stills `most` runs of each are drawn."""
        stored = [run.stored for group in groups for run in group.runs]
        axes = curves_figure.axes(stored, targets=data["targets"])
        with figures.unvalidated():
            live = curves_figure.panel(shared=axes, ink=figures.PAGE).to_dict(validate=False)
            still = (
                curves_figure.panel(shared=axes, ink=figures.PAGE, live=False).to_dict(validate=False)
                if self._renderer
                else {}
            )
        live["usermeta"]["table"] = [curves_figure.RUNS]
        can_switch = bool(axes.losses) and min(axes.losses) > 0
        return {
            "panels": [self._panel(group, data, axes=axes, still=still, most=most) for group in groups],
            "shared": {
                "linear": markup.json_block(curves_figure.switched(live, shared=axes, log=False)),
                "log": markup.json_block(curves_figure.switched(live, shared=axes, log=True)) if can_switch else None,
                "is_log": figures.is_log(axes.losses),
                "clipped": axes.accuracy[0] if axes.clipped else None,
            },
        }

    def _panel(
        self,
        group: labels.Group,
        data: Mapping[str, Any],
        *,
        axes: curves_figure.Axes,
        still: Mapping[str, Any],
        most: int,
    ) -> dict[str, Any]:
        known = [run for run in group.runs if run.stored.epochs]
        drawn = known if self._renderer else known[:most]
        numbers = curves_figure.datasets(drawn, targets=data["targets"], shared=axes)
        recipe = next(entry for entry in data["recipes"] if entry["digest_without_seeds"] == group.digest)
        answers = ". ".join(answer["sentence"] for answer in recipe["answers"])
        of = f" of {len(known)}" if len(drawn) < len(known) else ""
        count = f"{len(drawn)}{of} {'run' if len(known) == 1 else 'runs'}"
        spec = {**still, "datasets": numbers}
        return {
            "label": group.label,
            "any": bool(drawn),
            "picture": self._renderer.submit(_picture, spec) if drawn and self._renderer else None,
            "numbers": markup.json_block(numbers),
            "alternative": f"Accuracy, loss and learning rate over epochs, {count} of {group.label}. {answers}.",
            "caption": _caption(group, drawn=len(drawn), count=count, undrawn=len(group.runs) - len(known)),
        }


def finished(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part of the page with its picture, which was to come."""
    picture: futures.Future[Markup] | None = part["picture"]
    return {**part, "picture": picture and picture.result()}


def _caption(group: labels.Group, *, drawn: int, count: str, undrawn: int) -> str:
    lines = [f"{count}: training red and dashed, validation blue and solid; targets dotted."]
    if drawn > 1:
        lines.append("Thick: their median; band: lowest to highest, as far as all of them go.")
    origin = group.runs[0].stored.recipe
    if isinstance(origin, foreign_runs.Foreign):
        lines.append("Imported: whether its losses include a penalty is not known.")
    elif isinstance(origin.regularisation, updates.L2):
        lines.append("Losses include the L2 penalty.")
    if undrawn:
        lines.append(f"{undrawn} {'run has' if undrawn == 1 else 'runs have'} done no epoch and cannot be drawn.")
    return " ".join(lines)


def _picture(specification: Mapping[str, Any]) -> Markup:
    """Return a figure as SVG, for readers without scripts and until a script has drawn the live figure."""
    version = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    svg = vl_convert.vegalite_to_svg(dict(specification), vl_version=version)
    # The renderer counts its clip paths on and on; names that depend on the figure alone repeat, and do not clash.
    mark = hashlib.sha256(re.sub(r"clip\d+", "", svg).encode()).hexdigest()[:8]
    names: dict[str, str] = {}
    return Markup(re.sub(r"\bclip\d+\b", lambda found: names.setdefault(found[0], f"c{mark}-{len(names)}"), svg))
