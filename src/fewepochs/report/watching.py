"""How runs are watched: a table that is drawn anew on a terminal, and a line for each new epoch anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console

from fewepochs import store
from fewepochs.report import screen, visible, watch_console
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
            print(visible.shown(text), file=sys.stderr, flush=True)


class LiveView(View):
    """The table, drawn anew at each look, and taken away at the end."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._screen = screen.Screen(console)

    def __enter__(self) -> Self:
        self._screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the table away."""
        self._screen.stop()

    def look(self, runs: Sequence[store.StoredRun], *, planned: plan.Plan | None) -> None:
        """Draw what is to be seen now."""
        width, height = self._screen.width, self._screen.height
        self._screen.show("\n".join(watch_console.lines(runs, planned=planned, width=width, height=height - 1)))

    def say(self, text: str) -> None:
        """Say it above the table."""
        self._screen.say(text)


def view(*, as_json: bool) -> View:
    """Return the view for whoever reads stdout: a terminal that can, a program, or a file."""
    console = Console(highlight=False)
    if as_json or not console.is_terminal or console.is_dumb_terminal:
        return View(as_json=as_json)
    return LiveView(console)
