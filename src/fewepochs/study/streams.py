"""Cells as threads of this process, each on a CUDA stream of its own: side by side on a GPU that one alone cannot fill.

Processes would take turns on it. The price: what breaks the device or the process breaks all of its cells, and none can
be ended from outside. They go on from their checkpoints when the same command is given again.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

from fewepochs import recipe as recipes
from fewepochs.errors import TERMINATED_EXIT_CODE
from fewepochs.records import CostRecord, EpochRecord
from fewepochs.study import cell as cells
from fewepochs.train import interrupt

CLOSING_SECONDS = 10.0
"""How long those at work may take to save when nobody waits for them any more."""

Tell = Callable[[str, EpochRecord, CostRecord], object]


class Streams:
    """Trains up to `slots` cells at a time. What they have to say goes to files in `logs`, their epochs to `tell`."""

    def __init__(self, *, slots: int, logs: Path, tell: Tell | None = None) -> None:
        self._slots = slots
        self._logs = logs
        self._tell = tell
        # One begins at a time: compilers and recordings are a process's own, and so is the host's memory.
        self._beginning = threading.Lock()
        self._ended: queue.SimpleQueue[tuple[str, cells.Ending]] = queue.SimpleQueue()
        self._at_work: dict[str, tuple[_View, threading.Thread]] = {}

    @property
    def free(self) -> int:
        """How many cells more may begin now."""
        return self._slots - len(self._at_work)

    @property
    def together(self) -> int:
        """How many cells may share the device at a time."""
        return self._slots

    def begin(self, name: str, job: cells.Job) -> None:
        """Start the cell `name`."""
        view = _View(name, log=self._logs / f"{name}.log", tell=self._tell)
        # A daemon: whoever leaves without waiting is not held up. Half a checkpoint is none.
        thread = threading.Thread(target=self._train, args=(name, job, view), name=name, daemon=True)
        self._at_work[name] = view, thread
        thread.start()

    def ended(self, *, seconds: float) -> list[tuple[str, cells.Ending]]:
        """Return the cells that have ended, waiting up to `seconds` for one that does."""
        if not self._at_work:
            time.sleep(seconds)
            return []
        try:
            name, ending = self._ended.get(timeout=seconds)
        except queue.Empty:
            return []
        _, thread = self._at_work.pop(name)
        thread.join()
        return [(name, ending)]

    def stop(self) -> None:
        """Ask all cells to save and leave."""
        for view, _ in self._at_work.values():
            view.stop()

    def close(self) -> None:
        """Let what is still at work save, but do not wait for it for long."""
        self.stop()
        deadline = time.monotonic() + CLOSING_SECONDS
        for _, thread in self._at_work.values():
            thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def _train(self, name: str, job: cells.Job, view: _View) -> None:
        try:
            with _stream(job.runtime.device), view.beginning(self._beginning):
                ending = cells.train(job, view=view)
        except BaseException as error:  # whatever it is: a cell that does not say how it ended is waited for for ever
            view.note(traceback.format_exc())
            first, _, _ = str(error).partition("\n")  # CUDA's are pages, which are in the log
            ending = cells.Ending(exit_code=cells.CRASHED, message=f"{type(error).__name__}: {first}")
        if view.stopped and ending.exit_code == 0:
            ending = cells.Ending(exit_code=TERMINATED_EXIT_CODE, message="asked to stop")
        self._ended.put((name, ending))


class _View:
    """Writes down what a run says, lets the next one begin once this one has, and stops it."""

    def __init__(self, name: str, *, log: Path, tell: Tell | None) -> None:
        self._name, self._log, self._tell = name, log, tell
        self._progress: interrupt.Stoppable | None = None
        self._hold = ExitStack()
        self.stopped = False

    @contextmanager
    def beginning(self, lock: threading.Lock) -> Iterator[None]:
        """Hold `lock` until the run has begun, or has ended without that."""
        with self._hold:
            self._hold.enter_context(lock)
            yield

    def start(
        self, recipe: recipes.Recipe, *, name: str, done: Sequence[EpochRecord], progress: interrupt.Stoppable
    ) -> None:
        """A run begins, or goes on: the next one may get ready."""
        del recipe, name, done
        self._progress = progress
        progress.stop = progress.stop or self.stopped
        self._hold.close()

    def epoch(self, record: EpochRecord, cost: CostRecord) -> None:
        """An epoch has ended."""
        if self._tell is not None:
            self._tell(self._name, record, cost)

    def note(self, text: str) -> None:
        """Write it down, where there is room."""
        with suppress(OSError), self._log.open("a", encoding="utf-8") as file:
            print(text, file=file)

    def stop(self) -> None:
        """Save and leave after this step."""
        self.stopped = True
        if self._progress is not None:
            self._progress.stop = True


def _stream(device: str) -> AbstractContextManager[object]:
    """Return a stream of this thread's own on the GPU that `device` means, or nothing where it means none."""
    import torch  # not for those who only plan

    if device == "cpu" or not torch.cuda.is_available():  # who asked for a GPU and has none is told by the run
        return nullcontext()
    stream = torch.cuda.Stream(device if device.startswith("cuda") else "cuda")  # type: ignore[no-untyped-call]
    return torch.cuda.stream(stream)
