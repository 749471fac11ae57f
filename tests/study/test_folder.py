"""What is written down before a study's first cell, and what may change afterwards."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fewepochs.errors import RecipeError, StorageError
from fewepochs.study import folder
from study import study_files

GROWN = study_files.STUDY.replace("seeds = [0, 1]", "seeds = [0, 1, 2]")
MORE_ARMS = study_files.STUDY.replace("[1e-2, 2e-2]", "[1e-2, 2e-2, 3e-2]")


def test_what_was_decided_is_read_back(tmp_path: Path) -> None:
    study = study_files.study(tmp_path)
    assert folder.read(tmp_path / "s") is None
    book = folder.begin(tmp_path / "s", study, threads=2, done=0)
    assert folder.read(tmp_path / "s") == book
    assert (book.name, book.threads, book.rules) == (study.name, 2, study.rules)


def test_the_same_study_again_changes_nothing(tmp_path: Path) -> None:
    study = study_files.study(tmp_path)
    folder.begin(tmp_path / "s", study, threads=2, done=0)
    before = (tmp_path / "s" / folder.FILE).read_bytes()
    assert folder.begin(tmp_path / "s", study, threads=7, done=3).threads == 2, "threads decide how sums are rounded"
    assert (tmp_path / "s" / folder.FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("targets = [0.2, 0.4]", "targets"),
        ('targets = [0.2, 0.3]\nrule = "held"', "rule"),
        ('targets = [0.2, 0.3]\nby = "seconds"', "by"),
        ("targets = [0.2, 0.3]\nlooks = 2", "looks"),
        ("targets = [0.2, 0.3]\nhorizon = 3.0", "horizon"),
        ("targets = [0.2, 0.3]\nstop.target = 0.3", "stop"),
    ],
)
def test_rules_are_fixed_once_a_cell_has_begun(tmp_path: Path, line: str, field: str) -> None:
    folder.begin(tmp_path / "s", study_files.study(tmp_path), threads=1, done=0)
    other = study_files.study(tmp_path, study_files.STUDY.replace("targets = [0.2, 0.3]", line))
    with pytest.raises(RecipeError) as caught:
        folder.begin(tmp_path / "s", other, threads=1, done=0)
    assert f"{field}: was " in str(caught.value)
    assert "rename the study" in str(caught.value)


def test_arms_and_seeds_may_be_added_and_it_is_remembered_when(tmp_path: Path) -> None:
    folder.begin(tmp_path / "s", study_files.study(tmp_path), threads=1, done=0)
    book = folder.begin(tmp_path / "s", study_files.study(tmp_path, MORE_ARMS), threads=1, done=4)
    assert [(len(state.arms), state.done) for state in book.history] == [(2, 0), (3, 4)]


@pytest.mark.parametrize(("done", "looks"), [(0, 1), (4, 2)])
def test_seeds_that_come_after_results_are_one_look_more(tmp_path: Path, done: int, looks: int) -> None:
    folder.begin(tmp_path / "s", study_files.study(tmp_path), threads=1, done=0)
    assert folder.begin(tmp_path / "s", study_files.study(tmp_path, GROWN), threads=1, done=done).looks() == looks


def test_arms_that_come_after_results_are_no_look_more(tmp_path: Path) -> None:
    folder.begin(tmp_path / "s", study_files.study(tmp_path), threads=1, done=0)
    assert folder.begin(tmp_path / "s", study_files.study(tmp_path, MORE_ARMS), threads=1, done=4).looks() == 1


def test_looks_that_were_planned_are_counted_already(tmp_path: Path) -> None:
    planned = study_files.STUDY.replace("targets", "looks = 3\ntargets")
    folder.begin(tmp_path / "s", study_files.study(tmp_path, planned), threads=1, done=0)
    grown = planned.replace("seeds = [0, 1]", "seeds = [0, 1, 2]")
    assert folder.begin(tmp_path / "s", study_files.study(tmp_path, grown), threads=1, done=4).looks() == 3


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff\xfe", b"null"])
def test_a_damaged_book_is_told_and_left(tmp_path: Path, content: bytes) -> None:
    (tmp_path / folder.FILE).write_bytes(content)
    with pytest.raises(StorageError, match="damaged"):
        folder.begin(tmp_path, study_files.study(tmp_path), threads=1, done=0)
    assert (tmp_path / folder.FILE).read_bytes() == content


def test_two_executions_that_begin_at_once_write_one_book(tmp_path: Path) -> None:
    studies = [study_files.study(tmp_path, text) for text in (study_files.STUDY, MORE_ARMS)] * 4
    found: list[folder.Book] = []

    def begin(k: int) -> None:
        found.append(folder.begin(tmp_path / "s", studies[k], threads=k + 1, done=0))

    workers = [threading.Thread(target=begin, args=(k,)) for k in range(len(studies))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len({book.threads for book in found}) == 1, "the first one settled them"
    last = folder.read(tmp_path / "s")
    assert last is not None
    assert max(len(book.history) for book in found) == len(last.history)


def test_a_note_of_failure_stays_until_it_is_taken_away(tmp_path: Path) -> None:
    why = folder.Failure(exit_code=-9, attempts=3, reason="killed")
    assert folder.failure(tmp_path, "run") is None
    folder.note_failure(tmp_path, "run", why)
    assert folder.failure(tmp_path, "run") == why
    folder.note_failure(tmp_path, "run", None)
    folder.note_failure(tmp_path, "run", None)
    assert folder.failure(tmp_path, "run") is None


def test_a_note_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / folder.FAILURES).mkdir()
    (tmp_path / folder.FAILURES / "run.json").write_bytes(b"{")
    assert folder.failure(tmp_path, "run") is None
