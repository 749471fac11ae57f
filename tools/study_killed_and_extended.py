"""Carry out a study three ways: undisturbed, killed twice on the way, and extended by an arm: the same bits?

usage: python tools/study_killed_and_extended.py [FILE] [--to results/study-digits.json]

Killed means -9 for the study's process and all of its cells at once, when a third and when two thirds of the cells have
begun; then the same command goes on. Every `epochs.jsonl` must be equal, byte for byte, and when an arm is added no
file of a finished cell may be touched. Exit code 0 if so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from fewepochs import locks, store
from fewepochs.api import studies
from fewepochs.study import grid, plan

MORE = """
[arms.constant]
schedule = { kind = "constant" }
"""
SHARES = (1 / 3, 2 / 3)


def main() -> None:
    """Run all three, compare, print."""
    arguments = _arguments()
    study = grid.load(arguments.file)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        seconds, processor = _timed(arguments.file, whole)
        kills = [_killed(arguments.file, killed, study, share) for share in SHARES]
        _run(arguments.file, killed)
        found = _compare(study, whole / study.name, killed / study.name)
        answer = studies.answer(plan.make(study, out=whole))
        extended = _extended(arguments.file, killed)
    result = {
        "what": f"{study.name}: undisturbed, killed twice with -9 and gone on with, extended by an arm",
        "command": f"python tools/study_killed_and_extended.py {arguments.file}",
        "machine": {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()},
        "versions": {name: metadata.version(name) for name in ("fewepochs", "torch")},
        "undisturbed": {"seconds": round(seconds, 1), "processor_seconds": round(processor, 1)},
        "kills": kills,
        **found,
        "extended": extended,
        "answer": answer["sentences"],
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.to is not None:
        arguments.to.write_text(text + "\n")
    if found["different"] or extended["touched"]:
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=Path("studies/digits-schedules.toml"))
    parser.add_argument("--to", type=Path)
    return parser.parse_args()


def _command(file: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "fewepochs", "study", "run", str(file), "--out", str(out), "--progress", "plain"]


def _run(file: Path, out: Path) -> None:
    subprocess.run(_command(file, out), check=True, stdout=subprocess.DEVNULL)


def _timed(file: Path, out: Path) -> tuple[float, float]:
    """Return the seconds that the study takes, on the wall and of processors."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(file, out)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _killed(file: Path, out: Path, study: grid.Study, share: float) -> dict[str, int]:
    """Carry the study on until `share` of its cells have an epoch, then kill it and its cells; return how it stood."""
    path = out / study.name
    running = subprocess.Popen(_command(file, out), stdout=subprocess.DEVNULL)
    while running.poll() is None and sum(bool(log) for log in _logs(study, path).values()) < share * len(study.cells):
        time.sleep(0.05)
    at_work = _at_work(path)
    for pid in (running.pid, *at_work):
        os.kill(pid, signal.SIGKILL)
    running.wait()
    while any(locks.is_held(lock.parent) for lock in path.glob(f"*/{locks.FILE}")):  # the system takes them back
        time.sleep(0.01)
    planned = plan.make(study, out=out)
    return {"cells_at_work": len(at_work), "done": planned.count("done"), "begun": planned.count("begun")}


def _at_work(path: Path) -> list[int]:
    """Return the processes that hold a run folder of the study; a folder that nobody holds names nobody."""
    words = [lock.read_text().split() for lock in path.glob(f"*/{locks.FILE}") if locks.is_held(lock.parent)]
    return [int(word[1]) for word in words if word]


def _logs(study: grid.Study, path: Path) -> dict[str, bytes]:
    files = {cell.run_name: path / cell.run_name / store.EPOCHS for cell in study.cells}
    return {name: file.read_bytes() if file.exists() else b"" for name, file in files.items()}


def _compare(study: grid.Study, one: Path, other: Path) -> dict[str, object]:
    first, second = _logs(study, one), _logs(study, other)
    return {
        "cells": len(first),
        "equal": sum(first[name] == second[name] and bool(first[name]) for name in first),
        "different": [name for name in first if first[name] != second[name] or not first[name]],
    }


def _extended(file: Path, out: Path) -> dict[str, object]:
    """Add an arm to a copy of the study beside the original, carry it out; return what was trained and touched."""
    larger = file.with_name(f".{file.stem}-extended.toml")
    larger.write_text(file.read_text() + MORE)
    try:
        study = grid.load(larger)
        before = _files(out / study.name)
        _run(larger, out)
        after = _files(out / study.name)
    finally:
        larger.unlink()
    known = {Path(name).parts[0] for name in before}
    return {
        "cells": len(study.cells),
        "kept": len(known),
        "trained": len({Path(name).parts[0] for name in after} - known),
        "touched": [name for name in before if after.get(name) != before[name]],
    }


def _files(path: Path) -> Mapping[str, tuple[int, int]]:
    """Return inode and time of each file of the runs."""
    files = [file for run in path.glob(f"*/{store.RECIPE}") for file in run.parent.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


if __name__ == "__main__":
    main()
