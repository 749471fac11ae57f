"""Train recipes whole on one GPU, several at a time in one process, each in a thread and on a stream of its own.

usage: python -m benchmarks.gpu_whole JOB... --data DIR --out RUNS [--lanes 3] [--minutes 8] [--kernels torch]

A JOB is a line as `fewepochs train` takes it: a recipe, then fields of it, and how many epochs of it are wanted.

    'fewest seed=1'    'fewest seed=0 batch_size=64 optimizer.lr=0.03'    'resnet56v2-adam-atienza until=90'

Jobs are begun in their order, as many at a time as there are lanes; each leaves the run folder that `train` leaves.
When the time is up, or after Ctrl-C, what is at work is saved and left: the same command goes on with it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.errors import TERMINATED_EXIT_CODE, FewEpochsError
from fewepochs.records import CostRecord, EpochRecord
from fewepochs.study import cell, folder, streams


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


def train(
    jobs: Sequence[Job],
    *,
    out: Path,
    runtime: runtimes.Runtime,
    lanes: int,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Sequence[str]:
    """Train the jobs, so many at a time as there are lanes, for so long at most; return why those failed that did."""
    place = streams.Streams(slots=lanes, logs=folder.logs(out), tell=tell)
    told = replace(runtime, together=lanes)
    waiting, failed, over = list(jobs), list[str](), clock() + seconds
    try:
        while waiting or place.free < lanes:
            if clock() >= over:
                waiting.clear()
                place.stop()
            while waiting and place.free:
                job = waiting.pop(0)
                name = store.run_name(job.recipe)
                place.begin(name, cell.Job(recipe=job.recipe, path=out / name, runtime=told, until=job.until))
            for name, ending in place.ended(seconds=1.0):
                if ending.exit_code not in (0, TERMINATED_EXIT_CODE):
                    failed.append(f"{name}: {ending.message}")
                    print(failed[-1], file=sys.stderr, flush=True)
    finally:  # after Ctrl-C, too
        place.close()
    return failed


def tell(name: str, record: EpochRecord, cost: CostRecord) -> None:
    """Print an epoch."""
    seconds = f"{cost.train_seconds:.2f} s + {cost.evaluation_seconds:.2f} s"
    print(f"{name} {record.epoch}: {record.val_acc:.4f} {record.val_loss:.4f} {seconds}", flush=True)


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
    try:
        failed = train(arguments.jobs, out=arguments.out, runtime=runtime, lanes=arguments.lanes, seconds=seconds)
    except FewEpochsError as error:
        sys.exit(f"gpu_whole: {error}")
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
