"""Tables of a study: runs in, a row for each value of a recipe's field out.

    transitions   after how many epochs each target was first reached: median (lowest-highest)
    best          the best val_acc, its mean and interval, and the epoch that had it
    cost          load, watts, seconds an epoch, images a second, peak memory

A row is one recipe, its runs differ in their seeds alone. Recipes that share a value of the field but differ otherwise
have rows of their own, and it is said in what they differ. A foreign run has the fields of the recipe that it is
described by, or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fewepochs import problems, store
from fewepochs import recipe as recipes
from fewepochs.claims import evidence
from fewepochs.errors import Problem, RecipeError
from fewepochs.foreign import run as foreign_runs
from fewepochs.report import comparison, comparison_console, imported, labels, summary
from fewepochs.report.table_text import Page, Table
from fewepochs.specs import base
from fewepochs.stats import arms, compare, ranges, survival

Kind = Literal["transitions", "best", "cost"]
NONE, UNKNOWN = "-", "unknown"


@dataclass(frozen=True)
class Row:
    """A recipe's runs and the value that its recipe has of the field."""

    value: Any
    shown: str
    group: labels.Group

    @property
    def runs(self) -> tuple[store.StoredRun, ...]:
        """The runs, as stored."""
        return tuple(run.stored for run in self.group.runs)


def build(
    kind: Kind,
    runs: Sequence[store.StoredRun],
    *,
    by: str = "batch_size",
    targets: Sequence[float] = (),
    rule: arms.Rule = "first",
) -> Page:
    """Return a table of `runs` by the recipe's field `by`. Raises RecipeError where no recipe has the field."""
    groups, copies = labels.without_copies(labels.group(labels.label(runs)))
    rows = _rows(groups, by)
    match kind:
        case "transitions":
            asked = summary.resolve_targets(runs, targets=targets)
            tables, notes = _transitions(rows, by=by, targets=asked, rule=rule)
        case "best":
            tables, notes = _best(rows, by=by)
        case "cost":
            tables, notes = _cost(rows, by=by)
    few = () if kind == "cost" else comparison.few(groups)
    said = [*notes, *_otherwise(groups, by), *imported.caveats(groups), *few, *copies]
    return Page(kind, (tables,), tuple(said), asked={"by": by})


# --- rows -----------------------------------------------------------------------------------------------------------


def _rows(groups: Sequence[labels.Group], by: str) -> list[Row]:
    """Return a row for each group, by rising value of the field."""
    told = [foreign_runs.described(group.runs[0].stored.recipe) for group in groups]
    values = [None if recipe is None else _value(recipe, by) for recipe in told]
    found = list(zip(groups, values, strict=True))
    if all(value is None for _, value in found):
        raise RecipeError("table", (_no_field(by, [recipe for recipe in told if recipe is not None]),))
    rows = [Row(value, _shown(value), group) for group, value in found]
    return sorted(rows, key=lambda row: (*_order(row.value), row.group.label))


def _no_field(by: str, found: Sequence[recipes.Recipe]) -> Problem:
    if not found:
        allowed = "none: no recipe describes these runs; import them with --recipe"
        return Problem("--by", "no field of these runs", repr(by), allowed)
    differ = differing(found)
    near = problems.nearest(by, sorted({name for recipe in found for name in _fields(recipe)}))
    allowed = f"the runs differ in {', '.join(differ)}" if differ else "any field; the runs do not differ"
    return Problem("--by", "no field of these recipes", repr(by), allowed, near)


def _value(recipe: recipes.Recipe, by: str) -> Any:
    """Return the value of the field, of a whole part what the recipe says of it; None where it has no such field."""
    here: Any = None if by.startswith("seed") else recipe
    for name in by.split("."):
        here = getattr(here, name) if isinstance(here, base.Spec) and name in type(here).model_fields else None
    return recipes.telling(here) if isinstance(here, base.Spec) else here


def _fields(recipe: recipes.Recipe) -> dict[str, Any]:
    content = recipe.model_dump(mode="json", exclude={*recipes.LABELS, "seed", "seeds"}, exclude_none=True)
    return labels.flat(content)


def differing(found: Sequence[recipes.Recipe]) -> list[str]:
    """Return the fields in which recipes differ, seeds and labels aside."""
    tables = [_fields(recipe) for recipe in found]
    names = sorted({name for table in tables for name in table})
    return [name for name in names if any(table.get(name) != tables[0].get(name) for table in tables)]


def _order(value: Any) -> tuple[int, float, str]:
    """Return what rows are sorted by: numbers before words, nothing last."""
    if value is None:
        return 2, 0.0, ""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1, 0.0, _shown(value)


def _shown(value: Any) -> str:
    match value:
        case None:
            return NONE
        case float():
            return f"{value:g}"
        case {"kind": kind}:
            rest = [f"{name}={_shown(of)}" for name, of in value.items() if name != "kind"]
            return f"{kind}({', '.join(rest)})" if rest else str(kind)
        case Mapping():
            return ", ".join(f"{name}={_shown(of)}" for name, of in value.items())
        case _:
            return str(value)


