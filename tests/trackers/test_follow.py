"""Runs are followed until they have ended; whatever fails on the way is tried again, and no run folder is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tracked_runs
from tracked_runs import Growing, Remembering

import foreign_runs
import report_runs
import run_folders
from fewepochs import store
from fewepochs.errors import CheckpointError, StorageError
from fewepochs.trackers import follow

RUN = report_runs.make_run()


class Waits:
    """Between two looks one thing happens after the other; then nothing more, until there were too many looks."""

    def __init__(self, *happenings: Callable[[], object], stop: bool = False) -> None:
        self._happenings = list(happenings)
        self._stop = stop
        self.count = 0

    def __call__(self) -> bool:
        self.count += 1
        assert self.count < 50, "never ends"
        if self._happenings:
            self._happenings.pop(0)()
            return True
        return not self._stop


def followed(tracker: Remembering, waits: Waits, *paths: Path) -> tuple[list[follow.Sent], list[str]]:
    said: list[str] = []
    return list(follow.follow(paths, to=tracker.place(), say=said.append, wait=waits)), said


def nothing() -> None:
    pass


def test_a_run_is_followed_to_its_end_and_every_epoch_is_told_once(tmp_path: Path) -> None:
    growing, tracker = Growing(RUN, tmp_path), Remembering()
    waits = Waits(lambda: growing.grow(2), nothing, lambda: growing.grow(5), lambda: growing.grow(20, state="finished"))
    sent, said = followed(tracker, waits, tmp_path)
    assert [(one.epochs, one.new, one.state) for one in sent] == [
        (0, 0, "running"),
        (2, 2, "running"),
        (5, 3, "running"),
        (20, 15, "finished"),
    ]
    assert [later for *_, later in tracker.told] == [True, True, True, False]
    assert said == []
    assert waits.count == 4 + follow.IDLE_LOOKS - 1


def test_runs_that_come_later_are_followed_too(tmp_path: Path) -> None:
    tracker, later = Remembering(), []
    tracked_runs.write(RUN, out=tmp_path)

    def begin() -> None:
        later.append(Growing(report_runs.make_run(seed=1), tmp_path))

    waits = Waits(nothing, begin, nothing, lambda: later[0].grow(20, state="finished"))
    sent, _ = followed(tracker, waits, tmp_path)
    assert [(one.name[:14], one.epochs) for one in sent] == [
        ("digits-step-s0", 20),
        ("digits-step-s1", 0),
        ("digits-step-s1", 20),
    ]


def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    waits = Waits(nothing, nothing, nothing, lambda: tracked_runs.write(RUN, out=tmp_path / "runs"))
    sent, said = followed(Remembering(), waits, tmp_path / "runs")
    assert [one.new for one in sent] == [20]
    assert said == [f"{tmp_path / 'runs'}: no such run folder; waiting for it (Ctrl-C ends)"]


def test_following_ends_where_the_process_that_trained_is_gone(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    growing = Growing(RUN, tmp_path).grow(3, **tracked_runs.here(pid=os.getpid()))
    sent, _ = followed(
        Remembering(), Waits(nothing, lambda: growing.grow(3, **tracked_runs.here(pid=child.pid))), tmp_path
    )
    assert [one.state for one in sent] == ["running", "crashed"]


def test_a_process_that_dies_without_a_word_is_noticed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    Growing(RUN, tmp_path).grow(3, **tracked_runs.here(pid=child.pid))

    def die() -> None:
        child.kill()
        child.communicate()

    sent, _ = followed(Remembering(), Waits(nothing, die), tmp_path)
    assert [one.state for one in sent] == ["running", "crashed"]


def test_a_line_that_is_half_written_is_looked_at_again(tmp_path: Path) -> None:
    growing = Growing(RUN, tmp_path).grow(2)
    log = growing.path / store.EPOCHS
    whole = log.read_bytes()
    line = RUN.own_epochs[2].model_dump_json().encode()
    log.write_bytes(whole + line[:40])

    def finish() -> None:
        log.write_bytes(whole)
        growing.grow(3, state="finished")

    sent, said = followed(Remembering(), Waits(finish), tmp_path)
    assert ([(one.epochs, one.new) for one in sent], said) == ([(2, 2), (3, 1)], [])


def test_asked_to_stop_it_looks_a_last_time_and_nothing_waits_any_longer(tmp_path: Path) -> None:
    growing, tracker = Growing(RUN, tmp_path).grow(4), Remembering()
    sent, _ = followed(tracker, Waits(stop=True), tmp_path)
    assert [one.new for one in sent] == [4, 0]
    assert [later for *_, later in tracker.told] == [True, False]
    assert growing.done == 4


# --- what fails -----------------------------------------------------------------------------------------------------


def test_a_tracker_that_fails_is_said_once_and_tried_again_and_training_has_not_noticed(tmp_path: Path) -> None:
    growing, tracker = Growing(RUN, tmp_path).grow(2), Remembering(fails=3)
    before: list[dict[str, bytes]] = []

    def more(epochs: int) -> None:
        growing.grow(epochs)
        before.append(run_folders.contents(growing.path))

    waits = Waits(
        lambda: more(3),
        lambda: more(4),
        lambda: before.append(run_folders.contents(growing.path)),
        lambda: growing.grow(20, state="finished"),
    )
    sent, said = followed(tracker, waits, tmp_path)
    assert [(one.epochs, one.new) for one in sent] == [(4, 4), (20, 16)]
    assert said == [
        "there: mlflow failed: nobody listens. The runs are untouched; put it right, and the same command sends "
        "what is missing; trying again"
    ]
    assert before[1] == before[2]


def test_a_tracker_that_still_fails_when_all_runs_have_ended_is_an_error(tmp_path: Path) -> None:
    path = tracked_runs.write(RUN, out=tmp_path)
    before = run_folders.contents(path)
    with pytest.raises(StorageError, match="there: mlflow failed: nobody listens") as raised:
        followed(Remembering(fails=100), Waits(), tmp_path)
    assert raised.value.exit_code == 5
    assert run_folders.contents(path) == before


def test_a_damaged_run_keeps_no_other_from_being_sent(tmp_path: Path) -> None:
    bad = tracked_runs.write(RUN, out=tmp_path)
    good = tracked_runs.write(report_runs.make_run(seed=1), out=tmp_path)
    log = bad / store.EPOCHS
    log.write_bytes(log.read_bytes().replace(b'"epoch":7', b'"epoch":8'))
    tracker = Remembering()
    with pytest.raises(CheckpointError, match="line 7: damaged"):
        list(follow.once([tmp_path], to=tracker.place(), say=tracked_runs.nothing, stopped=lambda: False))
    assert [name for name, *_ in tracker.told] == [good.name]
    tracker, said = Remembering(), list[str]()
    with pytest.raises(CheckpointError, match="line 7: damaged"):
        list(follow.follow([tmp_path], to=tracker.place(), say=said.append, wait=Waits()))
    assert [name for name, *_ in tracker.told] == [good.name]
    assert len(said) == 1


def test_a_copy_of_a_run_is_not_sent_a_second_time(tmp_path: Path) -> None:
    for out in ("a", "b"):
        tracked_runs.write(RUN, out=tmp_path / out)
    tracker, said = Remembering(), list[str]()
    found = [tmp_path / "a", tmp_path / "b"]
    sent = list(follow.once(found, to=tracker.place(), say=said.append, stopped=lambda: False))
    assert [one.path.parent.name for one in sent] == ["a"]
    assert said == [
        f"{tmp_path / 'b' / RUN.name}: the same recipe and seed as {tmp_path / 'a' / RUN.name}, which is sent; "
        "this one is not"
    ]


def test_foreign_runs_go_too(tmp_path: Path) -> None:
    foreign_runs.write(foreign_runs.make(), out=tmp_path)
    (sent,) = follow.once([tmp_path], to=Remembering().place(), say=tracked_runs.nothing, stopped=lambda: False)
    assert (sent.foreign, sent.new) == (True, 20)


def test_asked_to_stop_it_ends_after_the_run_that_is_being_sent(tmp_path: Path) -> None:
    for seed in range(3):
        tracked_runs.write(report_runs.make_run(seed=seed, epochs=1), out=tmp_path)
    sent = list(follow.once([tmp_path], to=Remembering().place(), say=tracked_runs.nothing, stopped=lambda: True))
    assert len(sent) == 1
