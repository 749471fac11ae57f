"""Killed with -9 at random times, resumed: the same bits as if nothing had happened.

    FEWEPOCHS_KILLS=500          how many runs are killed (20)
    FEWEPOCHS_KILL_SEED=7        which random times (0); a failing test names its own: seed and number
    FEWEPOCHS_KILLS_TO=FILE      keep what happened as JSON

Each run is killed once at least, at a time drawn evenly over its life, and, with a probability of 0.3 each time, again
while it is being resumed. How often a checkpoint is written is drawn, too.
"""

from __future__ import annotations

import json
import os
import platform
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import command_line
from faults import faulty_runs
from faults.faulty_runs import TRAIN, Whole
from fewepochs import store
from fork_server import Forks

KILLS = int(os.environ.get("FEWEPOCHS_KILLS", "20"))
SEED = int(os.environ.get("FEWEPOCHS_KILL_SEED", "0"))
AGAIN = 0.3
MINUTES = ("0", "0.0005", "10")


@pytest.fixture(scope="module")
def kept() -> Iterator[list[dict[str, Any]]]:
    """Return the list of what happened; it is written to a file where one is asked for."""
    stories: list[dict[str, Any]] = []
    yield stories
    if to := os.environ.get("FEWEPOCHS_KILLS_TO"):
        story = {
            "command": f"FEWEPOCHS_KILLS={KILLS} FEWEPOCHS_KILL_SEED={SEED} FEWEPOCHS_KILLS_TO={to} "
            "python -m pytest tests/faults/test_random_kills.py -k at_a_random_time",
            "recipe": faulty_runs.RECIPE,
            "seed": SEED,
            "n": KILLS,
            "equal": sum(each["equal"] for each in stories),
            "kills": sum(len(each["kills"]) for each in stories),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
            "runs": stories,
        }
        Path(to).write_text(json.dumps(story, indent=1) + "\n")


@pytest.mark.parametrize("number", range(KILLS), ids=lambda number: f"seed {SEED}, number {number}")
def test_killed_at_a_random_time_and_resumed_a_run_ends_in_the_same_bits(
    number: int, forks: Forks, whole: Whole, tmp_path: Path, kept: list[dict[str, Any]]
) -> None:
    draw = random.Random(f"{SEED} {number}")
    minutes = draw.choice(MINUTES)
    story: dict[str, Any] = {"number": number, "checkpoint_minutes": minutes, "kills": [], "equal": False}
    kept.append(story)
    latest, home = whole.ended.seconds, faulty_runs.home(tmp_path / "0")
    command = (*TRAIN, "--checkpoint-minutes", minutes)
    while True:
        after = draw.uniform(0, latest)
        ended = forks.run(*command, folder=home, kill_after=after)
        if ended.returncode == -9:
            story["kills"].append({"seconds": after, **_place(faulty_runs.run_path(home))})
            if draw.random() >= AGAIN:
                break
        elif not story["kills"]:  # it was quicker than that: another run, another time
            latest, home = after, faulty_runs.home(tmp_path / str(after))
        else:
            break  # it was to be killed again, but has come to its end
    resumed = forks.run(*command, folder=home)
    assert resumed.returncode == 0, resumed.stderr
    assert faulty_runs.bits(faulty_runs.run_path(home)) == whole.bits
    story["equal"] = True


def _place(path: Path) -> dict[str, Any]:
    """Return where a run was when it was killed: epochs logged, and the step of the newest checkpoint."""
    logged = (path / store.EPOCHS).read_bytes().count(b"\n") if (path / store.EPOCHS).exists() else 0
    steps = sorted(int(each.stem.removeprefix("step-")) for each in path.glob("checkpoints/step-*.ckpt"))
    return {"epochs_logged": logged, "checkpoint_step": steps[-1] if steps else None, "begun": store.is_run(path)}


@pytest.mark.parametrize("number", range(3), ids=lambda number: f"seed {SEED}, number {number}")
def test_the_real_command_killed_at_a_random_time_ends_in_the_same_bits(
    number: int, whole: Whole, tmp_path: Path
) -> None:
    """From the start of the interpreter on; the other test's processes have their imports behind them."""
    draw = random.Random(f"{SEED} real {number}")
    home, latest = faulty_runs.home(tmp_path / "0"), 8.0
    command = faulty_runs.in_the_real_command(*TRAIN, "--checkpoint-minutes", "0")
    while True:
        after = draw.uniform(0, latest)
        process = subprocess.Popen(
            command, cwd=home, env=command_line.environment(home), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=after)
        except subprocess.TimeoutExpired:
            process.kill()
            assert process.wait() == -9
            break
        latest, home = after, faulty_runs.home(tmp_path / str(after))
    resumed = command_line.run(*TRAIN, folder=home)
    assert resumed.returncode == 0, resumed.stderr
    assert faulty_runs.bits(faulty_runs.run_path(home)) == whole.bits
