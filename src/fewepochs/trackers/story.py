"""A stored run in the words that every tracker has: parameters, tags, and numbers by epoch.

The story of n epochs is the beginning of the story of n + 1: an epoch's numbers never change once they are told. So a
tracker needs only what is new, and what it shows last is what the run has come to: the best accuracy so far, and
`epochs_to/0.95` from the epoch on at which it is known. What may still change (where the run stands, whether a crossing
is pinned) is a tag. An absent value is not told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.foreign import run as foreign_runs
from fewepochs.records import CostRecord, Crossing, Epoch, RunState
from fewepochs.stats import target as crossing_rules

Parameter = bool | int | float | str

HOME = "fewepochs"
"""What runs are filed under that lie in a folder called runs, as they do unless told otherwise."""

MAX_NAME_BYTES = 200


@dataclass(frozen=True)
class Point:
    """The numbers of one epoch, and `notes` in words, which come once nothing in them can change.

    `seconds` have gone since the run began, as far as its costs are known.
    """

    epoch: int
    seconds: float
    values: Mapping[str, float]
    notes: Mapping[str, str]


@dataclass(frozen=True)
class Story:
    """What is told of a run. `digest` is its identity: the same one is the same run, wherever its folder lies.

    `tags` may change from one story to the next, the others only grow. `last_notes` are those that would have waited
    for one more epoch, of a run that has ended.
    """

    name: str
    digest: str
    group: str
    state: RunState
    text: str
    parameters: Mapping[str, Parameter]
    tags: Mapping[str, str]
    points: tuple[Point, ...]
    last_notes: Mapping[str, str]
    heartbeat: str

    @property
    def seconds(self) -> float:
        """The seconds from the run's beginning to its last epoch."""
        return self.points[-1].seconds if self.points else 0.0


def build(run: store.StoredRun) -> Story:
    """Return what there is to tell of `run`."""
    state = run.state
    crossings = crossing_rules.crossings(run.epochs, run.recipe.targets, hold=run.recipe.hold, costs=run.costs)
    points = _points(run.epochs, run.costs, crossings)
    told = {name for point in points for name in point.notes}
    late = {} if state == "running" else {_note(one): said(one) for one in crossings if one.reached}
    return Story(
        name=_name(run),
        digest=run.digest,
        group=HOME if run.path.parent.name in ("runs", "") else visible(run.path.parent.name),
        state=state,
        text=_text(run.recipe),
        parameters=_parameters(run.recipe),
        tags=_tags(run, crossings, state=state),
        points=points,
        last_notes={name: words for name, words in late.items() if name not in told},
        heartbeat=run.status.heartbeat,
    )


def visible(text: str) -> str:
    r"""Return `text` with what cannot be seen, or is no text, spelt out.

    >>> visible("run\x1b[31m")
    'run\\x1b[31m'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _name(run: store.StoredRun) -> str:
    """Return the folder's name, with the digest's beginning if it lacks it: no two runs have the same."""
    name, short = visible(run.name), run.digest[:8]
    if name.endswith(short) and len(name.encode()) <= MAX_NAME_BYTES:
        return name
    return f"{name.encode()[:MAX_NAME_BYTES].decode(errors='ignore')}-{short}"


def _text(origin: foreign_runs.Origin) -> str:
    return recipes.to_toml(origin) if isinstance(origin, recipes.Recipe) else foreign_runs.to_toml(origin)


def _parameters(origin: foreign_runs.Origin) -> dict[str, Parameter]:
    """Return what decides the outcome, with dotted names; labels may change, and are told as tags."""
    told = origin.model_dump(mode="json", exclude=set(recipes.LABELS), exclude_none=True)
    return _flat(told, prefix="")


def _flat(table: Mapping[str, Any], *, prefix: str) -> dict[str, Parameter]:
    fields: dict[str, Parameter] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            fields |= _flat(value, prefix=f"{prefix}{name}.")
        else:
            whole = value if isinstance(value, bool | int | float | str) else json.dumps(value)
            fields[f"{prefix}{name}"] = whole
    return fields


def _tags(run: store.StoredRun, crossings: Sequence[Crossing], *, state: RunState) -> dict[str, str]:
    told = {
        "run": visible(run.name),
        "recipe": run.recipe.name,
        "summary": run.recipe.summary,
        "seed": str(run.recipe.seed),
        "digest": run.digest,
        "digest_without_seeds": run.digest_without_seeds,
        "state": state,
        "reason": visible(run.status.reason or ""),
        "foreign": "true" if isinstance(run.recipe, foreign_runs.Foreign) else "",
        **{_note(one): said(one) for one in crossings},
    }
    return {name: value for name, value in told.items() if value}


def said(crossing: Crossing) -> str:
    """Return a crossing in words.

    >>> said(crossing_rules.crossing((), 0.9))
    'not within 0 epochs'
    """
    if crossing.epoch is None:
        return f"not within {crossing.censored_at} epochs"
    match crossing.pinned:
        case True:
            return f"{crossing.epoch}, pinned: within two epochs after a drop of the rate"
        case False:
            return str(crossing.epoch)
        case None:
            return f"{crossing.epoch}; whether it is pinned is not known"


# --- numbers by epoch -----------------------------------------------------------------------------------------------


def _points(epochs: Sequence[Epoch], costs: Sequence[CostRecord], crossings: Sequence[Crossing]) -> tuple[Point, ...]:
    by_epoch = {cost.epoch: cost for cost in costs}
    points, seconds, best = [], 0.0, 0.0
    for record in epochs:
        cost = by_epoch.get(record.epoch)
        if cost is not None:
            seconds += cost.seconds
        best = max(best, record.val_acc)
        values = {**_measured(record, cost), "best_val_acc": best}
        for crossing in crossings:
            if crossing.epoch is not None and _known_after(crossing) == record.epoch:
                values[_metric(crossing)] = float(crossing.epoch)
        notes = {_note(one): said(one) for one in crossings if _sure_after(one) == record.epoch}
        points.append(Point(record.epoch, seconds, values, notes))
    return tuple(points)


def _measured(record: Epoch, cost: CostRecord | None) -> dict[str, float]:
    rates = crossing_rules.rates(record)
    told = {
        "loss": record.loss,
        "acc": record.acc,
        "val_loss": record.val_loss,
        "val_acc": record.val_acc,
        "test_acc": record.test_acc,
        "lr": None if rates is None else rates[1],
        "train_seconds": None if cost is None else cost.train_seconds,
        "joules": None if cost is None else cost.joules,
    }
    return {name: value for name, value in told.items() if value is not None}


def _known_after(crossing: Crossing) -> int:
    """Return after which epoch a crossing is known: one that is held, after it was held so long."""
    assert crossing.epoch is not None
    return crossing.epoch + (crossing.hold - 1 if crossing.rule == "held" else 0)


def _sure_after(crossing: Crossing) -> int | None:
    """Return after which epoch it is known, too, whether a crossing is pinned: that takes the epoch behind it."""
    return None if crossing.epoch is None else max(_known_after(crossing), crossing.epoch + 1)


def _note(crossing: Crossing) -> str:
    return f"crossing.{crossing.target!r}.{crossing.rule}"


def _metric(crossing: Crossing) -> str:
    return f"epochs_to{'_held' if crossing.rule == 'held' else ''}/{crossing.target!r}"
