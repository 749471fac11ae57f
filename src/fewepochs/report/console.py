"""What a run says while it trains: a live line in a terminal, one plain line an epoch anywhere else.

    epoch  12/200   loss 0.6213  acc 0.8421  val_loss 0.7002  val_acc 0.8187   lr 0.001   212 s  236 img/s   best ...

Views write to stderr, so that stdout stays data; the view "json" writes one JSON object a line to stdout. A live line
is drawn by a thread of its own that looks at the loop's progress: plain numbers of the host; the device is not asked.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TextIO

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fewepochs import recipe as recipes
from fewepochs.records import CostRecord, Epoch, EpochRecord
from fewepochs.report import screen, summary, table_text, visible
from fewepochs.stats import target as crossing_rules

ProgressChoice = Literal["auto", "rich", "plain", "json", "off"]


class Watched(Protocol):
    """What a view looks at while the loop runs."""

    @property
    def epoch(self) -> int:
        """The epoch in progress, from 1; 0 before the first."""

    @property
    def step(self) -> int:
        """Steps done in it."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch."""

    @property
    def phase(self) -> str:
        """ "setup", "training" or "evaluation"."""


class View:
    """Says nothing; the other views say more. Used as a context around a run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def start(self, recipe: recipes.Recipe, *, name: str, done: Sequence[EpochRecord], progress: Watched) -> None:
        """A run begins, or goes on after the epochs `done`."""

    def epoch(self, record: EpochRecord, cost: CostRecord) -> None:
        """An epoch has ended."""

    def note(self, text: str) -> None:
        """Something that a user should know."""


class PlainView(View):
    """One line an epoch, flushed; no cursor movement. For logs, pipes, batch systems."""

    def __init__(self, stream: TextIO | None = None, *, verbose: bool = False) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._verbose = verbose
        self._recipe: recipes.Recipe | None = None
        self._records: list[EpochRecord] = []
        self._explained = False

    def start(self, recipe: recipes.Recipe, *, name: str, done: Sequence[EpochRecord], progress: Watched) -> None:
        """Say what begins, and on which images it is validated."""
        self._recipe, self._records = recipe, list(done)
        del progress  # a plain line has nothing that moves
        self.note(start_line(recipe, name=name, done=done))
        if self._verbose:
            for record in done:
                self.note(epoch_line(record, None, recipe=recipe))

    def epoch(self, record: EpochRecord, cost: CostRecord) -> None:
        """Print the epoch's line, and once, why joules are missing."""
        assert self._recipe is not None, "start comes first"
        self._records.append(record)
        self.note(self._line(record, cost, recipe=self._recipe))
        if cost.joules is None and not self._explained:
            self._explained = True
            self.note(f"joules are not measured: {cost.joules_reason}")

    def _line(self, record: EpochRecord, cost: CostRecord, *, recipe: recipes.Recipe) -> str:
        parts = (epoch_line(record, cost, recipe=recipe), needs(cost), standing(self._records, targets=recipe.targets))
        return "  ".join(part for part in parts if part)

    def note(self, text: str) -> None:
        """Print a line; a reader that has gone away does not disturb training."""
        _print(text, self._stream)


