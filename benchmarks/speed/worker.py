"""The process of a peer: builds its work, does a first step, then a round for each line that comes in.

usage: python -m benchmarks.speed.worker PEER-AS-JSON [DATA]       (started by benchmarks.speed)
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Protocol, TextIO, assert_never

from benchmarks.speed import turns


class Work(Protocol):
    """What a peer can do."""

    def first_step(self) -> None:
        """Do one training step (or one product)."""

    def facts(self) -> dict[str, Any]:
        """Return what there is to know: versions, parameters, ..."""

    def round(self, *, steps: int, augmented: bool) -> dict[str, float]:
        """Do so many steps; return "seconds", of all of them together, and what else was measured."""


def main() -> None:
    """Serve until the questions end."""
    peer, data = turns.peer_from_json(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None
    # Before any library looks: JAX takes as many threads as there are cores that it may use.
    os.sched_setaffinity(0, peer.cores)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    work = build(peer, data=data)
    work.first_step()
    _say(answers, {})
    _say(answers, work.facts())
    for line in sys.stdin:
        measured = work.round(**json.loads(line))
        _say(answers, {**measured, "peak_memory_bytes": peak_memory_bytes()})


def build(peer: turns.Peer, *, data: Path | None) -> Work:
    """Return the work of `peer`; where `data` is None, ours finds the data set itself.

    Imports stand here: a process loads the library that it measures, and no other.
    """
    match peer.kind:
        case "ours":
            from benchmarks.speed import ours

            return ours.Ours(peer, data=data)
        case "plain":
            assert data is not None
            from benchmarks.speed import plain

            return plain.Plain(peer, data=data)
        case "keras":
            assert data is not None
            from benchmarks.speed import keras_fit

            return keras_fit.KerasFit(peer, data=data)
        case "product":
            from benchmarks.speed import product

            return product.Product(peer)
        case _:
            assert_never(peer.kind)


def peak_memory_bytes(status: Path = Path("/proc/self/status")) -> int | None:
    """Return the largest resident memory so far; None where the system does not tell.

    Not getrusage's maximum: that of a process includes what its parent had when it started it.
    """
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


def _say(answers: TextIO, what: dict[str, Any]) -> None:
    print(json.dumps(what), file=answers, flush=True)


if __name__ == "__main__":
    main()
