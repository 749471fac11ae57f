"""What is shown is what is stored; looks go on while something is at work, and what fails is said once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import run_folders
from fewepochs import store
from fewepochs.api import showing
from fewepochs.errors import RecipeError, StorageError
from report_runs import make_run, write


def a_watch(path: Path, *, waits: Iterator[Callable[[], object] | None], said: list[str]) -> showing.Watch:
    """Return a watch whose pauses do what `waits` say, and end where it ends."""

    def wait() -> bool:
        try:
            act = next(waits)
        except StopIteration:
            return False
        if act is not None:
            act()
        return True

    return showing.Watch([path], path, wait, 2, said.append)


def test_runs_are_shown_as_they_are_stored(tmp_path: Path) -> None:
    runs = [make_run(seed=seed) for seed in (0, 1)]
    shown = showing.load([write(tmp_path / "runs", *runs)], out=tmp_path)

    assert [run.epochs for run in shown.runs] == [run.epochs for run in runs]
    assert (shown.question, shown.title, shown.planned, shown.found) == ("", None, None, None)


def test_a_study_is_shown_with_its_question_and_no_answer_before_an_epoch(tmp_path: Path) -> None:
    (tmp_path / "pair.toml").write_text(run_folders.STUDY)
    shown = showing.load([tmp_path / "pair.toml"], out=tmp_path / "runs")

    assert (shown.question, shown.title, shown.runs, shown.found) == ("Which batch?", "pair", (), None)
    assert shown.planned is not None
    assert shown.planned.count("missing") == 4


def test_a_study_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "pair.toml").write_text(run_folders.STUDY)

    with pytest.raises(RecipeError, match="a study stands beside other things"):
        showing.load([tmp_path / "pair.toml", tmp_path], out=tmp_path)


def test_a_folder_whose_name_ends_like_a_study_file_is_a_folder(tmp_path: Path) -> None:
    assert not showing.is_study([write(tmp_path / "runs.toml", make_run())])


def test_the_version_changes_when_anything_does(tmp_path: Path) -> None:
    seen = [showing.version([tmp_path], out=tmp_path)]
    folder = run_folders.make(tmp_path / "run", epochs=1)
    seen.append(showing.version([tmp_path], out=tmp_path))
    folder.append(run_folders.epoch(2), run_folders.cost(2))
    seen.append(showing.version([tmp_path], out=tmp_path))
    folder.write_status(run_folders.status("finished", epochs=2))
    seen.append(showing.version([tmp_path], out=tmp_path))

    assert len(set(seen)) == 4
    assert showing.version([tmp_path], out=tmp_path) == seen[-1]


def test_looks_end_when_nothing_is_at_work(tmp_path: Path) -> None:
    write(tmp_path, make_run())

    assert len(list(a_watch(tmp_path, waits=iter([None] * 9), said=[]).looks())) == 1


def test_a_pause_between_two_runs_is_no_end(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "a", epochs=1)
    waits: Iterator[Callable[[], object] | None] = iter(
        [
            lambda: folder.write_status(run_folders.status("finished", epochs=1)),
            *[None] * 4,
            lambda: run_folders.make(tmp_path / "b", epochs=1).write_status(run_folders.status("finished", epochs=1)),
            *[None] * 99,
        ]
    )
    watch = a_watch(tmp_path, waits=waits, said=[])
    watch.idle_looks = 8

    assert [len(look.runs) for look in watch.looks()] == [1, 1, 2]
    assert len(list(waits)) == 99 - 2  # eight looks in all without anything at work


def test_a_run_that_grows_is_shown_each_time_it_has(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", epochs=1)

    def grow() -> None:
        folder.append(run_folders.epoch(2), run_folders.cost(2))

    def end() -> None:
        folder.write_status(run_folders.status("finished", epochs=2))

    looks = list(a_watch(tmp_path, waits=iter([None, grow, None, end, None, None]), said=[]).looks())

    assert [(len(look.runs[0].epochs), look.runs[0].status.state) for look in looks] == [
        (1, "running"),
        (2, "running"),
        (2, "finished"),
    ]


def test_a_run_whose_process_is_killed_is_shown_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are as they were."""
    run_folders.make(tmp_path / "run", epochs=1)
    waits = iter([None, lambda: monkeypatch.setattr(store, "standing", lambda status: "crashed"), *[None] * 9])
    looks = a_watch(tmp_path, waits=waits, said=[]).looks()

    assert [look.runs[0].state for look in looks] == ["running", "crashed"]


def test_what_is_not_there_yet_is_said_once_and_waited_for(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "later"
    waits = iter([None, None, lambda: write(path, make_run()), None, None, None])
    looks = list(a_watch(path, waits=waits, said=said).looks())

    assert [len(look.runs) for look in looks] == [1]
    assert said == [f"{path}: no such run folder; looking again (Ctrl-C ends)"]


def test_what_never_comes_is_an_error_when_the_watching_is_ended(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such run folder"):
        list(a_watch(tmp_path / "never", waits=iter([None]), said=[]).looks())


def test_a_damaged_log_leaves_what_was_seen_before(tmp_path: Path) -> None:
    said: list[str] = []
    folder = run_folders.make(tmp_path / "run", epochs=2)
    whole = (folder.path / store.EPOCHS).read_bytes()
    waits = iter(
        [
            lambda: (folder.path / store.EPOCHS).write_bytes(b"{\n" + whole),
            lambda: (folder.path / store.EPOCHS).write_bytes(whole),
        ]
    )
    looks = list(a_watch(tmp_path, waits=waits, said=said).looks())

    assert all(len(look.runs[0].epochs) == 2 for look in looks)
    assert len(said) == 1
