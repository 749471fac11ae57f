"""When a checkpoint is written: by a clock of the test's own, which moves while a checkpoint is being written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from snapshots import snapshot

import run_folders
from fewepochs import locks, store
from fewepochs.errors import StorageError
from fewepochs.train import checkpoint, saves


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Run:
    """A run that can be anywhere."""

    steps = 0

    def snapshot(self) -> checkpoint.Snapshot:
        return snapshot(self.steps)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def written(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int | None]]:
    """Return the list of what is written: the steps of each checkpoint and of the best with it; each takes a second."""
    found: list[tuple[int, int | None]] = []

    def save(folder: Path, state: checkpoint.Snapshot, *, best: checkpoint.Snapshot | None = None) -> None:
        found.append((state.steps, None if best is None else best.steps))
        clock.now += 1.0

    monkeypatch.setattr(checkpoint, "save", save)
    return found


def run(epochs: list[tuple[float, bool]], *, clock: Clock, every: float) -> saves.Saves:
    """Let epochs of so many seconds end, each with or without a new best."""
    kept = saves.Saves(store.RunFolder(Path("nowhere")), every_seconds=every, clock=clock)
    source = Run()
    for seconds, best in epochs:
        clock.now += seconds
        source.steps += 1
        kept.after_epoch(source, best=best)
    return kept


Written = list[tuple[int, int | None]]


def test_long_epochs_are_all_saved(clock: Clock, written: Written) -> None:
    run([(100.0, False)] * 5, clock=clock, every=600.0)
    assert [steps for steps, _ in written] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("seconds", [0.25, 1.0, 7.5, 99.0])
def test_writing_takes_at_most_a_hundredth_of_the_time_however_short_epochs_are(
    seconds: float, clock: Clock, written: Written
) -> None:
    begin = clock.now
    run([(seconds, True)] * round(10_000 / seconds), clock=clock, every=600.0)
    assert 0.004 < (len(written) - 1) / (clock.now - begin) <= saves.SHARE


def test_a_best_that_was_not_written_at_once_is_written_with_the_next(clock: Clock, written: Written) -> None:
    run([(1.0, True), (1.0, True), (1.0, False), (200.0, False), (200.0, False)], clock=clock, every=600.0)
    assert written == [(1, 1), (4, 2), (5, None)]


def test_a_short_interval_lifts_the_limit(clock: Clock, written: Written) -> None:
    run([(1.0, False)] * 5, clock=clock, every=0.0)
    assert len(written) == 5


def test_a_checkpoint_in_mid_epoch_is_due_so_long_after_the_last_one(clock: Clock, written: Written) -> None:
    kept = run([(100.0, False)], clock=clock, every=600.0)
    assert kept.due == clock.now + 600.0
    clock.now += 5.0
    kept.after_epoch(Run(), best=False)
    assert kept.due == clock.now + 595.0
    source = Run()
    source.steps = 9
    kept.write(source)
    assert kept.due == clock.now + 600.0


def test_a_state_is_written_once(clock: Clock, written: Written) -> None:
    kept = run([(100.0, True)], clock=clock, every=600.0)
    source = Run()
    source.steps = 1
    kept.write(source)
    assert written == [(1, 1)]


def test_the_best_outlives_a_state_that_is_not_worth_keeping(tmp_path: Path, clock: Clock) -> None:
    folder = run_folders.make(tmp_path)
    kept = saves.Saves(folder, every_seconds=600.0, clock=clock)
    source = Run()
    source.steps = 1
    kept.write(source)
    kept._took = 1.0
    source.steps = 2
    kept.after_epoch(source, best=True)
    assert not (folder.checkpoints / checkpoint.BEST).exists()
    kept.end_without()
    assert checkpoint.load(folder.checkpoints / checkpoint.BEST).steps == 2
    assert [path.name for path in checkpoint.newest_first(folder.checkpoints)] == ["step-000000001.ckpt"]


@pytest.mark.parametrize("best", [False, True])
def test_what_is_to_be_kept_is_written_at_once_under_its_epochs_name(
    best: bool, tmp_path: Path, clock: Clock, written: Written
) -> None:
    folder = run_folders.make(tmp_path)
    kept = saves.Saves(folder, every_seconds=600.0, clock=clock)
    kept._took = 100.0  # nothing else is due
    source = Run()
    source.steps = 7
    kept.after_epoch(source, best=best, kept=True)
    [(_, path)] = checkpoint.of_epochs(folder.checkpoints).items()
    assert checkpoint.load(path).steps == 7
    assert written == []


def test_no_checkpoint_goes_into_a_folder_that_is_not_held_any_more(tmp_path: Path, clock: Clock) -> None:
    with store.hold(tmp_path) as held:
        run_folders.make(tmp_path)
        kept = saves.Saves(store.RunFolder(tmp_path, held=held), every_seconds=600.0, clock=clock)
        source = Run()
        kept._took = 100.0  # nothing is due: the best waits
        kept.after_epoch(source, best=True)
        (tmp_path / locks.FILE).unlink()
        writes: tuple[Callable[[], None], ...] = (
            lambda: kept.write(source),
            lambda: kept.after_epoch(source, best=False, kept=True),
            kept.end_without,
        )
        for write in writes:
            with pytest.raises(StorageError, match="taken away"):
                write()
    assert list((tmp_path / store.CHECKPOINTS).iterdir()) == []
