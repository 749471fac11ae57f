"""Cells as processes of this machine: each one its own, so that one that crashes, hangs or eats memory harms no other.

A process may have cores of its own (`shares`), so that neither it nor its memory is moved about between them. One that
shows no sign of life in its run folder for `stall_seconds` is ended. It gets SIGTERM, which saves, and after a while
SIGKILL. When this process goes, however it goes, its cells see the end of their stdin and save, too.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from fewepochs import disk, store
from fewepochs.study import cell as cells

WORKER = (sys.executable, "-m", "fewepochs.study.worker")
GRACE_SECONDS = 60.0
"""From SIGTERM to SIGKILL: a checkpoint is written between two steps."""
MOST_WORDS = 2000


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def shares(count: int) -> tuple[frozenset[int], ...]:
    """Return `count` sets of one size of the cores that this process may use, none in two; () for more than there are.

    What is left over when cores cannot be divided stays free.
    """
    mine = sorted(os.sched_getaffinity(0))
    size = len(mine) // count
    return tuple(frozenset(mine[k * size : (k + 1) * size]) for k in range(count)) if size else ()


def gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, by index or UUID; none where there is no driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip())
    import pynvml

    try:
        pynvml.nvmlInit()
        return tuple(map(str, range(pynvml.nvmlDeviceGetCount())))
    except pynvml.NVMLError:
        return ()


@dataclass
class _Child:
    """A cell's process; `pulse` is the newest sign of life in its folder, seen at the time `seen`."""

    name: str
    job: cells.Job
    process: subprocess.Popen[bytes]
    log: Path
    words_from: int
    slot: int
    seen: float
    pulse: int = 0
    told_to_stop: float | None = field(default=None)
    stalled: bool = False


class Local:
    """Trains up to `slots` cells at a time. `gpus` are the indices of those to use, one a slot in turn.

    `pins` are the cores of each slot; without them cells run on any. A cell with pins that leaves its threads open has
    as many as cores.
    """

    def __init__(
        self,
        *,
        slots: int,
        logs: Path,
        stall_seconds: float,
        gpus: Sequence[str] = (),
        pins: Sequence[frozenset[int]] = (),
        command: Sequence[str] = WORKER,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._slots = slots
        self._logs = logs
        self._stall = stall_seconds
        self._gpus = tuple(gpus)
        self._pins = tuple(pins)
        self._command = tuple(command)
        self._grace = grace_seconds
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()

    @property
    def free(self) -> int:
        """How many cells more may begin now."""
        return self._slots - len(self._children)

    @property
    def together(self) -> int:
        """How many cells may share a device at a time: a GPU, or the processors."""
        return -(-self._slots // (len(self._gpus) or 1))

    def begin(self, name: str, job: cells.Job) -> None:
        """Start the cell `name`. Raises StorageError where its log cannot be written."""
        log = self._logs / f"{name}.log"
        slot = min(set(range(self._slots)) - {child.slot for child in self._children.values()})
        with _opened(log) as words:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                start_new_session=True,  # Ctrl-C is for this process; it passes on what it makes of it
                env=self._environment(slot, job),
            )
            words_from = words.tell()
        if self._pins:  # before it has its job: it makes its threads after that, and they stay where it is
            with suppress(OSError):  # it is gone, or the system does not let it: slower, and the same bits
                os.sched_setaffinity(process.pid, self._pins[slot])
        assert process.stdin is not None, "asked for"
        with suppress(BrokenPipeError):  # it is gone already: its exit code will tell
            process.stdin.write(job.model_dump_json().encode() + b"\n")
            process.stdin.flush()
        child = _Child(name, job, process, log, words_from, slot, seen=time.monotonic())
        pid_file = os.pidfd_open(process.pid)
        self._children[pid_file] = child
        self._selector.register(pid_file, selectors.EVENT_READ)

    def ended(self, *, seconds: float) -> list[tuple[str, cells.Ending]]:
        """Return the cells that have ended, waiting up to `seconds` for one that does."""
        if not self._children:
            time.sleep(seconds)
            return []
        found = [key.fd for key, _ in self._selector.select(seconds)]
        endings = [self._bury(pid_file) for pid_file in found]
        for child in self._children.values():
            self._look_after(child)
        return endings

    def stop(self) -> None:
        """Ask all cells to save and leave."""
        for child in self._children.values():
            self._tell_to_stop(child)

    def close(self) -> None:
        """End what is still at work, at once."""
        for pid_file, child in list(self._children.items()):
            child.process.kill()
            self._bury(pid_file)
        self._selector.close()

    def _environment(self, slot: int, job: cells.Job) -> dict[str, str]:
        threads = job.runtime.threads or (len(self._pins[slot]) if self._pins else None)
        own = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
        if self._gpus:
            own["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
        return {**os.environ, **own}

    def _bury(self, pid_file: int) -> tuple[str, cells.Ending]:
        child = self._children.pop(pid_file)
        self._selector.unregister(pid_file)
        os.close(pid_file)
        assert child.process.stdin is not None, "asked for"
        assert child.process.stdout is not None, "asked for"
        with suppress(BrokenPipeError):
            child.process.stdin.close()
        said = _read_all(child.process.stdout)
        code = child.process.wait()
        if child.stalled:
            text = f"no sign of life in its folder for {self._stall / 60:g} min; ended"
            return child.name, cells.Ending(exit_code=-signal.SIGKILL, message=text)
        try:
            return child.name, cells.Ending.model_validate_json(said)
        except ValidationError:  # it did not get as far as saying how it ended, whatever its code
            return child.name, cells.Ending(exit_code=code or cells.CRASHED, message=_last_words(child, code))

    def _look_after(self, child: _Child) -> None:
        now, pulse = time.monotonic(), _pulse(child.job.path)
        if pulse != child.pulse:
            child.pulse, child.seen = pulse, now
        if child.told_to_stop is not None:
            if now - child.told_to_stop > self._grace:
                child.process.kill()
        elif now - child.seen > self._stall:
            child.stalled = True
            self._tell_to_stop(child)

    @staticmethod
    def _tell_to_stop(child: _Child) -> None:
        if child.told_to_stop is None:
            child.told_to_stop = time.monotonic()
            child.process.terminate()


def _pulse(path: Path) -> int:
    """Return when anything in a run folder last changed, in nanoseconds; 0 where there is nothing yet."""
    newest = 0
    for file in (path / store.EPOCHS, path / store.STATUS, path / store.CHECKPOINTS):
        with suppress(OSError):
            newest = max(newest, file.stat().st_mtime_ns)
    return newest


def _opened(log: Path) -> IO[bytes]:
    try:
        return log.open("ab")
    except OSError as error:
        raise disk.unwritable(log, error) from None


def _read_all(pipe: IO[bytes]) -> bytes:
    with pipe:
        return pipe.read()


def _last_words(child: _Child, code: int) -> str:
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    with suppress(OSError), child.log.open("rb") as file:
        file.seek(max(child.words_from, file.seek(0, os.SEEK_END) - MOST_WORDS))
        lines = file.read().decode(errors="replace").strip().splitlines()
        if lines:
            return f"{how}: {lines[-1]}"
    return how
