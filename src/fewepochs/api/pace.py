"""Waiting between two looks, which a signal may end at once."""

from __future__ import annotations

import threading


class Pace:
    """Waits between two looks; `stop`, which a signal may set, ends the waiting at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._stop = threading.Event()

    @property
    def stop(self) -> bool:
        """Whether there shall be no more looks."""
        return self._stop.is_set()

    @stop.setter
    def stop(self, wish: bool) -> None:
        if wish:
            self._stop.set()

    def wait(self) -> bool:
        """Return when it is time for the next look, False if there shall be none."""
        return not self._stop.wait(self._seconds)
