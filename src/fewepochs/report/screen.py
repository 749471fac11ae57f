"""A part of the terminal that is drawn anew, with lines that scroll above it.

A terminal that has gone away disturbs nobody: whoever trains goes on training.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from fewepochs.report import visible

_GONE = (OSError, SystemExit)
"""How a terminal that is no longer there shows: rich answers a broken pipe with SystemExit."""


class Screen:
    """Draws what `draw` returns four times a second, or else what `show` is given; taken away by `stop`.

    `draw` is called at once, so that whatever it looks at has to be there before.
    """

    def __init__(self, console: Console, *, draw: Callable[[], RenderableType] | None = None) -> None:
        self._console = console
        self._live = Live(
            console=console, auto_refresh=draw is not None, refresh_per_second=4, transient=True, get_renderable=draw
        )

    @property
    def width(self) -> int:
        """Characters in a line."""
        return self._console.width

    @property
    def height(self) -> int:
        """Lines."""
        return self._console.height

    def start(self) -> None:
        """Begin to draw."""
        with suppress(*_GONE):
            self._live.start()

    def stop(self) -> None:
        """Take away what is drawn."""
        with suppress(*_GONE):
            self._live.stop()

    def show(self, text: str) -> None:
        """Draw `text` instead of what was there."""
        with suppress(*_GONE):
            self._live.update(Text(text), refresh=True)

    def say(self, text: str) -> None:
        """Print a line above, control characters shown as what they are."""
        with suppress(*_GONE):
            self._console.print(Text(visible.shown(text)), soft_wrap=True)
