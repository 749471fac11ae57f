"""What recipes and runs are called in a report: short, unique, and safe to show.

Runs whose recipes differ in nothing but their seeds repeat one experiment and form a group. Two groups of one name
are told apart by the fields in which they differ ("digits-step (batch_size = 32)"), or by their digests where these
are many. What was imported says so in its name ("my-keras (foreign)"). Characters that no reader can see (controls,
bidirectional marks, halves of a pair) are spelt out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.foreign import run as foreign_runs
from fewepochs.report import visible

MAX_DIFFERENCES = 3
"""So many differing fields are spelt out in a label; beyond that a digest is shorter."""


@dataclass(frozen=True)
class Run:
    """A stored run and a name that no other run of the report has."""

    label: str
    stored: store.StoredRun


@dataclass(frozen=True)
class Group:
    """Runs of one recipe that differ in their seeds alone; `digest` is the recipe's, with all seeds zero."""

    label: str
    digest: str
    runs: tuple[Run, ...]


def label(runs: Sequence[store.StoredRun]) -> tuple[Run, ...]:
    """Return `runs` in order, each with its folder's name; a name met again is numbered: "a", "a (2)"."""
    met: Counter[str] = Counter()
    labelled = []
    for run in runs:
        name = visible.shown(run.name) + _mark(run.recipe)
        met[name] += 1
        labelled.append(Run(name if met[name] == 1 else f"{name} ({met[name]})", run))
    return tuple(labelled)


def group(runs: Sequence[Run]) -> tuple[Group, ...]:
    """Return `runs` grouped by recipe, in order of first appearance."""
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(run.stored.digest_without_seeds, []).append(run)
    names = _names({digest: foreign_runs.unseeded(found[0].stored.recipe) for digest, found in members.items()})
    return tuple(Group(names[digest], digest, tuple(found)) for digest, found in members.items())


def without_copies(groups: Sequence[Group]) -> tuple[list[Group], list[str]]:
    """Return `groups` with each seed once, by the run that got furthest, and a caveat for what was left out."""
    kept, caveats = [], []
    for group in groups:
        alike: dict[tuple[int, ...], list[Run]] = {}
        for run in group.runs:
            alike.setdefault(foreign_runs.seeds(run.stored.recipe), []).append(run)
        in_order = [sorted(copies, key=lambda run: store.copy_order(run.stored)) for copies in alike.values()]
        caveats += [
            f"{copy.label} has the recipe and seeds of {used.label}: one observation, counted once."
            for used, *copies in in_order
            for copy in copies
        ]
        kept.append(Group(group.label, group.digest, tuple(used for used, *_ in in_order)))
    return kept, caveats


def unseeded(recipe: recipes.Recipe) -> recipes.Recipe:
    """Return `recipe` with every seed zero: what all its repetitions have in common."""
    return foreign_runs.unseeded_recipe(recipe)


def _mark(origin: foreign_runs.Origin) -> str:
    return " (foreign)" if isinstance(origin, foreign_runs.Foreign) else ""


def flat(table: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Return nested tables as one, with dotted names; lists stay values.

    >>> flat({"data": {"kind": "digits"}, "seed": 0})
    {'data.kind': 'digits', 'seed': 0}
    """
    fields: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            fields |= flat(value, prefix=f"{prefix}{name}.")
        else:
            fields[f"{prefix}{name}"] = value
    return fields


def _names(by_digest: Mapping[str, foreign_runs.Origin]) -> dict[str, str]:
    names = {digest: f"{origin.name}{_mark(origin)}" for digest, origin in by_digest.items()}
    shared = Counter(names.values())
    own = [origin for origin in by_digest.values() if isinstance(origin, recipes.Recipe)]
    for digest, origin in by_digest.items():
        if shared[names[digest]] > 1:
            told = None
            if isinstance(origin, recipes.Recipe):
                told = _difference(origin, [other for other in own if other.name == origin.name])
            names[digest] += f" ({told or digest[:8]})"
    counts = Counter(names.values())
    return {digest: name if counts[name] == 1 else f"{name} ({digest[:8]})" for digest, name in names.items()}


def _difference(recipe: recipes.Recipe, alike: Sequence[recipes.Recipe]) -> str | None:
    """Return the fields in which recipes of one name differ, with `recipe`'s values; None where they are many."""
    tables = [_fields(other) for other in alike]
    told = flat(recipes.telling(recipe))
    own = [
        f"{field} = {value}"
        for field, value in _fields(recipe).items()
        # A field that not all of them have belongs to a part that its kind names: its default says no more.
        if any(table.get(field) != value for table in tables) and (field in told or all(field in t for t in tables))
    ]
    return ", ".join(own) if len(own) <= MAX_DIFFERENCES else None


def _fields(recipe: recipes.Recipe) -> dict[str, Any]:
    return flat(recipe.model_dump(mode="json", exclude={*recipes.LABELS}, exclude_none=True))
