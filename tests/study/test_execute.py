"""Which cell is trained next, and what becomes of one that failed: against a place that does what it is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewepochs import errors, locks, runtime, store
from fewepochs.errors import DataError, RecipeError, StorageError
from fewepochs.study import cell as cells
from fewepochs.study import execute, folder, grid, plan
from study import study_files

OK = cells.Ending(exit_code=0)
KILLED = cells.Ending(exit_code=-9, message="killed by SIGKILL")
FINISHED = (0.1, 0.2, 0.2, 0.3, 0.3, 0.4)


@dataclass
class Stage:
    """A place where nothing is trained: `play` says how each cell ends; two at a time unless `slots` says otherwise."""

    play: Callable[[str, cells.Job], cells.Ending]
    slots: int = 2
    together: int = 1
    began: list[str] = field(default_factory=list)
    stopped: int = 0
    closed: bool = False
    _out: list[tuple[str, cells.Job]] = field(default_factory=list)

    @property
    def free(self) -> int:
        return self.slots - len(self._out)

    def begin(self, name: str, job: cells.Job) -> None:
        self.began.append(name)
        self._out.append((name, job))

    def ended(self, *, seconds: float) -> list[tuple[str, cells.Ending]]:
        if not self._out:
            return []
        name, job = self._out.pop(0)
        return [(name, self.play(name, job))]

    def stop(self) -> None:
        self.stopped += 1

    def close(self) -> None:
        self.closed = True


@dataclass
class Show:
    """A study on a stage; `run` returns what happened as (kind, run name) pairs."""

    study: grid.Study
    path: Path
    retries: int = 2
    wish: execute.Wish = field(default_factory=execute.Wish)

    def events(self, stage: Stage) -> Iterable[execute.Event]:
        execution = execute.Execution(
            self.study,
            path=self.path,
            place=stage,
            runtime=runtime.Runtime(threads=1),
            retries=self.retries,
            wish=self.wish,
        )
        return execution.run(self.study.cells)

    def run(self, stage: Stage) -> list[tuple[str, str]]:
        return [(event.kind, event.cell.run_name) for event in self.events(stage) if event.cell is not None]

    def checkpoint(self, name: str, *, steps: int) -> None:
        """Let the run have a checkpoint after so many steps."""
        file = self.path / name / store.CHECKPOINTS / f"step-{steps:09d}.ckpt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"weights")


@pytest.fixture
def show(tmp_path: Path) -> Show:
    study = study_files.study(tmp_path)
    path = tmp_path / "runs" / study.name
    path.mkdir(parents=True)
    return Show(study, path)


def of_kind(happened: Sequence[tuple[str, str]], kind: str) -> list[str]:
    return [name for found, name in happened if found == kind]


def test_cells_begin_seed_by_seed_so_that_pairs_are_whole(show: Show) -> None:
    stage = Stage(lambda name, job: OK, slots=1)
    happened = show.run(stage)
    assert [(name.split("-s")[0], name.split("-s")[1][0]) for name in stage.began] == [
        ("lr-0.01", "0"), ("lr-0.02", "0"), ("lr-0.01", "1"), ("lr-0.02", "1"),
    ]  # fmt: skip
    assert of_kind(happened, "done") == stage.began
    assert stage.closed


@given(arms=st.integers(1, 4), order=st.permutations(range(5)), slots=st.integers(1, 7))
def test_whenever_one_looks_no_arm_is_more_than_one_seed_ahead(arms: int, order: list[int], slots: int) -> None:
    class Named:
        def __init__(self, arm: int, seed: int) -> None:
            self.arm, self.seed = arm, seed

    chosen = [Named(arm, seed) for arm in range(arms) for seed in order]
    begun: dict[int, int] = dict.fromkeys(range(arms), 0)
    for cell in execute.in_order(chosen):  # type: ignore[arg-type]
        begun[cell.arm] += 1  # type: ignore[index]
        assert max(begun.values()) - min(begun.values()) <= 1


def test_a_job_is_the_cells_recipe_in_its_folder_under_the_studys_rule(tmp_path: Path) -> None:
    study = study_files.study(tmp_path, study_files.STUDY + "\n[stop]\ntarget = 0.3\n")
    jobs: list[cells.Job] = []
    Show(study, tmp_path).run(Stage(lambda name, job: jobs.append(job) or OK))  # type: ignore[func-returns-value]
    by_name = {cell.run_name: cell for cell in study.cells}
    assert all(job.recipe == by_name[job.path.name].recipe for job in jobs)
    assert {job.stop.target for job in jobs} == {0.3}


def test_a_cell_that_crashed_is_begun_again_before_any_other(show: Show) -> None:
    endings = iter([KILLED, OK, OK, OK, OK])
    stage = Stage(lambda name, job: next(endings), slots=1)
    happened = show.run(stage)
    assert stage.began[0] == stage.began[1]
    assert of_kind(happened, "retried") == [stage.began[0]]
    assert len(of_kind(happened, "done")) == 4


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_cell_that_gets_nowhere_fails_after_its_retries(show: Show, retries: int) -> None:
    show.retries = retries
    bad = show.study.cells[0].run_name
    stage = Stage(lambda name, job: KILLED if name == bad else OK)
    happened = show.run(stage)
    assert stage.began.count(bad) == 1 + retries
    assert of_kind(happened, "failed") == [bad]
    assert len(of_kind(happened, "done")) == 3
    why = folder.failure(show.path, bad)
    assert why == folder.Failure(exit_code=-9, attempts=1 + retries, reason="killed by SIGKILL")


def test_a_crash_is_begun_again_whatever_other_errors_have_been_drawn() -> None:
    """One without an exit code of its own has that of a crash."""
    script = (
        "from fewepochs import errors\n"
        "class Other(errors.FewEpochsError): pass\n"
        "from fewepochs.study import cell, execute\n"
        "raise SystemExit(cell.CRASHED in execute.FAILS)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    drawn = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert set(errors.KINDS) == drawn - {errors.FewEpochsError}


def test_a_cell_that_gets_further_each_time_is_never_given_up(show: Show) -> None:
    show.retries = 1
    bad, calls = show.study.cells[0].run_name, list[str]()

    def play(name: str, job: cells.Job) -> cells.Ending:
        if name != bad or len(calls) == 9:
            return OK
        calls.append(name)
        show.checkpoint(name, steps=len(calls))
        return KILLED

    happened = show.run(Stage(play))
    assert of_kind(happened, "failed") == []
    assert len(of_kind(happened, "retried")) == 9


def test_progress_that_stops_uses_up_the_retries_again(show: Show) -> None:
    show.retries = 1
    bad, calls = show.study.cells[0].run_name, list[str]()

    def play(name: str, job: cells.Job) -> cells.Ending:
        if name != bad:
            return OK
        calls.append(name)
        show.checkpoint(name, steps=min(len(calls), 3))
        return KILLED

    happened = show.run(Stage(play))
    assert of_kind(happened, "failed") == [bad]
    assert len(calls) == 4, "the third one got as far as step 3 and crashed there; its one retry did, too"


@pytest.mark.parametrize("kind", [RecipeError, DataError])
def test_what_no_cell_of_an_arm_can_use_fails_the_arm_at_once(show: Show, kind: type[RecipeError | DataError]) -> None:
    first = show.study.cells[0].arm
    ending = cells.Ending(exit_code=kind.exit_code, message="no such data", problem="batch_size: too large")
    happened = show.run(Stage(lambda name, job: ending if name.startswith(first) else OK, slots=1))
    failed = of_kind(happened, "failed")
    assert failed == [cell.run_name for cell in show.study.cells if cell.arm == first]
    assert len(of_kind(happened, "done")) == 2
    why = folder.Failure(exit_code=kind.exit_code, attempts=1, reason="no such data", problem="batch_size: too large")
    assert [folder.failure(show.path, name) for name in failed] == [why, why]


def test_an_error_of_a_single_cell_is_not_tried_again(show: Show) -> None:
    bad = show.study.cells[0].run_name
    ending = cells.Ending(exit_code=StorageError.exit_code, message="disk full")
    stage = Stage(lambda name, job: ending if name == bad else OK)
    assert of_kind(show.run(stage), "failed") == [bad]
    assert stage.began.count(bad) == 1


def test_a_failure_that_was_mended_is_forgotten(show: Show) -> None:
    name = show.study.cells[0].run_name
    folder.note_failure(show.path, name, folder.Failure(exit_code=3, attempts=1, reason="no data"))
    show.run(Stage(lambda name, job: OK))
    assert folder.failure(show.path, name) is None


def test_a_cell_that_another_process_holds_is_left_to_it(show: Show) -> None:
    held, others = show.study.cells[0], [cell.run_name for cell in show.study.cells[1:]]
    stage, holding = Stage(lambda name, job: OK), ExitStack()
    holding.enter_context(store.hold(show.path / held.run_name))
    done: list[str] = []
    for event in show.events(stage):
        if event.kind == "done" and event.cell is not None:
            done.append(event.cell.run_name)
        if len(done) == 3 and locks.is_held(show.path / held.run_name):
            study_files.write_cell(show.path, held, FINISHED)
            holding.close()  # the other process has finished it
    assert sorted(stage.began) == sorted(others)
    assert done[-1] == held.run_name


def test_a_cell_that_was_snatched_away_is_waited_for(show: Show) -> None:
    """Another process takes the folder between our look and our worker's: no failure, no attempt of ours."""
    bad, holding = show.study.cells[0], ExitStack()

    def play(name: str, job: cells.Job) -> cells.Ending:
        if name == bad.run_name and not holding_now():
            holding.enter_context(store.hold(job.path))
            return cells.Ending(exit_code=StorageError.exit_code, message="another process is working on this run")
        return OK

    def holding_now() -> bool:
        return locks.is_held(show.path / bad.run_name)

    kinds = []
    for event in show.events(Stage(play, slots=1)):
        if event.cell is bad:
            kinds.append(event.kind)
        if event.kind == "retried":
            study_files.write_cell(show.path, bad, FINISHED)
            holding.close()
    assert kinds == ["began", "retried", "done"]


def test_after_a_signal_nothing_begins_and_what_is_at_work_is_left(show: Show) -> None:
    def play(name: str, job: cells.Job) -> cells.Ending:
        show.wish.stop = True
        return cells.Ending(exit_code=143, message="stopped by a signal")

    stage = Stage(play, slots=2)
    happened = show.run(stage)
    assert len(stage.began) == 2
    assert stage.stopped >= 1
    assert of_kind(happened, "left") == stage.began
    assert not (show.path / folder.FAILURES).exists()


def test_the_place_is_closed_when_the_view_fails(show: Show) -> None:
    stage = Stage(lambda name, job: OK)
    happening = iter(show.events(stage))
    next(happening)
    happening.close()  # type: ignore[attr-defined]
    assert stage.closed


def test_what_is_done_already_is_not_begun(show: Show) -> None:
    study_files.write_cell(show.path, show.study.cells[0], FINISHED)
    stage = Stage(lambda name, job: OK)
    happened = show.run(stage)
    assert show.study.cells[0].run_name not in stage.began
    assert len(of_kind(happened, "done")) == 4
    assert plan.standing(show.path, show.study.cells[0], study=show.study).state == "done"
