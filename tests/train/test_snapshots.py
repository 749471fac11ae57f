"""States that are kept for good: which, that training does not notice, and that a resumed run has the same."""

from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_runs

from fewepochs import errors, store
from fewepochs import runtime as runtimes
from fewepochs.api import training
from fewepochs.train import checkpoint

FEW = "data.validation={kind='held-out',images=1301}"
"""Leaves 136 images to train on."""
RUNTIME = training.Runtime(device="cpu", kernels="torch", threads=1)


def train(out: Path, *overrides: str, snapshots: str = "", until: int | None = None) -> store.StoredRun:
    from fewepochs.report import console
    from fewepochs.train import running

    recipe = tiny_runs.recipe("budget.epochs=4", FEW, *overrides)
    path, runtime = out / store.run_name(recipe), replace(RUNTIME, snapshots=snapshots)
    return running.train(path, recipe, runtime=runtime, view=console.View(), until=until).run


def kept(run: store.StoredRun) -> dict[int, Path]:
    return checkpoint.of_epochs(run.path / store.CHECKPOINTS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> store.StoredRun:
    return train(tmp_path_factory.mktemp("whole"), snapshots="1,every:2")


def test_the_epochs_asked_for_are_kept_beside_the_newest_and_the_best(whole: store.StoredRun) -> None:
    files = {path.name for path in (whole.path / store.CHECKPOINTS).iterdir()}
    assert {"epoch-0001.ckpt", "epoch-0002.ckpt", "epoch-0004.ckpt", "best.ckpt"} <= files
    assert list(kept(whole)) == [1, 2, 4]
    for epoch, path in kept(whole).items():
        facts = checkpoint.load(path).facts
        assert (facts.epochs, facts.epoch_steps, facts.steps) == (epoch, 0, 9 * epoch)


def test_training_does_not_notice(whole: store.StoredRun, tmp_path: Path) -> None:
    plain = train(tmp_path)
    assert (plain.path / store.EPOCHS).read_bytes() == (whole.path / store.EPOCHS).read_bytes()
    assert (plain.path / store.RECIPE).read_bytes() == (whole.path / store.RECIPE).read_bytes()
    assert plain.name == whole.name
    assert kept(plain) == {}


@pytest.mark.parametrize("paused", [1, 2, 3])
def test_a_resumed_run_keeps_the_same_without_being_told_again(
    paused: int, whole: store.StoredRun, tmp_path: Path
) -> None:
    train(tmp_path, snapshots="1,every:2", until=paused)
    [path] = tmp_path.iterdir()
    run = training.resume(path).run
    assert list(kept(run)) == [1, 2, 4]
    for epoch, file in kept(run).items():
        ours, theirs = checkpoint.load(file), checkpoint.load(kept(whole)[epoch])
        assert checkpoint.digest(ours.tensors) == checkpoint.digest(theirs.tensors)
        assert ours.facts.plateau == theirs.facts.plateau


def test_a_state_that_a_killed_run_had_kept_is_written_again(whole: store.StoredRun, tmp_path: Path) -> None:
    """The log and the newest checkpoint of a run that was killed lie before a state that it had kept."""
    train(tmp_path, snapshots="1,every:2", until=3)
    [path] = tmp_path.iterdir()
    store.RunFolder(path).keep(1)
    folder = path / store.CHECKPOINTS
    for file in checkpoint.newest_first(folder):
        file.unlink()
    shutil.copy(folder / "epoch-0001.ckpt", folder / "step-000000009.ckpt")
    (folder / "epoch-0002.ckpt").write_bytes(b"half")
    run = training.resume(path).run
    assert checkpoint.digest(checkpoint.load(kept(run)[2]).tensors) == checkpoint.digest(
        checkpoint.load(kept(whole)[2]).tensors
    )


def test_a_resumed_run_may_be_told_other_epochs(tmp_path: Path) -> None:
    train(tmp_path, snapshots="1", until=2)
    [path] = tmp_path.iterdir()
    run = training.resume(path, runtime=training.Runtime(snapshots="3")).run
    assert list(kept(run)) == [1, 3]
    assert run.environment["snapshots"] == "3"


def test_room_is_asked_for_all_of_them_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = sum(tensor.nbytes for tensor in tiny_runs.training(tiny_runs.recipe()).program.state().values())
    usage: Any = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, checkpoint.MAX_LINE_BYTES + 6 * one))
    train(tmp_path / "fits", until=1)
    with pytest.raises(errors.StorageError, match="too little space: checkpoints need"):
        train(tmp_path / "not", "budget.epochs=100", snapshots="every:1")


@pytest.mark.parametrize(
    ("text", "epochs"),
    [("", []), ("every:3", [3, 6, 9]), ("1,5,10", [1, 5, 10]), ("2..4,9", [2, 3, 4, 9]), ("every:11", []), ("99", [])],
)
def test_epochs_are_named_one_by_one_by_spans_or_by_their_distance(text: str, epochs: list[int]) -> None:
    assert sorted(runtimes.kept_epochs(text, budget=10)) == epochs


@pytest.mark.parametrize("text", ["every", "every:0", "0", "1,", "5,x", "-1", "every:5;1", "1...4"])
def test_what_names_no_epochs_is_refused_before_anything_is_trained(text: str, tmp_path: Path) -> None:
    with pytest.raises(errors.RecipeError, match="--snapshots: not a set of epochs"):
        training.train(tiny_runs.recipe(), out=tmp_path, runtime=replace(RUNTIME, snapshots=text))


def test_an_environment_from_elsewhere_is_not_believed() -> None:
    for odd in ("every:0", 7, None, ["1"]):
        assert runtimes.settled(training.Runtime(), environment={"snapshots": odd}).snapshots == ""
