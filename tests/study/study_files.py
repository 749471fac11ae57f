"""Studies for tests: grids of runs small enough to be trained in a second, and cells made of numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import command_line
from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.records import CostRecord, EpochRecord, RunStatus
from fewepochs.study import files, grid

EPOCHS = 6
TINY = command_line.TINY.replace(f"epochs = {command_line.EPOCHS}", f"epochs = {EPOCHS}")

STUDY = """
name = "two-rates"
question = "Which rate?"
base = "tiny.toml"
seeds = [0, 1]
targets = [0.2, 0.3]

[axes]
optimizer.lr = [1e-2, 2e-2]
"""


def home(folder: Path, text: str = STUDY) -> Path:
    """Write the tiny recipe and a study of it into `folder`; return the study's file."""
    (folder / "tiny.toml").write_text(TINY)
    file = folder / "study.toml"
    file.write_text(text)
    return file


def study(folder: Path, text: str = STUDY) -> grid.Study:
    """Return the study `text` of the tiny recipe."""
    home(folder, text)
    return grid.build(files.parse(text, source="study.toml"), source="study.toml", folder=folder)


def seeds_of_tiny(folder: Path, *overrides: str) -> list[recipes.Recipe]:
    """Write the tiny recipe into `folder`; return it with the seeds 0, 1 and 2."""
    (folder / "tiny.toml").write_text(TINY)
    return [recipes.load(str(folder / "tiny.toml"), overrides=overrides, seed=seed) for seed in (0, 1, 2)]


def logs(path: Path) -> Mapping[str, bytes]:
    """Return the epochs of each run in a folder: what must repeat."""
    return {file.parent.name: file.read_bytes() for file in sorted(path.glob(f"*/{store.EPOCHS}"))}


def write_cell(
    path: Path,
    cell: grid.Cell,
    accuracies: Sequence[float],
    *,
    state: str = "finished",
    seconds: float = 2.0,
    stopped: str | None = None,
) -> store.RunFolder:
    """Write a run of `cell` with these val_acc into the study's folder `path`."""
    epochs = len(accuracies)
    status = RunStatus.model_validate(
        {"state": state, "epochs": epochs, "budget": cell.recipe.budget.epochs, "heartbeat": store.now()}
        | ({} if stopped is None else {"stopped": stopped})
    )
    made = store.create(path / cell.run_name, recipe=cell.recipe, environment={"threads": 1}, status=status)
    for number, accuracy in enumerate(accuracies, start=1):
        made.append(_epoch(number, accuracy), _cost(number, seconds))
    return made


def _epoch(number: int, accuracy: float) -> EpochRecord:
    return EpochRecord(
        epoch=number, step=number, loss=1.0, acc=accuracy, val_loss=1.0, val_acc=accuracy, penalty=0.0,
        lr_first=1e-2, lr_last=1e-2, lr_logged=1e-2,
    )  # fmt: skip


def _cost(number: int, seconds: float) -> CostRecord:
    return CostRecord(
        epoch=number, setup_seconds=0.0, train_seconds=seconds, evaluation_seconds=0.0, images_per_second=1.0,
        joules_reason="no counter",
    )  # fmt: skip
