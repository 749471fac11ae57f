"""Measure fewepochs' training step beside Keras on TensorFlow, JAX and torch, and beside a plain PyTorch loop.

Real images of CIFAR-10, ResNet56v2, Adam, L2; every contender is a process of its own, all have the same threads, and
they take turns, so that no two work at once. Progress goes to stderr, the table to stdout, every figure to --to.
An interruption (Ctrl-C) ends it with the rounds that are done, if they are three or more; nothing is left half.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.speed import figures, images, measuring, tables, turns
from fewepochs import disk
from fewepochs import recipe as recipes
from fewepochs.data import sources
from fewepochs.errors import FewEpochsError

BUSY = 0.5
"""Load of the machine from which on figures are not worth keeping."""


def main() -> int:
    """Measure, print, write; the exit status: 0, 1 if nobody can be measured, 2 usage, 3 data, 130 interrupted."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cores = turns.within(sorted(os.sched_getaffinity(0)), threads=arguments.threads)
        result = _measured(arguments, cores=cores)
    except ValueError as error:
        _say(str(error))
        return 2
    except FewEpochsError as error:
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _say("interrupted before the first round; nothing is written")
        return 130
    if result["rounds"] < min(measuring.FEWEST_ROUNDS, arguments.rounds):
        why = "interrupted" if result["interrupted"] else "nobody was left"
        _say(f"{why} after {result['rounds']} rounds, which are too few; nothing is written")
        return 130 if result["interrupted"] else 1
    print(tables.growth(result) if arguments.growth else tables.side_by_side(result))
    if arguments.to is not None:
        with disk.replacing(arguments.to) as file:
            file.write((json.dumps(result, indent=1) + "\n").encode())
    return 130 if result["interrupted"] else 0


def _measured(arguments: argparse.Namespace, *, cores: tuple[int, ...]) -> dict[str, Any]:
    recipes.load(turns.RECIPE, overrides=(f"network.depth={arguments.depth}",))  # refuses what is no depth
    load = os.getloadavg()[0]
    if load > BUSY:
        _say(f"the machine is busy (load {load:.1f}): what is measured now says little")
    dataset = sources.load("cifar10", where=arguments.data)
    wishes = measuring.Wishes(rounds=arguments.rounds, steps=arguments.steps, minutes=arguments.minutes)
    made = turns.growth if arguments.growth else turns.side_by_side
    programme = made(cores, depth=arguments.depth)
    with tempfile.TemporaryDirectory(prefix="fewepochs-speed-") as folder:
        images.write(Path(folder), pixels=dataset.train.pixels, labels=dataset.train.labels)
        del dataset
        measured = measuring.measure(programme, data=arguments.data, images=Path(folder), wishes=wishes, say=_say)
    kept = figures.growth if arguments.growth else figures.side_by_side
    return {
        "what": f"one training step of ResNet{arguments.depth}v2 on CIFAR-10, Adam, L2, batch {turns.BATCH}",
        "command": f"python -m benchmarks.speed --data DIR --threads {arguments.threads} --rounds {arguments.rounds} "
        f"--steps {arguments.steps} --minutes {arguments.minutes:g} --depth {arguments.depth}"
        + (" --growth" if arguments.growth else ""),
        "load_before": round(load, 2),
        **kept(programme, measured, wishes=wishes),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--data", type=Path, help="folder or archive of CIFAR-10 (default: where fewepochs finds it)")
    parser.add_argument("--growth", action="store_true", help="how the cost of ours grows, instead of the comparison")
    parser.add_argument("--threads", type=int, default=cores, help=f"threads of each (default: all cores, {cores})")
    parser.add_argument("--rounds", type=_positive, default=15, help="at most so many rounds (default: 15)")
    parser.add_argument("--steps", type=_positive, default=2, help="steps in each turn (default: 2)")
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="about so long, three rounds at least (default: 10)"
    )
    parser.add_argument("--depth", type=int, default=turns.DEPTH, help="of the network, 9n+2 (default: 56)")
    parser.add_argument("--to", type=Path, help="file for every figure, as JSON")
    return parser.parse_args()


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: 1 or more")
    return value


def _say(message: str) -> None:
    print(f"speed: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
