"""A study in a terminal: its cells as a grid of marks, what is left, and what happens while it runs.

    arm        cells    done   best val_acc   s/epoch   left
    step       ##>..    2/5    0.9733 s1@14   0.41      2 min
    linear     ##...    2/5    0.9900 s0@12   0.39      2 min

    # done   > at work   ~ begun   x failed   . missing

A mark is a cell, in the order of the seeds. Marks are plain characters: they read alike on paper, over ssh and aloud.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console

from fewepochs import errors, store
from fewepochs.report import console, screen, table_text, visible
from fewepochs.stats import target as crossing_rules
from fewepochs.study import grid, plan

MARKS: Mapping[plan.CellState, str] = {"done": "#", "running": ">", "begun": "~", "failed": "x", "missing": "."}
MOST_MARKS = 40
MOST_LINES = 20
SPARKS = "▁▂▃▄▅▆▇█"


def plan_lines(planned: plan.Plan, *, jobs: int | None = None) -> list[str]:
    """Return where a study stands, as lines."""
    study = planned.study
    lines = [f"{study.name}: {study.question}" if study.question else study.name, *_rules(planned), ""]
    lines += [*table(planned), "", *_left(planned, jobs=jobs)]
    failed = [one for one in planned.standings if one.state == "failed"]
    for one in failed[:MOST_LINES]:
        assert one.why is not None, "a failed cell has a reason"
        lines.append(f"failed: {one.cell.run_name} ({one.why.attempts} attempts): {_first(one.why.reason)}")
    if len(failed) > MOST_LINES:
        lines.append(f"... and {len(failed) - MOST_LINES} more failed; --json has them")
    if planned.strays:
        some = ", ".join(planned.strays[:4]) + (", ..." if len(planned.strays) > 4 else "")
        lines.append(f"note: {len(planned.strays)} run folders beside them are no cells of this study: {some}")
    return lines


def _rules(planned: plan.Plan) -> list[str]:
    rules, study = planned.study.rules, planned.study
    asked = "the recipes' targets" if rules.targets is None else ", ".join(f"{t:g}" for t in rules.targets)
    told = [f"{len(study.arms)} arms x {len(study.seeds)} seeds = {len(study.cells)} cells in {planned.path}"]
    told.append(f"asked: {rules.by} to {asked}, {rules.rule} crossing")
    if rules.stop.target is not None:
        told.append(f"a run stops when it reaches {rules.stop.target:g}")
    told += [
        f"a run is given up if it is below {rule.below:g} after {rule.epoch} epochs" for rule in rules.stop.give_up
    ]
    return told


def _left(planned: plan.Plan, *, jobs: int | None) -> list[str]:
    counts = ", ".join(f"{planned.count(state)} {state}" for state in plan.STATES if planned.count(state))
    epochs, seconds = sum(one.epochs_left for one in planned.standings), planned.seconds_left()
    lines = [f"{counts}; at most {epochs} epochs left" if epochs else counts]
    if epochs and seconds is None:
        lines.append("cost: unknown before a first epoch; `fewepochs study run FILE --cells 0` measures one")
    elif epochs and seconds is not None:
        each = f", about {console.duration(seconds / jobs)} with {jobs} at a time" if jobs and jobs > 1 else ""
        borrowed = [arm for arm in planned.study.arms if (cost := planned.cost(arm)) and cost.of == "study"]
        aside = f" (for {len(borrowed)} arms by what others took)" if borrowed else ""
        lines.append(f"cost: {console.duration(seconds)} as measured, one cell after the other{each}{aside}")
    return lines


def table(planned: plan.Plan) -> list[str]:
    """Return a row for each arm: its cells as marks, how many are done, the best so far, what is left."""
    rows = [("arm", "cells", "done", "best val_acc", "s/epoch", "left")]
    for arm in planned.study.arms:
        own, cost = planned.of_arm(arm), planned.cost(arm)
        left = sum(one.epochs_left for one in own)
        marks = "".join(MARKS[one.state] for one in own[:MOST_MARKS]) + ("+" if len(own) > MOST_MARKS else "")
        rows.append(
            (
                arm,
                marks,
                f"{sum(one.state == 'done' for one in own)}/{len(own)}",
                _best(own),
                "-" if cost is None else f"{cost.seconds_per_epoch:.3g}{'' if cost.of == 'arm' else '?'}",
                "-" if not left else "?" if cost is None else console.duration(left * cost.seconds_per_epoch),
            )
        )
    legend = "   ".join(f"{mark} {state}" for state, mark in MARKS.items())
    return [*table_text.aligned(rows), "", legend]


def _best(standings: Sequence[plan.Standing]) -> str:
    found = [
        (best.val_acc, f"{best.val_acc:.4f} s{one.cell.seed}@{best.epoch}")
        for one in standings
        if one.run is not None and (best := crossing_rules.best(one.run.epochs)) is not None
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else "-"


def _first(text: str) -> str:
    return visible.shown(text.strip().splitlines()[0] if text.strip() else "no reason given")


def at_work(standings: Iterable[plan.Standing]) -> list[str]:
    """Return a line for each cell at work: epoch, val_acc as a small curve, how far the next target is."""
    rows = []
    for one in standings:
        records = () if one.run is None else one.run.epochs
        where = f"epoch {len(records) + 1}/{one.cell.recipe.budget.epochs}"
        rows.append((f"{one.cell.arm} s{one.cell.seed}", where, spark([record.val_acc for record in records]),
                     console.standing(records, targets=one.cell.recipe.targets)))  # fmt: skip
    return table_text.aligned(rows)


def spark(values: Sequence[float], *, width: int = 16) -> str:
    """Return the last `width` values as a small curve from the lowest to the highest of them."""
    shown = values[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    return "".join(SPARKS[round((value - low) / (high - low) * 7) if high > low else 0] for value in shown)


# --- while it runs --------------------------------------------------------------------------------------------------


class View:
    """Says nothing; the others say more. Used as a context around an execution."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def begin(self, planned: plan.Plan, *, jobs: int) -> None:
        """An execution begins with the study as it stands."""

    def event(self, kind: str, cell: grid.Cell, text: str) -> None:
        """A cell began, is done, begins again, failed or was left."""

    def look(self) -> None:
        """Time for a look at the cells."""


