"""From runs to samples: what each run of an arm says about one target.

An arm is a group of runs that differ in their seeds alone. A run that reached the target says when. A run that did
not is censored at the last epoch of which that is known: its last one, or, under the rule "held", the last one after
which enough evaluations came to tell. A run that diverged will not get there by itself, however long one waits: it
counts as followed to the end of its budget, not as one that might have been next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fewepochs.records import Best, CostRecord, Crossing, Epoch, RunState
from fewepochs.stats import survival
from fewepochs.stats import target as crossing_rules

Rule = Literal["first", "held"]
By = Literal["epochs", "seconds", "joules"]

UNITS: tuple[By, ...] = ("epochs", "seconds", "joules")

SeedKey = tuple[int, ...]


@dataclass(frozen=True)
class Run:
    """What the statistics need of a run; `seeds` are its streams', and say which run of another arm is its twin.

    `given_up` says that its stopping rule, or a search, ended it because the target seemed out of reach.
    """

    name: str
    seeds: SeedKey
    epochs: Sequence[Epoch]
    costs: Sequence[CostRecord]
    budget: int
    state: RunState
    given_up: bool = False

    @property
    def hopeless(self) -> bool:
        """Whether the run ended because it would not have got there."""
        return self.given_up or self.state == "diverged"


@dataclass(frozen=True)
class Arm:
    """A recipe's runs; no two of them have the same seeds."""

    label: str
    runs: tuple[Run, ...]

    def __post_init__(self) -> None:
        """Refuse a run that stands twice: it would count as two."""
        if len({run.seeds for run in self.runs}) < len(self.runs):
            raise ValueError(f"{self.label}: two runs have the same seeds; they are one observation")


@dataclass(frozen=True)
class Observed:
    """An arm's answers about one target: run i of `sample` has the seeds `seeds[i]`, in rising order.

    `pinned` counts the arm's crossings that are known to be pinned, None where it is known of none; `lost` are the
    names of runs that reached the target or ended at an unknown time (costs that nobody recorded): they are not in the
    sample. `early` counts runs in it that ended before their budget with the target, if at all, still ahead of them.
    """

    label: str
    seeds: tuple[SeedKey, ...]
    sample: survival.Sample
    pinned: int | None
    lost: tuple[str, ...]
    early: int


def observe(arm: Arm, target: float, *, rule: Rule, hold: int) -> dict[By, Observed]:
    """Return what the runs of `arm` say about `target`: in epochs, in seconds of training, in joules."""
    found = [
        (run, crossing_rules.crossing(run.epochs, target, rule=rule, hold=hold, costs=run.costs))
        for run in sorted(arm.runs, key=lambda run: run.seeds)
    ]
    needed = hold if rule == "held" else 1
    return {by: _observed(arm.label, found, needed=needed, by=by) for by in UNITS}


def _observed(label: str, found: Sequence[tuple[Run, Crossing]], *, needed: int, by: By) -> Observed:
    kept: list[tuple[SeedKey, float, bool]] = []
    lost, early = [], 0
    for run, crossing in found:
        time = _arrival(crossing, by=by) if crossing.reached else _end(run, needed=needed, by=by)
        if time is None:
            lost.append(run.name)
            continue
        kept.append((run.seeds, time, crossing.reached))
        early += not crossing.reached and not run.hopeless and len(run.epochs) < run.budget
    sample = survival.Sample(tuple(time for _, time, _ in kept), tuple(reached for _, _, reached in kept))
    told = [crossing.pinned for _, crossing in found if crossing.reached]
    pinned = None if told and set(told) == {None} else sum(one is True for one in told)
    return Observed(label, tuple(key for key, _, _ in kept), sample, pinned, tuple(lost), early)


def _arrival(found: Crossing, *, by: By) -> float | None:
    match by:
        case "epochs":
            return None if found.epoch is None else float(found.epoch)
        case "seconds":
            return found.train_seconds
        case "joules":
            return found.joules


def _end(run: Run, *, needed: int, by: By) -> float | None:
    """Return up to when `run` is known not to have reached the target; None where the cost until then is unknown."""
    known = max(0, (run.budget if run.hopeless else len(run.epochs)) - needed + 1)
    if by == "epochs" or known == 0:
        return float(known)
    done = min(known, len(run.epochs))
    spent = [cost.train_seconds if by == "seconds" else cost.joules for cost in run.costs[:done]]
    values = [value for value in spent if value is not None]
    if not done or len(values) < done:
        return None
    # What the rest of the budget would have cost a hopeless run, at the pace it had.
    return sum(values) * known / done


def twins(first: Observed, second: Observed) -> tuple[survival.Sample, survival.Sample]:
    """Return the runs of both arms whose seeds the other arm has, too, in the same order: run i of each is a pair."""
    shared = set(first.seeds) & set(second.seeds)
    return restricted(first, seeds=shared).sample, restricted(second, seeds=shared).sample


def restricted(observed: Observed, *, seeds: set[SeedKey]) -> Observed:
    """Return `observed` with the runs of these `seeds` alone."""
    kept = [i for i, key in enumerate(observed.seeds) if key in seeds]
    times, reached = observed.sample.times, observed.sample.reached
    sample = survival.Sample(tuple(times[i] for i in kept), tuple(reached[i] for i in kept))
    return replace(observed, seeds=tuple(observed.seeds[i] for i in kept), sample=sample)


def best_and_tested(epochs: Sequence[Epoch]) -> tuple[Best | None, float | None]:
    """Return a run's best validation accuracy, and the test accuracy of the epoch that had it where one was taken."""
    best = crossing_rules.best(epochs)
    if best is None:
        return None, None
    return best, next(record.test_acc for record in epochs if record.epoch == best.epoch)
