"""What a range test says while it measures: a live line in a terminal, one plain line a seed anywhere else.

    seed 1: swept whole (200 steps, lowest loss 0.9131 at lr 0.027)

As for runs, views write to stderr, "json" one JSON object a line to stdout, and nobody asks the device: what moves is
what the measurement last read.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fewepochs import recipe as recipes
from fewepochs.probes import smoothing
from fewepochs.probes.sweeps import Curve, Sweep
from fewepochs.report import console, screen, sweeps, visible


class Watched(Protocol):
    """What a view looks at while the measurement runs."""

    @property
    def seed(self) -> int:
        """The seed in progress."""

    @property
    def step(self) -> int:
        """Steps done of its sweep."""

    @property
    def lr(self) -> float | None:
        """The learning rate at the last reading."""

    @property
    def loss(self) -> float | None:
        """The smoothed loss at the last reading."""


class View:
    """Says nothing; the other views say more. Used as a context around a measurement."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def start(self, recipe: recipes.Recipe, *, sweep: Sweep, seeds: Sequence[int], progress: Watched) -> None:
        """A measurement begins."""

    def swept(self, curve: Curve) -> None:
        """A seed's sweep has ended."""

    def note(self, text: str) -> None:
        """Something that a user should know."""


class PlainView(View):
    """One line a seed, flushed; no cursor movement."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._sweep = Sweep()

    def start(self, recipe: recipes.Recipe, *, sweep: Sweep, seeds: Sequence[int], progress: Watched) -> None:
        """Say what begins."""
        del progress  # a plain line has nothing that moves
        self._sweep = sweep
        self.note(start_line(recipe, sweep=sweep, seeds=seeds))

    def swept(self, curve: Curve) -> None:
        """Print how the seed's sweep ended."""
        self.note(swept_line(curve, sweep=self._sweep))

    def note(self, text: str) -> None:
        """Print a line; a reader that has gone away does not disturb the measurement."""
        with suppress(OSError, ValueError):
            print(visible.shown(text), file=self._stream, flush=True)


class JsonView(View):
    """One JSON object a line on stdout."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream

    def start(self, recipe: recipes.Recipe, *, sweep: Sweep, seeds: Sequence[int], progress: Watched) -> None:
        """Name the recipe, its digest and the seeds."""
        del progress
        self._event("start", recipe=recipe.name, digest=recipes.digest(recipe), seeds=list(seeds), steps=sweep.steps)

    def swept(self, curve: Curve) -> None:
        """How the seed's sweep ended."""
        self._event("swept", seed=curve.seed, ended=curve.stop.kind, steps=curve.stop.steps, lr=curve.stop.lr)

    def note(self, text: str) -> None:
        """A message as an event."""
        self._event("note", text=text)

    def _event(self, event: str, **fields: object) -> None:
        with suppress(OSError, ValueError):
            print(visible.shown(json.dumps({"event": event, **fields})), file=self._stream, flush=True)


class RichView(View):
    """Lines of seeds that scroll, and a live line beneath: seed, step, bar, rate, loss, time left."""

    def __init__(self) -> None:
        self._sweep = Sweep()
        self._seeds: tuple[int, ...] = ()
        self._progress: Watched | None = None
        self._pace = console.Pace()
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

    def start(self, recipe: recipes.Recipe, *, sweep: Sweep, seeds: Sequence[int], progress: Watched) -> None:
        """Say what begins, and start the live line."""
        self._sweep, self._seeds, self._progress = sweep, tuple(seeds), progress
        self.note(start_line(recipe, sweep=sweep, seeds=seeds))

    def swept(self, curve: Curve) -> None:
        """Print how the seed's sweep ended."""
        self.note(swept_line(curve, sweep=self._sweep))

    def note(self, text: str) -> None:
        """Print above the live line; a terminal that has gone away does not disturb the measurement."""
        self._screen.say(text)

    def _draw(self) -> RenderableType:
        progress, steps = self._progress, self._sweep.steps
        if progress is None or progress.seed not in self._seeds:
            return Text("preparing ...", style="dim")
        before = self._seeds.index(progress.seed)
        self._pace.see(before * steps + progress.step, at=time.monotonic())
        rate = self._pace.rate()
        left = (len(self._seeds) - before) * steps - progress.step
        line = Table.grid(padding=(0, 2), expand=False)
        line.add_row(
            f"seed {progress.seed} ({before + 1}/{len(self._seeds)})",
            f"step {progress.step}/{steps}",
            ProgressBar(total=steps, completed=progress.step, width=16),
            "" if progress.lr is None else f"lr {progress.lr:.2g}",
            "" if progress.loss is None else f"loss {progress.loss:.4g}",
            "" if rate is None else f"{console.duration(left / rate)} left at most",
        )
        return line


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


def start_line(recipe: recipes.Recipe, *, sweep: Sweep, seeds: Sequence[int]) -> str:
    """Return the line that a measurement begins with."""
    told = ", ".join(map(str, seeds))
    settings = sweeps.sweep_line({name: getattr(sweep, name) for name in ("kind", "from_lr", "up_to_lr", "steps")})
    return f"{recipe.name}: {settings}, batch {recipe.batch_size}, {recipe.precision}; seeds: {told}"


def swept_line(curve: Curve, *, sweep: Sweep) -> str:
    """Return the line of a seed whose sweep has ended."""
    line = f"seed {curve.seed}: {sweeps.ended(curve.stop, sweep=sweep)}"
    if len(curve.losses) == 0:
        return f"{line} (no step has a loss)"
    smooth = smoothing.smooth(curve, sweep=sweep)
    lowest = int(smooth.loss.argmin())
    steps = f"{len(curve.losses)} {'step' if len(curve.losses) == 1 else 'steps'}"
    return f"{line} ({steps}, lowest loss {smooth.loss[lowest]:.4g} at lr {smooth.rates[lowest]:.3g})"
