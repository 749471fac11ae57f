"""One report as one HTML file: opens offline, in light or dark, on paper, by keyboard, with or without scripts.

Numbers come from `report.summary`, pictures from `report.figures`; here they are laid out. Nothing is loaded from
anywhere, and a content security policy says so: only the page's own style and its two scripts, known by their
SHA-256, may act. Text from runs is text: escaped, with invisible characters spelt out. The same runs give the same
bytes; no clock is read.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import altair
import jinja2
import vl_convert
from markupsafe import Markup, escape

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.foreign import run as foreign_runs
from fewepochs.report import (
    comparison,
    comparison_console,
    comparison_figure,
    figures,
    imported,
    labels,
    library,
    summary,
)
from fewepochs.specs import updates

MANY = 60
"""A page of more runs than this has no still pictures, draws `MOST_DRAWN` of each recipe, and has the numbers by epoch
of the first `MANY`."""
MOST_DRAWN = 12
COMMAND = "command"
"""The key of the environment that holds the command as it was given."""


def render(runs: Sequence[store.StoredRun], *, targets: Sequence[float] = (), title: str | None = None) -> str:
    """Return the report on `runs` as one HTML document.

    Without `targets`, validation accuracies from 0 to 1, the targets of the runs' recipes are asked.
    """
    data = summary.build(runs, targets=targets)
    groups = labels.group(labels.label(runs))
    shared = figures.axes(runs, targets=data["targets"])
    with futures.ThreadPoolExecutor(max_workers=1) as renderer:  # it works outside of Python, beside all the rest
        stills = None if len(runs) > MANY else renderer
        together = _together(runs, stills, targets=data["targets"])
        pictures = _Pictures(stills, _still(shared)) if stills else None
        panels = [_panel(group, data, pictures=pictures, shared=shared) for group in groups]
        parts = _parts(groups, data, shared=shared)
    scripts = (library.script(), _asset("page.js")) if any(run.epochs for run in runs) else ()
    style = _asset("page.css")
    return _template().render(
        title=title or _title(data),
        policy=_policy(scripts=scripts, style=style),
        style=Markup(style),
        scripts=[Markup(text) for text in scripts],
        data=data,
        panels=[_drawn(panel) for panel in panels],
        together=together and _drawn(together),
        **parts,
    )


def _parts(groups: Sequence[labels.Group], data: Mapping[str, Any], *, shared: figures.Axes) -> dict[str, Any]:
    """Return what stands on the page beside its panels."""
    runs = [run for group in groups for run in group.runs]
    logged = [run for run in runs if run.stored.epochs]
    return {
        "unlike": list(comparison.differences(groups)),
        "figure": _json_block(figures.panel(shared=shared, ink=figures.PAGE).to_dict(validate=False)),
        "clipped": shared.accuracy[0] if shared.clipped else None,
        "tested": any(run["best"] and run["best"]["test_acc"] is not None for run in data["runs"]),
        "sources": sorted({run["costs"]["joules_source"] for run in data["runs"]} - {None}),
        "listings": [_listing(group) for group in groups],
        "environment": _environment(runs),
        "logs": [_log(run) for run in logged[:MANY]],
        "unlogged": len(logged[MANY:]),
    }


def write(
    path: Path, runs: Sequence[store.StoredRun], *, targets: Sequence[float] = (), title: str | None = None
) -> None:
    """Write the report on `runs` to `path`, whole or not at all. Raises StorageError."""
    store.write_whole(path, render(runs, targets=targets, title=title).encode())


# --- parts of the page ----------------------------------------------------------------------------------------------


def _title(data: Mapping[str, Any]) -> str:
    found = data["recipes"]
    subject = found[0]["label"] if len(found) == 1 else f"{len(found)} recipes"
    asked = ", ".join(f"{target:g}" for target in data["targets"])
    return f"{subject}: epochs to {asked}" if asked else f"{subject}: accuracy by epoch"


def _panel(
    group: labels.Group, data: Mapping[str, Any], *, pictures: _Pictures | None, shared: figures.Axes
) -> dict[str, Any]:
    """Return one recipe's figure: a still picture to come, numbers for the live one.

    Where there are no `pictures` there are many runs: the live figure is all, and of `MOST_DRAWN` of them.
    """
    known = [run for run in group.runs if run.stored.epochs]
    drawn = known if pictures else known[:MOST_DRAWN]
    numbers = figures.datasets(drawn, targets=data["targets"], shared=shared)
    recipe = next(entry for entry in data["recipes"] if entry["digest_without_seeds"] == group.digest)
    answers = ". ".join(answer["sentence"] for answer in recipe["answers"])
    of = f" of {len(known)}" if len(drawn) < len(known) else ""
    count = f"{len(drawn)}{of} {'run' if len(known) == 1 else 'runs'}"
    return {
        "label": group.label,
        "any": bool(drawn),
        "picture": pictures.of(numbers) if drawn and pictures else None,
        "numbers": _json_block(numbers),
        "alternative": f"Accuracy, loss and learning rate over epochs, {count} of {group.label}. {answers}.",
        "caption": _caption(group, count=count, undrawn=len(group.runs) - len(known)),
    }


def _caption(group: labels.Group, *, count: str, undrawn: int) -> str:
    lines = [f"{count}: training red and dashed, validation blue and solid; targets dotted."]
    origin = group.runs[0].stored.recipe
    if isinstance(origin, foreign_runs.Foreign):
        lines.append("Imported: whether its losses include a penalty is not known.")
    elif isinstance(origin.regularisation, updates.L2):
        lines.append("Losses include the L2 penalty.")
    if undrawn:
        lines.append(f"{undrawn} {'run has' if undrawn == 1 else 'runs have'} done no epoch and cannot be drawn.")
    return " ".join(lines)


@dataclass(frozen=True)
class _Pictures:
    """Still pictures of one specification `still`, drawn by `renderer`."""

    renderer: futures.Executor
    still: Mapping[str, Any]

    def of(self, numbers: Mapping[str, Any]) -> futures.Future[Markup]:
        """Return the picture of `numbers`, to come."""
        return self.renderer.submit(_picture, {**self.still, "datasets": numbers})


def _drawn(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part of the page with its picture, which was to come."""
    picture: futures.Future[Markup] | None = part["picture"]
    return {**part, "picture": picture and picture.result()}


