"""Check and measure everything that hangs on a GPU, in one call of ten minutes: laws, then speed, then whole runs.

usage: python -m benchmarks.gpu --data DIR --to results/gpu.json [--minutes 10] [--only checks,steps]
       python -m benchmarks.gpu --device cpu --tiny --to FILE        # every path, on the digits, without a GPU

Each part runs in a process of its own, so that what breaks one leaves the others alone, and tells each number as soon
as it has it: the file is written anew after each, and a call that is cut loses nothing. Parts are skipped once the time
is up, and say so. What is checked and how it is measured stands in gpu_checks.py, gpu_steps.py and gpu_runs.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks import gpu_bench

PARTS = {
    "checks": "recorded steps, resume, the CPU's losses, silence: pass or fail",
    "steps": "ResNet56v2 by batch size and precision, replayed and not",
    "traffic": "bytes of a step, bandwidth of a copy, time of the kernels alone",
    "plain": "a plain PyTorch loop with a DataLoader",
    "packed": "several processes on one device",
    "streams": "several runs in one process, each on a stream of its own",
    "fewest": "the recipe 'fewest', whole",
    "inductor": "recorded steps, resume and the CPU's losses on inductor's kernels: pass or fail",
    "variants": "TF32, cuDNN's search, inductor's kernels, deterministic algorithms",
    "keras": "Keras on JAX and on torch, where they are installed",
    "baseline": "the published baseline, several seeds that take turns, as far as the time goes",
}
"""In the order of their worth: what comes late is what a short call goes without."""
LEAST_SECONDS = {
    "checks": 60,
    "fewest": 60,
    "packed": 60,
    "streams": 60,
    "inductor": 60,
    "variants": 60,
    "keras": 60,
    "baseline": 90,
}
OTHERWISE_SECONDS = 30
CAP_SECONDS = {
    "checks": 150,
    "steps": 150,
    "traffic": 60,
    "plain": 60,
    "packed": 100,
    "streams": 60,
    "inductor": 90,
    "variants": 120,
    "keras": 240,
}
SPARE_SECONDS = 5
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run the parts, or be one of them."""
    arguments = _arguments()
    if arguments.part is not None:
        gpu_bench.run_part(arguments.part, gpu_bench.Setting.of(arguments), done=arguments.done)
        return
    results = Results(arguments.to, minutes=arguments.minutes, command=_command(arguments))
    for name in arguments.only.split(",") if arguments.only else PARTS:
        left = results.seconds_left()
        if left < LEAST_SECONDS.get(name, OTHERWISE_SECONDS) and not arguments.tiny:
            results.add(name, "skipped", f"{left:.0f} s were left")
            continue
        cap = left if arguments.tiny else CAP_SECONDS.get(name, left)
        _run(name, results, seconds=min(left - SPARE_SECONDS, cap))
    results.close()
    print(json.dumps(results.found, indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="where CIFAR-10 lies")
    parser.add_argument("--to", type=Path, help="the JSON file; an earlier one is replaced")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="the digits, a small network, few steps")
    parser.add_argument("--noise", action="store_true", help="images without content, where CIFAR-10 is not at hand")
    parser.add_argument("--only", help=f"some of the parts: {', '.join(PARTS)}")
    parser.add_argument("--part", choices=[*PARTS, "member"], help=argparse.SUPPRESS)
    parser.add_argument("--deadline", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--done", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part is None:
        unknown = set(arguments.only.split(",") if arguments.only else ()) - set(PARTS)
        if unknown:
            parser.error(f"--only: not a part: {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
        if arguments.tiny and arguments.noise:
            parser.error("--tiny or --noise: the digits, or images without content")
        if arguments.to is None or not (arguments.data or arguments.tiny or arguments.noise):
            parser.error("--to FILE is needed, and --data DIR, --noise or --tiny")
    return arguments


def _command(arguments: argparse.Namespace) -> str:
    tiny = f"--device {arguments.device} --tiny"
    where = tiny if arguments.tiny else "--noise" if arguments.noise else "--data DIR"
    only = f" --only {arguments.only}" if arguments.only else ""
    return f"python -m benchmarks.gpu {where} --minutes {arguments.minutes:g}{only}"


class Results:
    """What was found so far, in memory and in the file."""

    def __init__(self, path: Path, *, minutes: float, command: str) -> None:
        self._path = path
        self._begin = time.monotonic()
        self._end = self._begin + 60.0 * minutes
        self.found: dict[str, Any] = {"command": command, "minutes": minutes, "whole": False}
        self.write()

    def seconds_left(self) -> float:
        """Return the seconds until the end."""
        return self._end - time.monotonic()

    def add(self, part: str, name: str, value: Any) -> None:
        """Take in a number of a part, and write everything."""
        self.found.setdefault(part, {})[name] = value
        self.write()

    def close(self) -> None:
        """Say that nothing is missing but what was skipped."""
        self.found["whole"] = True
        self.found["seconds"] = round(time.monotonic() - self._begin, 1)
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all."""
        temporary = self._path.with_name(self._path.name + ".part")
        temporary.write_text(json.dumps(self.found, indent=2) + "\n")
        temporary.replace(self._path)


def _run(name: str, results: Results, *, seconds: float) -> None:
    """Run a part in a process of its own, for `seconds` at most; where that loses its device, the rest in another."""
    print(f"{name}: {PARTS[name]} (at most {seconds:.0f} s)", file=sys.stderr, flush=True)
    begin, done = time.monotonic(), 0
    while True:
        left = seconds - (time.monotonic() - begin)
        told, code = _child(name, results, seconds=left, done=done)
        done += told
        if code != gpu_bench.DEAD or not told:
            break
    if code != 0:
        results.add(name, "broken_off", "cut at its time" if code == -9 else f"its process ended with {code}")
    results.add(name, "seconds", round(time.monotonic() - begin, 1))


def _child(name: str, results: Results, *, seconds: float, done: int) -> tuple[int, int]:
    """Run a part but for the first `done` of what it tells; return how much was told of the rest, and the exit code."""
    ours = ["--part", name, "--deadline", str(seconds), "--done", str(done)]
    command = [sys.executable, "-m", "benchmarks.gpu", *sys.argv[1:], *ours]
    places = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **gpu_bench.ENVIRONMENT.get(name, {}), "PYTHONPATH": places}
    count = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        timer = threading.Timer(seconds, child.kill)
        timer.start()
        assert child.stdout is not None
        for line in child.stdout:
            told = gpu_bench.heard(line)
            if told is not None:
                results.add(name, *told)
                count += 1
                print(f"  {told[0]}: {json.dumps(told[1])[:150]}", file=sys.stderr, flush=True)
        child.wait()
        timer.cancel()
    return count, child.returncode


if __name__ == "__main__":
    main()
