"""Signals become a wish: finish the step, save, leave.

SIGINT, SIGTERM, SIGHUP   once: `progress.stop`; SIGINT twice: out at once
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol


class Stoppable(Protocol):
    """What is at work and looks at `stop` after each step."""

    stop: bool


@dataclass
class Caught:
    """Which signal asked to stop; None while none did."""

    signal: signal.Signals | None = None


@contextmanager
def catching(progress: Stoppable) -> Iterator[Caught]:
    """While inside, signals ask `progress` to stop; the former handlers come back afterwards."""
    caught = Caught()

    def wish(number: int, _frame: FrameType | None) -> None:
        if caught.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        caught.signal = signal.Signals(number)
        progress.stop = True

    former = {number: signal.signal(number, wish) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield caught
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