def _still(shared: figures.Axes) -> dict[str, Any]:
    """Return the specification of a recipe's still picture, without numbers as yet."""
    specification: dict[str, Any] = figures.panel(shared=shared, ink=figures.PAGE, live=False).to_dict(validate=False)
    return specification


def _picture(specification: Mapping[str, Any]) -> Markup:
    """Return a figure as SVG, for readers without scripts and until a script has drawn the live figure."""
    version = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    svg = vl_convert.vegalite_to_svg(dict(specification), vl_version=version)
    # The renderer counts its clip paths on and on; names that depend on the figure alone repeat, and do not clash.
    mark = hashlib.sha256(re.sub(r"clip\d+", "", svg).encode()).hexdigest()[:8]
    names: dict[str, str] = {}
    return Markup(re.sub(r"\bclip\d+\b", lambda found: names.setdefault(found[0], f"c{mark}-{len(names)}"), svg))


def _together(
    runs: Sequence[store.StoredRun], renderer: futures.Executor | None, *, targets: Sequence[float]
) -> dict[str, Any] | None:
    """Return what the runs of each recipe say together, or None where no recipe has a target and two runs.

    Its picture is to come from `renderer`; without one the page's script draws it.
    """
    found = comparison.build(runs, targets=targets)
    if not comparison_figure.drawable(found):
        return None
    spec = comparison_figure.chart(found, ink=figures.PAGE).to_dict(validate=False)
    text = functools.partial(comparison_console.estimate, by="epochs")
    rows = [{**row, "median": text(row["median"]), "mean": text(row["restricted_mean"])} for row in found["rows"]]
    return {
        "picture": renderer and renderer.submit(_picture, spec),
        "figure": None if renderer else _json_block(spec),
        "alternative": comparison_figure.alternative(found),
        "rows": rows,
        "sentences": found["sentences"][: comparison_console.MOST_SENTENCES],
        "confidence": f"{100 * found['confidence']:.4g}%",
    }


def _listing(group: labels.Group) -> dict[str, Any]:
    first = group.runs[0].stored.recipe
    foreign = isinstance(first, foreign_runs.Foreign)
    return {
        "label": group.label,
        "foreign": foreign,
        "summary": first.summary,
        "toml": foreign_runs.to_toml(first) if isinstance(first, foreign_runs.Foreign) else recipes.to_toml(first),
        "runs": [
            {
                "label": run.label,
                "digest": run.stored.digest,
                "again": shlex.join(["fewepochs", "train", f"{run.stored.name}/{store.RECIPE}"]),
                "command": _command(run.stored.environment.get(COMMAND)),
            }
            for run in group.runs
        ],
    }


def _command(given: object) -> str | None:
    if isinstance(given, list | tuple):
        return shlex.join(map(str, given))
    return None if given is None else str(given)


