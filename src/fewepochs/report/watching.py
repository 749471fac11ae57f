"""How runs are watched: a table that is drawn anew on a terminal, and a line for each new epoch anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from fewepochs import store
from fewepochs.report import console, labels, watch_console
from fewepochs.study import plan


class View:
    """A line on stdout for each epoch that is new; messages go to stderr. Used as a context around the looks."""

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._done: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def look(self, runs: Sequence[store.StoredRun], *, planned: plan.Plan | None) -> None:
        """Tell what is new."""
        del planned  # its cells are the runs
        tell = watch_console.events if self._as_json else watch_console.news
        for line in tell(self._done, runs):
            with suppress(OSError, ValueError):  # the reader has gone
                print(line, flush=True)
        self._done = watch_console.done(runs)

    def say(self, text: str) -> None:
        """Say that something is the matter."""
        with suppress(OSError, ValueError):
            print(labels.shown(text), file=sys.stderr, flush=True)


class LiveView(View):
    """The table, drawn anew at each look, and taken away at the end."""

    def __init__(self, screen: Console) -> None:
        super().__init__()
        self._console = screen
        self._live = Live(console=screen, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        with suppress(*console.GONE):
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the table away."""
        with suppress(*console.GONE):
            self._live.stop()

    def look(self, runs: Sequence[store.StoredRun], *, planned: plan.Plan | None) -> None:
        """Draw what is to be seen now."""
        size = self._console.size
        told = watch_console.lines(runs, planned=planned, width=size.width, height=size.height - 1)
        with suppress(*console.GONE):
            self._live.update(Text("\n".join(told)), refresh=True)

    def say(self, text: str) -> None:
        """Say it above the table."""
        with suppress(*console.GONE):
            self._console.print(Text(labels.shown(text)), soft_wrap=True)


def view(*, as_json: bool) -> View:
    """Return the view for whoever reads stdout: a terminal that can, a program, or a file."""
    screen = Console(highlight=False)
    if as_json or not screen.is_terminal or screen.is_dumb_terminal:
        return View(as_json=as_json)
    return LiveView(screen)