class JsonView(View):
    """One JSON object a line on stdout: {"event": "epoch", "run": ..., the records' fields}."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._name = ""

    def start(self, recipe: recipes.Recipe, *, name: str, done: Sequence[EpochRecord], progress: Watched) -> None:
        """Name the run and its digest."""
        del progress
        self._name = name
        digest, validation = recipes.digest(recipe), summary.validation(recipe.data)
        self._event("start", digest=digest, epochs_done=len(done), budget=recipe.budget.epochs, validation=validation)

    def epoch(self, record: EpochRecord, cost: CostRecord) -> None:
        """Both records of the epoch."""
        self._event("epoch", record=record.model_dump(), cost=cost.model_dump())

    def note(self, text: str) -> None:
        """A message as an event."""
        self._event("note", text=text)

    def _event(self, event: str, **fields: object) -> None:
        _print(json.dumps({"event": event, "run": self._name, **fields}), self._stream)


class RichView(PlainView):
    """Epoch lines that scroll, and a live line beneath: bar, time left, images/s, best, distance to the target."""

    def __init__(self, *, verbose: bool = False) -> None:
        super().__init__(verbose=verbose)
        self._progress: Watched | None = None
        self._cost: CostRecord | None = None
        self._pace = Pace()
        # Last: it draws at once.
        self._screen = screen.Screen(Console(stderr=True, highlight=False), draw=self._draw)

    def __enter__(self) -> Self:
        self._screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live line away."""
        self._progress = None
        self._screen.stop()

    def start(self, recipe: recipes.Recipe, *, name: str, done: Sequence[EpochRecord], progress: Watched) -> None:
        """Say what begins, and start the live line."""
        super().start(recipe, name=name, done=done, progress=progress)
        self._progress, self._pace = progress, Pace()

    def note(self, text: str) -> None:
        """Print above the live line; a terminal that has gone away does not disturb training."""
        self._screen.say(text)

    def _line(self, record: EpochRecord, cost: CostRecord, *, recipe: recipes.Recipe) -> str:
        self._cost = cost
        return epoch_line(record, cost, recipe=recipe)  # the rest is in the live line

    def _draw(self) -> RenderableType:
        progress, recipe = self._progress, self._recipe
        if progress is None or recipe is None or progress.steps_per_epoch == 0:
            return Text("preparing ...", style="dim")
        done = (progress.epoch - 1) * progress.steps_per_epoch + progress.step
        total = recipe.budget.epochs * progress.steps_per_epoch
        self._pace.see(done, at=time.monotonic())
        line = Table.grid(padding=(0, 2), expand=False)
        line.add_row(
            f"epoch {progress.epoch}/{recipe.budget.epochs}",
            f"step {progress.step}/{progress.steps_per_epoch}",
            ProgressBar(total=progress.steps_per_epoch, completed=progress.step, width=16),
            self._pace.text(left=total - done, batch_size=recipe.batch_size)
            if progress.phase == "training"
            else progress.phase,
            needs(self._cost),
            standing(self._records, targets=recipe.targets),
        )
        return line


class Pace:
    """Steps a second over the last half minute that was looked at; evaluation and pauses show as they are."""

    WINDOW_SECONDS = 30.0

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def see(self, steps: int, *, at: float) -> None:
        """Note that `steps` steps are done at the monotonic second `at`."""
        self._seen.append((at, steps))
        while len(self._seen) > 2 and self._seen[0][0] < at - self.WINDOW_SECONDS:
            self._seen.pop(0)

    def rate(self) -> float | None:
        """Return steps a second, or None before there is a stretch to measure."""
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start) if end > start and last > first else None

    def text(self, *, left: int, batch_size: int) -> str:
        """Return images/s and the time left for `left` steps."""
        rate = self.rate()
        return "..." if rate is None else f"{rate * batch_size:.0f} img/s  {duration(left / rate)} left"


def view(choice: ProgressChoice, *, verbose: bool = False) -> View:
    """Return the view of the given name; "auto" is "rich" on a terminal that can, "plain" elsewhere."""
    match settled(choice):
        case "rich":
            return RichView(verbose=verbose)
        case "plain":
            return PlainView(verbose=verbose)
        case "json":
            return JsonView()
        case "off":
            return View()


def settled(choice: ProgressChoice) -> Literal["rich", "plain", "json", "off"]:
    """Return what `choice` means here: "auto" is "rich" on a terminal that can, "plain" elsewhere."""
    if choice != "auto":
        return choice
    capable = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
    return "rich" if capable else "plain"


# --- after a run --------------------------------------------------------------------------------------------------


def summary_lines(answers: Mapping[str, Any]) -> list[str]:
    """Return what `summary.build` found as lines for a terminal: answers, then a row for each run, then caveats."""
    lines: list[str] = []
    for recipe in answers["recipes"]:
        lines.extend(f"{answer['sentence']}." for answer in recipe["answers"])
        lines.append(f"  {recipe['validation']}")
    lines.append("")
    rows = [_RUN_COLUMNS, *(_run_row(run) for run in answers["runs"])]
    lines.extend(table_text.aligned(rows))
    lines.extend(["", *(f"note: {caveat}" for caveat in answers["caveats"])] if answers["caveats"] else [])
    return lines