class PlainView(View):
    """A line for each thing that happens. For logs, pipes, batch systems."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._planned: plan.Plan | None = None
        self._done = 0

    def begin(self, planned: plan.Plan, *, jobs: int) -> None:
        """Say how much is to be done."""
        self._planned, self._done = planned, planned.count("done")
        self._say(f"{planned.study.name}: {self._done} of {len(planned.standings)} cells done, {jobs} at a time")

    def event(self, kind: str, cell: grid.Cell, text: str) -> None:
        """Say what happened to the cell."""
        assert self._planned is not None, "begin comes first"
        now = plan.standing(self._planned.path, cell, study=self._planned.study)
        self._done += kind == "done"
        told = _told(kind, now, text=text)
        self._say(f"[{self._done}/{len(self._planned.standings)}] {cell.run_name}: {told}")

    def _say(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the reader has gone: that is no reason to stop
            print(visible.shown(text), file=self._stream, flush=True)


def _told(kind: str, now: plan.Standing, *, text: str) -> str:
    run = now.run
    match kind:
        case "began":
            return "began" if run is None else f"goes on after epoch {len(run.epochs)}"
        case "done":
            assert run is not None, "it was trained"
            why = f", {run.status.reason}" if run.status.reason else ""
            return f"{run.state} after {len(run.epochs)} epochs{why}; {_crossed(run)}"
        case "retried":
            return f"once more: {_first(text)}"
        case "left":
            return f"saved after {now.epochs} epochs"
        case _:
            return f"failed: {_first(text)}"


def _crossed(run: store.StoredRun) -> str:
    """Return the first crossings of a run and its best accuracy."""
    best = crossing_rules.best(run.epochs)
    first = [crossing_rules.crossing(run.epochs, target) for target in run.recipe.targets]
    told = [f"{one.target:g} @{one.epoch}" if one.reached else f"{one.target:g} not reached" for one in first]
    return ", ".join([*([] if best is None else [f"best {best.val_acc:.4f} @{best.epoch}"]), *told])


class JsonView(View):
    """One JSON object a line on stdout: {"event": "done", "run": ..., "arm": ..., "seed": ..., "text": ...}."""

    def event(self, kind: str, cell: grid.Cell, text: str) -> None:
        """The event as it is."""
        told = {"event": kind, "run": cell.run_name, "arm": cell.arm, "seed": cell.seed, "text": text}
        with suppress(OSError, ValueError):
            print(json.dumps(told), flush=True)


class RichView(PlainView):
    """Events that scroll, and beneath them the live table of all cells and a line for each cell at work."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._standings: dict[str, plan.Standing] = {}
        self._at_work: set[str] = set()
        self._began, self._epochs_before = clock(), 0
        self._screen = screen.Screen(Console(stderr=True, highlight=False))

    def __enter__(self) -> Self:
        self._screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live table away."""
        self._screen.stop()

    def begin(self, planned: plan.Plan, *, jobs: int) -> None:
        """Draw the table."""
        super().begin(planned, jobs=jobs)
        self._standings = {one.cell.run_name: one for one in planned.standings}
        self._began, self._epochs_before = self._clock(), self._epochs()
        self.look()

    def event(self, kind: str, cell: grid.Cell, text: str) -> None:
        """Say it, and see how the cell stands."""
        super().event(kind, cell, text)
        (self._at_work.add if kind == "began" else self._at_work.discard)(cell.run_name)
        self._see(cell)
        self.look()

    def look(self) -> None:
        """Look at the cells at work, and draw."""
        for one in [one for one in self._standings.values() if one.cell.run_name in self._at_work]:
            self._see(one.cell)
        assert self._planned is not None, "begin comes first"
        now = plan.Plan(
            self._planned.study, self._planned.path, self._planned.book, tuple(self._standings.values()), ()
        )
        working = [one for one in now.standings if one.state == "running"]
        lines = [*table(now), "", *at_work(working[:MOST_LINES]), self._time_left(now)]
        height, width = self._screen.height - 2, self._screen.width
        self._screen.show("\n".join(line[:width] for line in lines[-height:]))

    def _see(self, cell: grid.Cell) -> None:
        assert self._planned is not None, "begin comes first"
        with suppress(errors.StorageError):  # a file that is just being replaced: at the next look
            seen = plan.standing(self._planned.path, cell, study=self._planned.study)
            # Its process needs a moment before it holds the run folder.
            busy = cell.run_name in self._at_work and seen.state != "done"
            self._standings[cell.run_name] = replace(seen, state="running") if busy else seen

    def _epochs(self) -> int:
        return sum(one.epochs for one in self._standings.values())

    def _time_left(self, now: plan.Plan) -> str:
        """Return the time left at the pace since the execution began, all cells taken together."""
        done, left = self._epochs() - self._epochs_before, sum(one.epochs_left for one in now.standings)
        seconds = self._clock() - self._began
        return f"about {console.duration(left * seconds / done)} left" if done and left else ""

    def _say(self, text: str) -> None:
        self._screen.say(text)


def view(choice: console.ProgressChoice) -> View:
    """Return the view of the given name; "auto" is "rich" on a terminal that can, "plain" elsewhere."""
    match console.settled(choice):
        case "rich":
            return RichView()
        case "plain":
            return PlainView()
        case "json":
            return JsonView()
        case "off":
            return View()
