"""Comparing a thousand runs: seconds and memory of `fewepochs compare` on synthetic run folders.

usage: python benchmarks/comparing.py [--arms 20] [--seeds 50] [--epochs 50] [--to results/compare-1000.json]

Folders are written to a temporary place, with a recipe, a status, an environment and a line an epoch in both logs. The
command runs in a process of its own: seconds on the wall and of its processor time, peak memory (ru_maxrss).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.records import CostRecord, EpochRecord, RunStatus

TARGETS = ("0.9", "0.92", "0.93")


def main() -> None:
    """Write the folders, compare them, print."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        for arm in range(arguments.arms):
            for seed in range(arguments.seeds):
                _write(runs, arm=arm, seed=seed, epochs=arguments.epochs)
        measured = _compare(runs)
    result = {
        "what": f"fewepochs compare of {arguments.arms} recipes x {arguments.seeds} seeds, {arguments.epochs} epochs",
        "command": f"python benchmarks/comparing.py --arms {arguments.arms} --seeds {arguments.seeds} "
        f"--epochs {arguments.epochs}",
        "machine": {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()},
        "runs": arguments.arms * arguments.seeds,
        "targets": [float(target) for target in TARGETS],
        "load_average": round(os.getloadavg()[0], 1),
        **measured,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.to is not None:
        arguments.to.write_text(text + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--to", type=Path)
    return parser.parse_args()


def _write(runs: Path, *, arm: int, seed: int, epochs: int) -> None:
    """Write a run whose accuracy rises to 0.94 or so, sooner in some arms than in others."""
    overrides = (f"optimizer.lr={1e-3 * (1 + arm)}", f"budget.epochs={epochs}")
    recipe = recipes.load("digits-step", overrides=overrides, seed=seed)
    path = runs / store.run_name(recipe)
    draw = np.random.default_rng((arm, seed))
    curve = 0.94 - 0.8 * np.exp(-np.arange(1, epochs + 1) / (6 + arm / 4)) + draw.normal(0, 0.005, epochs)
    path.mkdir()
    (path / store.RECIPE).write_text(recipes.to_toml(recipe))
    (path / store.ENVIRONMENT).write_text(json.dumps({"threads": 1, "device": "cpu"}))
    status = RunStatus(state="finished", epochs=epochs, budget=epochs, heartbeat=store.now())
    (path / store.STATUS).write_text(status.model_dump_json())
    lines = [_epoch(e, float(value)).model_dump_json() for e, value in enumerate(np.clip(curve, 0, 1), start=1)]
    (path / store.EPOCHS).write_text("\n".join(lines) + "\n")
    (path / store.COSTS).write_text("\n".join(_cost(e).model_dump_json() for e in range(1, epochs + 1)) + "\n")


def _epoch(epoch: int, accuracy: float) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        step=100 * epoch,
        loss=1 / epoch,
        acc=accuracy,
        val_loss=1 / epoch,
        val_acc=accuracy,
        penalty=0.1,
        lr_first=1e-3,
        lr_last=1e-3,
        lr_logged=1e-3,
    )


def _cost(epoch: int) -> CostRecord:
    return CostRecord(
        epoch=epoch,
        setup_seconds=0.0,
        train_seconds=1.5,
        evaluation_seconds=0.1,
        images_per_second=1000.0,
        joules_reason="no energy counter on this machine",
    )


def _compare(runs: Path) -> dict[str, float]:
    """Run the command and return what it took."""
    command = [sys.executable, "-m", "fewepochs", "compare", str(runs)]
    for target in TARGETS:
        command += ["--target", target]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_memory_bytes": used.ru_maxrss * 1024,
        "lines_printed": len(done.stdout.splitlines()),
    }


if __name__ == "__main__":
    main()