def _keys(rows: Sequence[Row], by: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the heads and cells that say what a row is about: the value, and the recipe where that is not enough."""
    alone = len({row.shown for row in rows}) == len(rows) and not any(imported.is_foreign(row.runs[0]) for row in rows)
    heads = (by, "n") if alone else (by, "recipe", "n")
    return heads, [(row.shown, *(() if alone else (row.group.label,)), str(len(row.group.runs))) for row in rows]


def _about(row: Row, by: str) -> dict[str, Any]:
    value = row.value if isinstance(row.value, int | float | str | None) else row.shown
    return {by: value, "recipe": row.group.label, "n": len(row.group.runs)}


def _otherwise(groups: Sequence[labels.Group], by: str) -> Iterable[str]:
    told = [foreign_runs.described(group.runs[0].stored.recipe) for group in groups]
    found = [recipe for recipe in told if recipe is not None]
    others = [name for name in differing(found) if name != by and not name.startswith(f"{by}.")]
    if others:
        named = ", ".join(others[:6]) + (f" and {len(others) - 6} fields more" if len(others) > 6 else "")
        yield f"The recipes also differ in {named}: what the rows show is not {by} alone."
    yield from comparison.differences(groups)


# --- transitions ----------------------------------------------------------------------------------------------------


def _transitions(rows: Sequence[Row], *, by: str, targets: Sequence[float], rule: arms.Rule) -> tuple[Table, list[str]]:
    hold = max(run.recipe.hold for row in rows for run in row.runs)
    seen = [[_seen(row, target, rule=rule, hold=hold) for target in targets] for row in rows]
    heads, keys = _keys(rows, by)
    data = [{**_about(row, by), **one} for row, found in zip(rows, seen, strict=True) for one in found]
    how = "first reached" if rule == "first" else f"held for {hold} evaluations"
    table = Table(
        f"epochs until a target is {how}: median (lowest-highest)",
        (*heads, *(f"{target:g}" for target in targets)),
        tuple((*key, *(_transition(one) for one in found)) for key, found in zip(keys, seen, strict=True)),
        tuple(data),
        keys=len(heads),
    )
    return table, _transition_notes(data)


def _seen(row: Row, target: float, *, rule: arms.Rule, hold: int) -> dict[str, Any]:
    """Return what a row's runs say about a target; the end of a range that is not known is None."""
    observed = arms.observe(comparison.arm(row.group), target, rule=rule, hold=hold)["epochs"]
    sample = observed.sample
    reached = [time for time, there in zip(sample.times, sample.reached, strict=True) if there]
    censored = [time for time, there in zip(sample.times, sample.reached, strict=True) if not there]
    return {
        "target": target,
        "reached": len(reached),
        "censored": len(censored),
        "median": survival.median(sample),
        "lowest": min(reached, default=None),
        "highest": max(reached) if reached and not censored else None,
        "censored_at": max(censored, default=None),
        "pinned": observed.pinned,
    }


def _transition(one: Mapping[str, Any]) -> str:
    """Return a cell: `84 (82-97)*`, `84` where all are alike, `120 (84->200) 3/5`, `>200 0/5`."""
    total = one["reached"] + one["censored"]
    count = f" {one['reached']}/{total}" if one["censored"] else ""
    beyond = "" if one["censored_at"] is None else f">{one['censored_at']:g}"
    if not one["reached"]:
        return f"{beyond}{count}" if total else NONE
    mark = "*" if one["pinned"] else ""
    median = beyond if one["median"] is None else f"{one['median']:g}"
    if one["highest"] == one["lowest"]:
        return f"{median}{mark}"
    highest = beyond if one["highest"] is None else f"{one['highest']:g}"
    return f"{median} ({one['lowest']:g}-{highest}){count}{mark}"


def _transition_notes(data: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    pinned, reached = (sum(one[name] or 0 for one in data) for name in ("pinned", "reached"))
    if pinned:
        notes.append(
            f"* pinned, {pinned} of {reached} crossings: within two epochs after a drop of the learning rate. They "
            "tell where the schedule drops it."
        )
    if any(one["censored"] for one in data):
        notes.append("k/n: k of n runs got there. >N: not within the N epochs that were run.")
    return notes


# --- best accuracy --------------------------------------------------------------------------------------------------


def _best(rows: Sequence[Row], *, by: str) -> tuple[Table, list[str]]:
    heads, keys = _keys(rows, by)
    found = compare.compare([comparison.arm(row.group) for row in rows], targets=()).accuracies
    epochs = [_spread(row.runs, "best-epoch") for row in rows]
    tested = any(entry.test_acc.value is not None for entry in found)
    cells = [
        (
            *key,
            comparison_console.estimate(entry.best_val_acc.model_dump(), by="accuracy"),
            _range(epoch, ".4g"),
            *((comparison_console.estimate(entry.test_acc.model_dump(), by="accuracy"),) if tested else ()),
        )
        for key, entry, epoch in zip(keys, found, epochs, strict=True)
    ]
    data = [
        {
            **_about(row, by),
            **{f"best_val_acc_{name}": getattr(entry.best_val_acc, name) for name in ("value", "low", "high")},
            **{f"test_acc_{name}": getattr(entry.test_acc, name) for name in ("value", "low", "high")},
            **{f"best_epoch_{name}": value for name, value in epoch.items()},
        }
        for row, entry, epoch in zip(rows, found, epochs, strict=True)
    ]
    titles = (*heads, "best val_acc", "at epoch", *(("test_acc then",) if tested else ()))
    table = Table("best accuracy, mean (interval at 95%); its epoch, median (lowest-highest)", titles, tuple(cells),
                  tuple(data), keys=len(heads))  # fmt: skip
    early = sum(not evidence.is_over(run) for row in rows for run in row.runs)
    return table, [f"{early} of the runs ended before their budget: their best may have been to come."] if early else []


# --- cost -----------------------------------------------------------------------------------------------------------


def _cost(rows: Sequence[Row], *, by: str) -> tuple[Table, list[str]]:
    heads, keys = _keys(rows, by)
    found = [_costs(row.runs) for row in rows]
    formats = {"load": ".0%", "watts": ".1f", "seconds_per_epoch": ".1f", "images_per_second": ",.0f"}
    cells = [
        (*key, *(_range(costs[name], form) for name, form in formats.items()), _memory(costs["peak_memory_bytes"]))
        for key, costs in zip(keys, found, strict=True)
    ]
    data = [
        {**_about(row, by), **{f"{name}_{part}": x for name, told in costs.items() for part, x in told.items()}}
        for row, costs in zip(rows, found, strict=True)
    ]
    titles = (*heads, "load", "watts", "seconds an epoch", "images/s", "peak memory")
    table = Table("cost, medians over runs (lowest-highest)", titles, tuple(cells), tuple(data), keys=len(heads))
    notes = [f"{name}: {reason}." for name, reason in _absent(found)]
    machines = comparison.machines([row.group for row in rows])
    if machines > 1:
        notes.append(f"The runs are of {machines} machines or settings: their cost is compared across them.")
    return table, notes


def _costs(runs: Sequence[store.StoredRun]) -> dict[str, dict[str, Any]]:
    if any(map(imported.is_foreign, runs)):  # then all of the row's
        return dict.fromkeys(_COSTS, _of([imported.COST for _ in runs]))
    return {
        "load": _spread(runs, "load"),
        "watts": _spread(runs, "watts"),
        "seconds_per_epoch": _spread(runs, "seconds-per-epoch"),
        "images_per_second": _of([_images_per_second(run) for run in runs]),
        "peak_memory_bytes": _of([_peak_memory(run) for run in runs]),
    }


_COSTS = ("load", "watts", "seconds_per_epoch", "images_per_second", "peak_memory_bytes")


def _absent(found: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[tuple[str, str]]:
    told: set[tuple[str, str]] = {(name.replace("_", " "), costs[name]["reason"]) for costs in found for name in costs}
    return sorted((name, reason) for name, reason in told if reason not in (None, imported.COST))


def _images_per_second(run: store.StoredRun) -> ranges.Bounds | str:
    seconds = sum(cost.train_seconds for cost in run.costs)
    images = sum(cost.images_per_second * cost.train_seconds for cost in run.costs)
    return ranges.exactly(images / seconds) if seconds > 0 else "no cost recorded"


def _peak_memory(run: store.StoredRun) -> ranges.Bounds | str:
    peaks = [cost.peak_memory_bytes for cost in run.costs if cost.peak_memory_bytes is not None]
    return ranges.exactly(max(peaks)) if peaks else "not recorded"


# --- numbers over runs ----------------------------------------------------------------------------------------------


def _spread(
    runs: Sequence[store.StoredRun], quantity: Literal["best-epoch", "load", "watts", "seconds-per-epoch"]
) -> dict[str, Any]:
    return _of([evidence.bounds(run, quantity) for run in runs])


def _of(told: Sequence[ranges.Bounds | str]) -> dict[str, Any]:
    """Return median and range over the runs that have the number, or the first reason why none has."""
    known = [one.low for one in told if isinstance(one, ranges.Bounds)]
    reason = next((one for one in told if isinstance(one, str)), None)
    if not known:
        return {"median": None, "lowest": None, "highest": None, "n": 0, "reason": reason}
    found = ranges.median([ranges.exactly(value) for value in known])
    short = None if reason is None else f"{reason} (in {len(told) - len(known)} of {len(told)} runs)"
    return {"median": found.value, "lowest": found.lowest, "highest": found.highest, "n": found.n, "reason": short}


def _range(found: Mapping[str, Any], form: str) -> str:
    if found["median"] is None:
        return UNKNOWN if found["reason"] == imported.COST else NONE
    if found["lowest"] == found["highest"]:
        return format(found["median"], form)
    return f"{found['median']:{form}} ({found['lowest']:{form}}-{found['highest']:{form}})"


def _memory(found: Mapping[str, Any]) -> str:
    if found["median"] is None:
        return UNKNOWN if found["reason"] == imported.COST else NONE
    return f"{found['median'] / 1e6:,.0f} MB"
