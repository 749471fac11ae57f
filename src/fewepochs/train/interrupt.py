"""Signals become a wish: finish the step, save, leave.

    before a run, and after it     out at once, through every block on the way (`leaving`)
    while a run trains             SIGINT, SIGTERM, SIGHUP: finish the step, save, leave; SIGINT after one: out at once

A hang-up that is ignored when the process begins (nohup) stays ignored. Signals come to a process's main thread: in
another one nothing is caught, and whoever began it asks its `Stoppable` to stop.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from fewepochs.errors import INTERRUPTED_EXIT_CODE, TERMINATED_EXIT_CODE

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal that came while there was nothing to save; an Exception might be taken for a failure and gone over."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = INTERRUPTED_EXIT_CODE if number == signal.SIGINT else TERMINATED_EXIT_CODE


class Stoppable(Protocol):
    """What is at work and looks at `stop` after each step."""

    stop: bool


@dataclass
class Caught:
    """Which signal asked to stop; None while none did."""

    signal: signal.Signals | None = None


@contextmanager
def leaving() -> Iterator[None]:
    """While inside, a signal that ends a process raises Stopped where it stands; SIGUSR1 finds nothing to save."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise Stopped(number)

    with _handling({**dict.fromkeys(ENDING, leave), signal.SIGUSR1: lambda *_: None}):
        yield


@contextmanager
def catching(
    progress: Stoppable, *, also: Mapping[signal.Signals, Callable[[], object]] | None = None
) -> Iterator[Caught]:
    """While inside, signals ask `progress` to stop, or do what `also` says; then the former handlers come back."""
    caught = Caught()

    def wish(number: int, _frame: FrameType | None) -> None:
        if caught.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        caught.signal = signal.Signals(number)
        progress.stop = True

    def told(number: int, _frame: FrameType | None) -> None:
        if also is not None:
            also[signal.Signals(number)]()

    with _handling({**dict.fromkeys(ENDING, wish), **dict.fromkeys(also or (), told)}):
        yield caught


@contextmanager
def _handling(handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], object]]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else set()
    former = {number: signal.signal(number, handler) for number, handler in handlers.items() if number not in ignored}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
