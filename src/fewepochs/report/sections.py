"""Parts of the page that are told, not drawn: how recipes differ, how to run them again, where they ran, their numbers.

Everything here is plain data for the page's template.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.foreign import run as foreign_runs
from fewepochs.report import imported, labels

COMMAND = "command"
"""The key of the environment that holds the command as it was given."""


def changes(groups: Sequence[labels.Group]) -> list[dict[str, str]]:
    """Return every field in which a recipe differs from the first of `groups`, with both values; "-" where it has none.

    Labels (name, summary) and seeds are no difference; what is only said of imported runs is left out.
    """
    base, *others = [(group, foreign_runs.unseeded(group.runs[0].stored.recipe)) for group in groups]
    if not isinstance(base[1], recipes.Recipe):
        return []
    own = _fields(base[1])
    return [
        {"recipe": group.label, "field": field, "value": value, "base": own.get(field, "-")}
        for group, other in others
        if isinstance(other, recipes.Recipe)
        for field, value in _changed(own, _fields(other))
    ]


def _changed(base: Mapping[str, str], other: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for field in sorted({*base, *other}):
        if base.get(field) != other.get(field):
            yield field, other.get(field, "-")


def _fields(recipe: recipes.Recipe) -> dict[str, str]:
    table = labels.flat(recipe.model_dump(mode="json", exclude={*recipes.LABELS}, exclude_none=True))
    return {field: _plain(value) or "" for field, value in table.items()}


def listing(group: labels.Group) -> dict[str, Any]:
    """Return a recipe as TOML, and how each of its runs was made and is made again."""
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


def environment(runs: Sequence[labels.Run]) -> dict[str, Any]:
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


def log(run: labels.Run) -> dict[str, Any]:
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
