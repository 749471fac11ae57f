"""A study of a thousand cells: seconds and memory of the commands that look at it, on synthetic run folders.

usage: python benchmarks/thousand_runs.py [--arms 20] [--seeds 50] [--epochs 50] [--to results/thousand-runs.json]

Folders are written to a temporary place as `fewepochs study run` leaves them: a recipe, a status, an environment, and a
line an epoch in both logs. Each command runs in a process of its own: seconds on the wall and of the processor, peak
memory (ru_maxrss), bytes written.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.records import CostRecord, EpochRecord, RunStatus
from fewepochs.study import folder, grid

STUDY = """
name = "thousand"
base = "digits-linear"
seeds = "0..{last}"
targets = [0.9, 0.92, 0.93]
[set]
budget.epochs = {epochs}
[axes]
optimizer.lr = {rates}
"""


def main() -> None:
    """Write the study, measure the commands, print."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as place:
        file, runs, report = Path(place) / "study.toml", Path(place) / "runs", Path(place) / "report.html"
        rates = [round(1e-3 * (1 + arm), 6) for arm in range(arguments.arms)]
        file.write_text(STUDY.format(last=arguments.seeds - 1, epochs=arguments.epochs, rates=rates))
        study = grid.load(file)
        _write(study, runs / study.name)
        cells = str(runs / study.name)
        commands = {
            "study plan": ["study", "plan", str(file), "--out", str(runs)],
            "study answer": ["study", "answer", str(file), "--out", str(runs)],
            "compare": ["compare", cells],
            "table transitions": ["table", "transitions", cells, "--by", "optimizer.lr"],
            "report": ["report", cells, "--to", str(report)],
        }
        measured = {name: _measure(words) for name, words in commands.items()}
        measured["report"]["bytes_of_the_page"] = report.stat().st_size
    result = {
        "what": f"a study of {arguments.arms} arms x {arguments.seeds} seeds, {arguments.epochs} epochs each",
        "command": f"python benchmarks/thousand_runs.py --arms {arguments.arms} --seeds {arguments.seeds} "
        f"--epochs {arguments.epochs}",
        "machine": {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()},
        "runs": len(study.cells),
        "load_average": round(os.getloadavg()[0], 1),
        "commands": measured,
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


def _write(study: grid.Study, path: Path) -> None:
    """Write each cell's run: its accuracy rises to 0.94 or so, sooner in some arms than in others."""
    folder.begin(path, study, threads=1, done=0)
    arms = list(study.arms)
    for cell in study.cells:
        arm, epochs = arms.index(cell.arm), cell.recipe.budget.epochs
        draw = np.random.default_rng((arm, cell.seed))
        curve = 0.94 - 0.8 * np.exp(-np.arange(1, epochs + 1) / (6 + arm / 4)) + draw.normal(0, 0.005, epochs)
        where = path / cell.run_name
        where.mkdir()
        (where / store.RECIPE).write_text(recipes.to_toml(cell.recipe))
        (where / store.ENVIRONMENT).write_text(json.dumps({"threads": 1, "device": "cpu"}))
        status = RunStatus(state="finished", epochs=epochs, budget=epochs, heartbeat=store.now())
        (where / store.STATUS).write_text(status.model_dump_json())
        lines = [_epoch(e, float(value)).model_dump_json() for e, value in enumerate(np.clip(curve, 0, 1), start=1)]
        (where / store.EPOCHS).write_text("\n".join(lines) + "\n")
        costs = [_cost(e).model_dump_json() for e in range(1, epochs + 1)]
        (where / store.COSTS).write_text("\n".join(costs) + "\n")


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


def _measure(words: Sequence[str]) -> dict[str, float]:
    """Run a command and return what it took; `resource` tells the largest of all children, hence a child between."""
    code = (
        "import json, resource, subprocess, sys; "
        "done = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss, len(done.stdout)]))"
    )
    start = time.perf_counter()
    command = [sys.executable, "-c", code, sys.executable, "-m", "fewepochs", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    processor, memory, size = json.loads(done.stdout)
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(processor, 2),
        "peak_memory_bytes": memory * 1024,
        "bytes_printed": size,
    }


if __name__ == "__main__":
    main()
