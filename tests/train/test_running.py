"""What belongs to a start of the process is told in the first epoch after it alone; what ends a run ends it well."""

from __future__ import annotations

import dataclasses
import json
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
import tiny_runs

from fewepochs import locks, runtime, store
from fewepochs import recipe as recipes
from fewepochs.errors import StorageError
from fewepochs.nets import kernels
from fewepochs.records import CostRecord, EpochRecord
from fewepochs.study import cell
from fewepochs.train import checkpoint, running

HOW = runtime.Runtime(device="cpu", kernels="torch", threads=1)


def tiny() -> recipes.Recipe:
    return tiny_runs.recipe("data.validation={kind='held-out', images=1337}", "budget.epochs=4")


def test_set_up_is_of_each_start_and_nothing_was_compiled(tmp_path: Path) -> None:
    for until in (2, None):
        running.train(tmp_path / "run", tiny(), runtime=HOW, view=cell.Quiet(), until=until)
    costs = store.read(tmp_path / "run").costs
    assert [cost.setup_seconds > 0 for cost in costs] == [True, False, True, False]
    assert [cost.compile_seconds for cost in costs] == [0.0] * 4


@pytest.mark.parametrize(
    ("overrides", "kernels_wanted", "problem"),
    [
        (("batch_size=1000",), "torch", "batch_size: larger than the training set (got 1000); allowed: 1 to 100"),
        ((), "fused", None),
    ],
)
def test_a_cell_tells_what_is_wrong_with_its_recipe_from_what_is_wrong_with_the_command(
    overrides: tuple[str, ...],
    kernels_wanted: str,
    problem: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "available", lambda: "torch")
    recipe = tiny_runs.recipe("data.validation={kind='held-out', images=1337}", *overrides)
    how = dataclasses.replace(HOW, kernels=kernels_wanted)
    ending = cell.train(cell.Job(recipe=recipe, path=tmp_path / "run", runtime=how), view=cell.Quiet())
    assert (ending.exit_code, ending.problem) == (2, problem)


@pytest.mark.parametrize("until", [3, None])
@pytest.mark.parametrize("saved", [True, False])
def test_a_run_that_was_killed_after_its_last_line_ends_as_one_that_was_not(
    until: int | None, saved: bool, tmp_path: Path
) -> None:
    """Killed before its state was saved, or after that and before it was written down how it ended."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for asked in (2, until):
        running.train(whole, tiny(), runtime=HOW, view=cell.Quiet(), until=asked)
    shutil.copytree(whole, killed)
    status = store.read(whole).status
    store.RunFolder(killed).write_status(status.model_copy(update={"state": "running", "stopped": None}))
    lines = (killed / store.EPOCHS).read_bytes().splitlines()
    if not saved:
        newest, best = (
            checkpoint.newest_first(killed / store.CHECKPOINTS)[0],
            killed / store.CHECKPOINTS / checkpoint.BEST,
        )
        if checkpoint.load(best).steps == checkpoint.load(newest).steps:
            best.unlink()
        newest.unlink()
    running.train(killed, tiny(), runtime=HOW, view=cell.Quiet(), until=until)
    assert (killed / store.EPOCHS).read_bytes().splitlines() == lines
    told, expected = store.read(killed).status, status
    assert (told.state, told.stopped, told.reason) == (expected.state, expected.stopped, expected.reason)
    for file in (checkpoint.newest_first(whole / store.CHECKPOINTS)[0].name, checkpoint.BEST):
        ended, undisturbed = (checkpoint.load(path / store.CHECKPOINTS / file) for path in (killed, whole))
        assert checkpoint.digest(ended.tensors) == checkpoint.digest(undisturbed.tensors)
        assert ended.steps == undisturbed.steps


@pytest.mark.parametrize("how", ["its lock is deleted", "it is moved", "it is begun anew"])
def test_a_run_whose_folder_is_taken_away_ends_and_writes_nothing_more(how: str, tmp_path: Path) -> None:
    """Another process may train the same run in the folder of that name by now."""
    path, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    others = ExitStack()

    class Taking(cell.Quiet):
        def epoch(self, record: EpochRecord, cost: CostRecord) -> None:
            if record.epoch == 2 and how == "its lock is deleted":
                (path / locks.FILE).unlink()
            elif record.epoch == 2:
                path.rename(elsewhere)
            if record.epoch == 2 and how == "it is begun anew":
                others.enter_context(store.hold(path))

    with others:
        with pytest.raises(StorageError, match=f"{path}: the folder or its lock was taken away"):
            running.train(path, tiny(), runtime=HOW, view=Taking())
        assert locks.is_held(path) == (how == "it is begun anew")
        left = path if how == "its lock is deleted" else elsewhere
        assert len(store.read(left).epochs) == 2
    ended = running.train(left, tiny(), runtime=HOW, view=cell.Quiet()).run
    assert (ended.status.state, len(ended.epochs)) == ("finished", 4)


def test_a_folder_from_before_compile_and_load_were_recorded_is_read(tmp_path: Path) -> None:
    running.train(tmp_path / "run", tiny(), runtime=HOW, view=cell.Quiet(), until=1)
    log = tmp_path / "run" / store.COSTS
    later = ("compile_seconds", "load", "load_source", "load_reason")
    log.write_text(json.dumps({k: v for k, v in json.loads(log.read_text()).items() if k not in later}) + "\n")
    (cost,) = store.read(tmp_path / "run").costs
    assert [getattr(cost, name) for name in later] == [None] * 4
    running.train(tmp_path / "run", tiny(), runtime=HOW, view=cell.Quiet())
    assert [cost.compile_seconds for cost in store.read(tmp_path / "run").costs] == [None, 0.0, 0.0, 0.0]


def test_the_time_until_kernels_are_there_is_that_of_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]

    def available() -> kernels.Kernels:
        now[0] += 5.0
        return "fused"

    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr(kernels, "available", available)
    said: list[str] = []
    auto = runtime.Runtime(device="cpu", threads=1)
    assert running.load(tiny(), runtime=auto, say=said.append).compile_seconds == 5.0
    assert running.load(tiny(), runtime=HOW, say=said.append).compile_seconds == 0.0


@pytest.mark.parametrize(("precision", "missing"), [("bfloat16", True), ("bfloat16", False), ("float32", True)])
def test_bfloat16_that_the_processor_has_not_is_said_to_be_slow(
    precision: str, missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "bfloat16_missing", lambda: "this processor has none" if missing else None)
    said: list[str] = []
    running.load(tiny_runs.recipe(f"precision={precision}"), runtime=HOW, say=said.append)
    told = [line for line in said if line.startswith("bfloat16: this processor has none: slower than")]
    assert len(told) == len(said) == (precision == "bfloat16" and missing)
