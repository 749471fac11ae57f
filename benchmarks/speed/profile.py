"""Where the time of one training step goes, by kind of operation.

    python -m benchmarks.speed.profile --data DIR --to results/speed-profile-cpu.json

torch's profiler tells how long each operation ran by itself, without those that it called. Its own cost comes on top of
a step, so what stands in the table are shares; their median and range are over the steps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from torch.profiler import ProfilerActivity, profile

from benchmarks.speed import ours, turns
from fewepochs import disk

REST = "everything else"
KINDS = {
    "aten::mkldnn_convolution": "convolutions, forward",
    "aten::convolution_backward": "convolutions, backward",
    "aten::mkldnn_convolution_backward": "convolutions, backward",
    "_ConvolveBackward": "convolutions, backward",
    "_Normalise": "batch normalisation and ReLU, forward",
    "_NormaliseBackward": "batch normalisation and ReLU, backward",
    "aten::add_": "additions",
    "aten::add": "additions",
}
"""What torch 2.13 calls the operations of the step, and our kernels, on a CPU."""


class Operation(Protocol):
    """What torch's profiler tells of an operation."""

    @property
    def key(self) -> str:
        """Its name."""

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds, without those of what it called."""


def shares(operations: Iterable[Operation]) -> dict[str, float]:
    """Return the share of each kind in the time of all, which adds up to 1; every kind is there."""
    times = dict.fromkeys((*KINDS.values(), REST), 0.0)
    for operation in operations:
        times[KINDS.get(operation.key, REST)] += operation.self_cpu_time_total
    total = sum(times.values())
    return {kind: time / total for kind, time in times.items()}


def measured(peer: turns.Peer, *, data: Path | None, steps: int) -> dict[str, Any]:
    """Return the shares of `steps` steps of ours, after two that are not counted."""
    contender = ours.Ours(peer, data=data)
    contender.first_step()
    contender.step()
    found = []
    for _ in range(steps):
        with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
            contender.step()
        found.append(shares(profiler.key_averages()))
    return {
        "what": f"share of one training step of ResNet{peer.depth}v2 on CIFAR-10, batch {peer.batch}, {peer.precision}",
        "steps": steps,
        "shares": {kind: _spread([step[kind] for step in found]) for kind in found[0]},
        "environment": contender.facts()["environment"],
    }


def _spread(values: list[float]) -> Mapping[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.profile", description=__doc__)
    available = sorted(os.sched_getaffinity(0))
    parser.add_argument("--data", type=Path, help="folder or archive of CIFAR-10 (default: where fewepochs finds it)")
    parser.add_argument("--threads", type=int, default=len(available), help="(default: one a core)")
    parser.add_argument("--steps", type=int, default=10, help="(default: 10)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--to", type=Path, help="file for the shares, as JSON")
    arguments = parser.parse_args()
    try:
        cores = turns.within(available, threads=arguments.threads)
    except ValueError as error:
        sys.exit(str(error))
    peer = turns.Peer(turns.OURS, "ours", cores, precision=arguments.precision)
    result = {
        "command": f"python -m benchmarks.speed.profile --data DIR --threads {arguments.threads} --steps "
        f"{arguments.steps} --precision {arguments.precision}",
        **measured(peer, data=arguments.data, steps=arguments.steps),
    }
    print(json.dumps(result, indent=1))
    if arguments.to is not None:
        with disk.replacing(arguments.to) as file:
            file.write((json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
