"""A run that has every kind of state and can be killed hundreds of times, and what must be equal in the end."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import command_line
from fewepochs import store
from fewepochs.train import checkpoint
from fork_server import Ended

EPOCHS = 4
STEPS = 5
"""Steps in an epoch."""

RECIPE = f"""
name = "tiny"
batch_size = 60
targets = [0.2, 0.9]
plateau = {{ patience = 1, min_delta = 0.5 }}
averaging = {{ kind = "ema", decay = 0.9, bn_images = 60 }}

[data]
kind = "digits"
validation = {{ kind = "held-out", images = 1137 }}

[augmentation]
kind = "shift-flip"

[network]
kind = "resnet-v2"
units = [1]
filters = [4]
bottleneck = [2]
stem = {{ filters = 2, stride = 2 }}
dropout = 0.1

[optimizer]
kind = "adam"
lr = 1e-2

[budget]
epochs = {EPOCHS}
"""
TRAIN = ("train", "tiny.toml", "--out", "runs", *command_line.TRAINING)
OFTEN = ("--checkpoint-minutes", "0")
"""A checkpoint after every step: every moment of a save comes again and again."""


@dataclass(frozen=True)
class Bits:
    """What a run that was disturbed must have in common with one that was not.

    `last` and `best` are SHA-256 over weights, statistics, optimizer state, averages and counters; `place` is where the
    last checkpoint stands, the plateau's state included.
    """

    last: str
    best: str
    place: tuple[object, ...]
    epochs: bytes
    recipe: bytes


@dataclass(frozen=True)
class Whole:
    """The run that nothing disturbed, and every moment of it."""

    ended: Ended
    bits: Bits
    path: Path
    moments: tuple[str, ...]


def home(folder: Path) -> Path:
    """Return `folder` with tiny.toml in it."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.toml").write_text(RECIPE)
    return folder


def run_path(folder: Path) -> Path:
    """Return the run's folder, which need not be there."""
    return folder / "runs" / store.run_name(command_line.tiny(folder, RECIPE))


def bits(path: Path) -> Bits:
    """Return what the finished run in `path` came to, and check that nothing else lies there."""
    run = store.read(path)
    assert (run.status.state, len(run.epochs), len(run.costs)) == ("finished", EPOCHS, EPOCHS)
    newest, *older = checkpoint.newest_first(path / store.CHECKPOINTS)
    assert len(older) < checkpoint.KEPT
    own = {"recipe.toml", "environment.json", "status.json", "epochs.jsonl", "costs.jsonl", "lock", "checkpoints"}
    assert {entry.name for entry in path.iterdir()} == own
    kept = {entry.name for entry in (path / store.CHECKPOINTS).iterdir()}
    assert kept == {newest.name, checkpoint.BEST, *(each.name for each in older)}
    last, best = checkpoint.load(newest), checkpoint.load(path / store.CHECKPOINTS / checkpoint.BEST)
    facts = last.facts
    return Bits(
        last=checkpoint.digest(last.tensors),
        best=checkpoint.digest(best.tensors),
        place=(facts.steps, facts.epochs, facts.epoch_steps, facts.plateau, best.steps),
        epochs=(path / store.EPOCHS).read_bytes(),
        recipe=(path / store.RECIPE).read_bytes(),
    )


def in_the_real_command(*arguments: str) -> list[str]:
    """Return the command line of `fewepochs ARGUMENTS` as a process of its own."""
    return [sys.executable, "-m", "fewepochs", *arguments]