_RUN_COLUMNS = ("run", "state", "epochs", "best val_acc", "first/held", "training", "joules")


def _run_row(run: Mapping[str, Any]) -> tuple[str, ...]:
    best, costs, unknown = run["best"], run["costs"], "unknown" if run["foreign"] else ""
    crossings = "  ".join(
        f"{entry['target']:g}: {_epoch(entry['first'])}/{_epoch(entry['held'])}" for entry in run["crossings"]
    )
    return (
        run["run"],
        run["state"],
        f"{run['epochs']}/{run['budget']}",
        "-" if best is None else f"{best['val_acc']:.4f} @{best['epoch']}",
        crossings or "-",
        unknown or ("-" if costs["train_seconds"] is None else duration(costs["train_seconds"])),
        unknown or ("not measured" if costs["joules"] is None else f"{costs['joules']:.0f}"),
    )


def _epoch(crossing: Mapping[str, Any]) -> str:
    if not crossing["reached"]:
        return f">{crossing['censored_at']}"
    return f"{crossing['epoch']}{'*' if crossing['pinned'] else ''}"


# --- lines --------------------------------------------------------------------------------------------------------


def start_line(recipe: recipes.Recipe, *, name: str, done: Sequence[EpochRecord]) -> str:
    """Return the line that a run begins with."""
    seeds = " ".join(f"{stream} {recipe.stream_seed(stream)}" for stream in recipes.STREAMS)
    verb = f"resuming after epoch {len(done)}" if done else "training"
    return (
        f"{name}: {verb} of {recipe.budget.epochs}, batch {recipe.batch_size}, {recipe.precision}, "
        f"{summary.validation(recipe.data)}; seeds: {seeds}"
    )


def epoch_line(record: EpochRecord, cost: CostRecord | None, *, recipe: recipes.Recipe) -> str:
    """Return the line of one epoch: Keras's names in Keras's order, then the rate and the time."""
    width = len(str(recipe.budget.epochs))
    parts = [
        f"epoch {record.epoch:{width}d}/{recipe.budget.epochs}",
        f"loss {record.loss:.4f}  acc {record.acc:.4f}  val_loss {record.val_loss:.4f}  val_acc {record.val_acc:.4f}",
        f"lr {record.lr_last:g}",
    ]
    if record.test_acc is not None:
        parts.insert(2, f"test_acc {record.test_acc:.4f}")
    if cost is not None:
        parts.append(f"{duration(cost.train_seconds)}  {cost.images_per_second:.0f} img/s")
    return "  ".join(parts)


def needs(cost: CostRecord | None) -> str:
    """Return the peak memory and the epoch's joules, as far as they were measured."""
    if cost is None:
        return ""
    memory = "" if cost.peak_memory_bytes is None else f"{cost.peak_memory_bytes / 2**30:.1f} GiB"
    joules = "" if cost.joules is None else f"{cost.joules:.0f} J"
    return "  ".join(part for part in (memory, joules) if part)


def standing(records: Sequence[Epoch], *, targets: Sequence[float]) -> str:
    """Return the best so far and how far the next target is."""
    best = crossing_rules.best(records)
    if best is None:
        return ""
    missed = [target for target in sorted(targets) if best.val_acc < target]
    ahead = (
        f", {missed[0] - best.val_acc:.4f} to {missed[0]:g}" if missed else ", all targets reached" if targets else ""
    )
    return f"best {best.val_acc:.4f} @{best.epoch}{ahead}"


def duration(seconds: float) -> str:
    """Return seconds as people say them: 0.4 s, 93 s, 1 h 02 min.

    >>> duration(3725)
    '1 h 02 min'
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _print(text: str, stream: TextIO) -> None:
    try:
        print(visible.shown(text), file=stream, flush=True)
    except (OSError, ValueError):  # the reader has gone, or closed the stream
        return