def _environment(runs: Sequence[labels.Run]) -> dict[str, Any]:
    """Return what all `runs` say alike, and the fields that differ with each run's values."""
    tables = [labels.flat({**run.stored.environment, COMMAND: None}) for run in runs]
    fields = sorted({field for table in tables for field in table} - {COMMAND})
    same = [field for field in fields if len({_plain(table.get(field)) for table in tables}) == 1]
    differing = [field for field in fields if field not in same]
    return {
        "same": [(field, _plain(tables[0].get(field))) for field in same],
        "fields": differing,
        "rows": [
            (run.label, [_plain(table.get(field)) for field in differing])
            for run, table in zip(runs, tables, strict=True)
        ],
    }


def _plain(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _log(run: labels.Run) -> dict[str, Any]:
    """Return a run's records as a table: every epoch, losses and accuracies to six digits."""
    costs = {cost.epoch: cost for cost in run.stored.costs}
    foreign = imported.is_foreign(run.stored)
    columns = ["epoch", "step", "loss", "acc", "val_loss", "val_acc", "test_acc"]
    columns += ["lr_logged"] if foreign else ["lr_first", "lr_last"]
    if all(record.test_acc is None for record in run.stored.epochs):
        columns.remove("test_acc")
    rows = []
    for record in run.stored.epochs:
        cost = costs.get(record.epoch)
        values = [getattr(record, column) for column in columns]
        spent = () if foreign else (cost and cost.train_seconds, cost and cost.joules)
        rows.append([_digits(value) for value in (*values, *spent)])
    return {"label": run.label, "columns": [*columns, *(() if foreign else ("train_seconds", "joules"))], "rows": rows}


def _digits(value: float | None) -> str:
    if value is None:
        return "unknown"
    return str(value) if isinstance(value, int) else f"{value:.6g}"


# --- the file -------------------------------------------------------------------------------------------------------


@functools.cache
def _asset(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _policy(*, scripts: Sequence[str], style: str) -> str:
    known = " ".join(map(_source, scripts)) or "'none'"
    return f"default-src 'none'; script-src {known}; style-src {_source(style)}; base-uri 'none'; form-action 'none'"


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json_block(content: object) -> Markup:
    """Return `content` as JSON that no text in it can end: what HTML reads as markup is written as an escape."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))  # beyond ASCII it escapes by itself
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=_visible)
    environment.filters.update(_FORMATS, sentence=lambda text: text[:1].upper() + text[1:])
    environment.globals["cell"] = _cell
    return environment.from_string(_asset("page.html.jinja"))


def _visible(value: Any) -> Any:
    return labels.shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _cell(value: float | None, form: str, reason: str) -> Markup:
    """Return a table's cell: the number in one of `_FORMATS`, or the reason why there is none."""
    if value is None:
        return Markup(f'<td class="absent reason">{escape(labels.shown(reason))}</td>')
    number = "" if form == "joules" else ' class="number"'
    return Markup(f"<td{number}>{_FORMATS[form](value)}</td>")


def _data(value: float, text: str) -> Markup:
    """Return a number as read, with the number as recorded beside it for whoever reads the page by program."""
    return Markup(f'<data value="{escape(repr(value))}">{escape(text)}</data>')


def _duration(seconds: float) -> str:
    """Return seconds as people say them: "0.52 s", "12.3 s", "3 min 5 s", "1 h 8 min".

    >>> _duration(4095.0)
    '1 h 8 min'
    """
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min"


def _scaled(value: float, step: int, units: Sequence[str]) -> str:
    """Return `value` with three digits and the unit that keeps it short; units grow by `step`."""
    power = 0
    while value >= 999.5 and power < len(units) - 1:
        value, power = value / step, power + 1
    return f"{value:.3g} {units[power]}" if value < 999.5 else f"{value:,.0f} {units[power]}"


_FORMATS: Mapping[str, Callable[[Any], Markup]] = {
    "exact": lambda value: _data(value, f"{value:g}" if isinstance(value, float) else str(value)),
    "accuracy": lambda value: _data(value, f"{value:.4f}"),
    "rate": lambda value: _data(value, f"{value:,.0f}" if value >= 100 else f"{value:.3g}"),
    "seconds": lambda value: _data(value, _duration(value)),
    "joules": lambda value: _data(value, _scaled(value, 1000, ("J", "kJ", "MJ", "GJ"))),
    "memory": lambda value: _data(value, _scaled(value, 1024, ("B", "KiB", "MiB", "GiB"))),
}
"""How the page writes numbers, each with the number as recorded beside it."""
