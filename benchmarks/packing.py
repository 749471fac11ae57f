"""Several runs on the cores of one machine: side by side with a thread each, or one after another with all threads.

    threads    one process with a thread for each core: runs one after another, as `train --seeds` has them
    pinned     a process for each core, one thread each, kept on its core: `train --seeds --pack auto`
    free       the same processes, left to the scheduler

usage: python benchmarks/packing.py [--seconds 4] [--rounds 5] [--to results/packing.json]

The ways take turns, A B C A B C, so that a machine that slows down slows all; ratios are taken round by round. A window
counts the images that all processes of a way train on, each over its own seconds. Images are random ones of the data
sets' shapes: what they show changes no step's work. It takes three to five minutes; leave the machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

CASES: dict[str, tuple[str, tuple[str, ...], tuple[int, int, int]]] = {
    "digits, ResNet20v2 with few filters, batch 32": ("digits-step", (), (8, 8, 1)),
    "CIFAR-10, ResNet56v2, batch 64": ("resnet56v2-adam-atienza", (), (32, 32, 3)),
    "CIFAR-10, ResNet56v2, batch 128": ("resnet56v2-adam-atienza", ("batch_size=128",), (32, 32, 3)),
}
IMAGES = 512


def main() -> None:
    """Measure, print, write."""
    arguments = _arguments()
    if arguments.work is not None:
        _work(*json.loads(arguments.work))
        return
    from fewepochs.train import environment

    cores = sorted(os.sched_getaffinity(0))
    before = os.getloadavg()
    chosen = [name for name in CASES if name.startswith(arguments.only)]
    result: dict[str, Any] = {
        "what": "images a second of all processes together, and their ratios round by round",
        "command": f"python benchmarks/packing.py --seconds {arguments.seconds:g} --rounds {arguments.rounds}",
        "cores": len(cores),
        "rounds": arguments.rounds,
        "cases": {name: _case(name, cores, arguments.seconds, arguments.rounds) for name in chosen},
    }
    import torch

    where = environment.collect(device=torch.device("cpu"), kernels="auto", data_digest="", data_origin="random")
    kept = ("python", "packages", "source", "system", "cpu", "cpu_capability", "cores")
    result["environment"] = {name: where[name] for name in kept}
    result["load_average_before"] = [round(value, 2) for value in before]
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.to is not None:
        arguments.to.write_text(text + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--to", type=Path)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    return parser.parse_args()


def _case(name: str, cores: Sequence[int], seconds: float, rounds: int) -> dict[str, Any]:
    ways = {
        "threads": [_Worker(name, len(cores), cores)],
        "pinned": [_Worker(name, 1, [core]) for core in cores],
        "free": [_Worker(name, 1, cores) for _ in cores],
    }
    for worker in (worker for workers in ways.values() for worker in workers):
        assert worker.read() == "ready"
    for workers in ways.values():
        _window(workers, 0.0)  # the first use of everything
    seen: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, workers in ways.items():
            seen[way].append(_window(workers, seconds))
    for workers in ways.values():
        for worker in workers:
            worker.end()
    kept = {way: np.array(values) for way, values in seen.items()}
    return {
        "images_per_second": {way: _summary(values) for way, values in kept.items()},
        "pinned_over_threads": _summary(kept["pinned"] / kept["threads"]),
        "pinned_over_free": _summary(kept["pinned"] / kept["free"]),
    }


class _Worker:
    """A process that trains when it is told to."""

    def __init__(self, case: str, threads: int, cores: Sequence[int]) -> None:
        work = json.dumps([case, threads, list(cores)])
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--work", work],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            text=True,
        )

    def tell(self, seconds: float) -> None:
        """Let it train for so long, one step at least."""
        print(seconds, file=_open(self._process.stdin), flush=True)

    def read(self) -> str:
        """Return what it says next."""
        return _open(self._process.stdout).readline().strip()

    def end(self) -> None:
        """Let it go."""
        _open(self._process.stdin).close()
        self._process.wait()


def _open(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None, "asked for"
    return pipe


def _window(workers: Sequence[_Worker], seconds: float) -> float:
    """Return the images a second of all `workers` together, at work at the same time."""
    for worker in workers:
        worker.tell(seconds)
    return sum(float(worker.read()) for worker in workers)


def _work(case: str, threads: int, cores: Sequence[int]) -> None:
    """Train for as many seconds as each line of stdin says, and answer with images a second."""
    os.sched_setaffinity(0, cores)
    import torch

    from fewepochs import recipe as recipes
    from fewepochs.data import loader, sources
    from fewepochs.nets import kernels
    from fewepochs.train import environment, loop

    torch.set_num_threads(threads)
    environment.keep_freed_memory()
    name, overrides, shape = CASES[case]
    recipe = recipes.load(name, overrides=(*overrides, 'data.validation={kind="test"}'))
    draws = np.random.default_rng(0)
    images = sources.Images(draws.integers(0, 256, (IMAGES, *shape), np.uint8), draws.integers(0, 10, IMAGES))
    classes = tuple(map(str, range(10)))
    dataset = sources.DataSet(recipe.data.kind, images, images, classes, 255, "0" * 64, "random", "not read")
    data = loader.prepare(dataset, spec=recipe.data)
    training = loop.Training(recipe, data=data, device=torch.device("cpu"), kernels=kernels.available())
    print("ready", flush=True)
    for line in sys.stdin:
        seconds, done, begin = float(line), 0, time.perf_counter()
        while done == 0 or time.perf_counter() - begin < seconds:
            done += _epoch(training, until=begin + seconds)
        print(done / (time.perf_counter() - begin), flush=True)


def _epoch(training: Any, *, until: float) -> int:
    """Train on an epoch's batches until it is over or time is up; return the images."""
    from fewepochs import controls
    from fewepochs.train import loop

    moved = controls.of_epoch(training.recipe, epoch=1, horizon=training.horizon)
    training.program.begin_epoch(loop.plan(training, epoch=1), controls=moved)
    size, done = training.recipe.batch_size, 0
    while done + size <= IMAGES and (done == 0 or time.perf_counter() < until):
        training.program.step(size)
        done += size
    return done


def _summary(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    return {
        "median": round(float(np.median(values)), 4),
        "lowest": round(float(values.min()), 4),
        "highest": round(float(values.max()), 4),
    }


if __name__ == "__main__":
    main()
