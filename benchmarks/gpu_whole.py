"""Train recipes whole on one GPU, several at a time in one process, each in a thread and on a stream of its own.

usage: python -m benchmarks.gpu_whole JOB... --data DIR --out RUNS [--lanes 3] [--minutes 8] [--kernels torch]

A JOB is a line as `fewepochs train` takes it: a recipe, then fields of it, and how many epochs of it are wanted.

    'fewest seed=1'    'fewest seed=0 batch_size=64 optimizer.lr=0.03'    'resnet56v2-adam-atienza until=90'

Jobs are begun in their order, as many at a time as there are lanes; each leaves the run folder that `train` leaves.
When the time is up, or after Ctrl-C, what is at work is saved and left: the same command goes on with it.
"""

from __future__ import annotations

import argparse
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.errors import FewEpochsError
from fewepochs.records import CostRecord, EpochRecord
from fewepochs.train import loop, running


@dataclass(frozen=True)
class Job:
    """A recipe with its seed, and after how many epochs it is left."""

    recipe: recipes.Recipe
    until: int | None

    @classmethod
    def of(cls, text: str) -> Job:
        """Return the job that `text` says. Raises RecipeError, or ValueError where `until` is no number of epochs."""
        name, *fields = text.split()
        until = [field.removeprefix("until=") for field in fields if field.startswith("until=")]
        if not all(number.isdecimal() and int(number) > 0 for number in until):
            raise ValueError(f"{text}: until= takes a number of epochs")
        overrides = [field for field in fields if not field.startswith("until=")]
        return cls(recipes.load(name, overrides=overrides), int(until[-1]) if until else None)


class Lanes:
    """Jobs that wait, those at work, and the wish that everything be saved and left."""

    def __init__(self, jobs: Sequence[Job], *, out: Path, runtime: runtimes.Runtime) -> None:
        self._waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            self._waiting.put(job)
        self._out, self._runtime = out, runtime
        self._beginning = threading.Lock()
        self._at_work: set[View] = set()
        self.over = False
        self.failed: list[str] = []

    def walk(self) -> None:
        """Train one job after the other, until none is left or the time is up."""
        cuda = self._runtime.device == "cuda" and torch.cuda.is_available()  # who has none is told by the run
        aside = torch.cuda.Stream() if cuda else None  # type: ignore[no-untyped-call]
        with torch.cuda.stream(aside):
            while not self.over:
                try:
                    job = self._waiting.get_nowait()
                except queue.Empty:
                    return
                self._train(job)

    def _train(self, job: Job) -> None:
        name = store.run_name(job.recipe)
        # One begins at a time: compilers and recordings are a process's own, and so is the host's memory.
        self._beginning.acquire()
        view = View(name, begun=self._beginning.release, lanes=self)
        self._at_work.add(view)
        try:
            running.train(self._out / name, job.recipe, runtime=self._runtime, view=view, until=job.until)
        except Exception as error:  # one that fails leaves the others alone
            self.failed.append(f"{name}: {type(error).__name__}: {error}")
            print(self.failed[-1], file=sys.stderr, flush=True)
        finally:
            view.end()
            self._at_work.discard(view)

    def stop(self) -> None:
        """Let whoever is at work save and leave."""
        self.over = True
        for view in list(self._at_work):
            view.stop()


class View:
    """Tells of a run's epochs, and stops it."""

    def __init__(self, name: str, *, begun: Callable[[], None], lanes: Lanes) -> None:
        self._name, self._begun, self._lanes = name, begun, lanes
        self._progress: loop.Progress | None = None

    def start(self, *_: Any, progress: loop.Progress, **__: Any) -> None:
        """A run begins, or goes on: the next one may get ready."""
        self._progress = progress
        progress.stop = self._lanes.over
        self.end()

    def end(self) -> None:
        """Let the next one begin, if that has not happened yet."""
        begun, self._begun = self._begun, lambda: None
        begun()

    def stop(self) -> None:
        """Save and leave after this step."""
        if self._progress is not None:
            self._progress.stop = True

    def epoch(self, record: EpochRecord, cost: CostRecord) -> None:
        """Tell an epoch."""
        seconds = f"{cost.train_seconds:.2f} s + {cost.evaluation_seconds:.2f} s"
        print(f"{self._name} {record.epoch}: {record.val_acc:.4f} {record.val_loss:.4f} {seconds}", flush=True)

    def note(self, text: str) -> None:
        """Something that a user should know."""
        print(f"{self._name}: {text}", file=sys.stderr, flush=True)


def train(jobs: Sequence[Job], *, out: Path, runtime: runtimes.Runtime, lanes: int, seconds: float) -> Sequence[str]:
    """Train the jobs, so many at a time as there are lanes, for so long at most; return why those failed that did."""
    at_work = Lanes(jobs, out=out, runtime=replace(runtime, together=lanes))
    with ThreadPoolExecutor(lanes) as threads:
        walks = [threads.submit(at_work.walk) for _ in range(lanes)]
        try:
            wait(walks, timeout=seconds)
        finally:  # after Ctrl-C, too
            at_work.stop()
    for walk in walks:
        walk.result()
    return at_work.failed


def main() -> None:
    """Train the jobs; exit with 1 if one of them failed."""
    arguments = _arguments()
    runtime = runtimes.Runtime(
        device=arguments.device,
        kernels=arguments.kernels,
        graphs="on" if arguments.device == "cuda" else "auto",
        threads=1,
        data=arguments.data,
        deterministic=arguments.deterministic,
    )
    seconds = 60.0 * arguments.minutes
    failed = train(arguments.jobs, out=arguments.out, runtime=runtime, lanes=arguments.lanes, seconds=seconds)
    sys.exit(1 if failed else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="+", metavar="JOB")
    parser.add_argument("--data", type=Path, help="where CIFAR-10 lies")
    parser.add_argument("--out", type=Path, required=True, help="where the run folders come")
    parser.add_argument("--lanes", type=int, default=3, help="so many at a time")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--kernels", default="torch", choices=runtimes.KERNELS)
    parser.add_argument("--deterministic", action="store_true", help="let CUDA repeat its bits")
    arguments = parser.parse_args()
    if arguments.lanes < 1:
        parser.error("--lanes: 1 or more")
    try:
        arguments.jobs = [Job.of(text) for text in arguments.jobs]
    except (FewEpochsError, ValueError) as error:
        parser.error(str(error))
    return arguments


if __name__ == "__main__":
    main()
