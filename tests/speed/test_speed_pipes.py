"""A peer's process: asked, silent, dead, talkative."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.speed.pipes import PeerError, Process

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
NEVER, SOON = 60.0, 0.05
"""Seconds that are not waited for, and seconds that are."""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Process]]:
    """Return a list; the processes in it are ended."""
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.close(patience=0.0)


def start(code: str, started: list[Process], folder: Path) -> Process:
    started.append(Process([sys.executable, "-c", code], environment=os.environ, log=folder / "log"))
    return started[-1]


def test_a_question_is_answered(started: list[Process], tmp_path: Path) -> None:
    process = start(ECHO, started, tmp_path)
    for steps in (1, 2):
        process.ask({"steps": steps})
        assert process.answer(timeout=NEVER) == {"steps": steps}


def test_two_answers_in_one_piece_are_two(started: list[Process], tmp_path: Path) -> None:
    process = start("print('{}\\n{\"a\": 1}')", started, tmp_path)
    assert [process.answer(timeout=NEVER), process.answer(timeout=NEVER)] == [{}, {"a": 1}]


def test_one_that_dies_says_why(started: list[Process], tmp_path: Path) -> None:
    process = start("import sys; print('one\\ntwo\\nthree\\nfour', file=sys.stderr); sys.exit(7)", started, tmp_path)
    with pytest.raises(PeerError, match=r"^it has ended.*; it said: two / three / four$"):
        process.answer(timeout=NEVER)


def test_one_that_was_killed_does_not_answer(started: list[Process], tmp_path: Path) -> None:
    process = start("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", started, tmp_path)
    with pytest.raises(PeerError, match="it has ended"):
        process.answer(timeout=NEVER)


def test_one_that_keeps_silent_is_not_waited_for(started: list[Process], tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="no answer within 0 s"):
        start(ECHO, started, tmp_path).answer(timeout=SOON)


@pytest.mark.parametrize("said", ["hello", "[1]"])
def test_what_is_no_answer_is_said(said: str, started: list[Process], tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="no answer but"):
        start(f"print({said!r})", started, tmp_path).answer(timeout=NEVER)


def test_one_whose_questions_end_ends_itself(started: list[Process], tmp_path: Path) -> None:
    process = start(ECHO, started, tmp_path)
    process.close(patience=NEVER)
    process.close(patience=NEVER)  # a second time does nothing
    with pytest.raises(PeerError, match=r"exit status 0"):
        process.ask({})


def test_one_that_does_not_end_is_killed(started: list[Process], tmp_path: Path) -> None:
    process = start("import signal\nprint('{}', flush=True)\nsignal.pause()", started, tmp_path)
    process.answer(timeout=NEVER)
    process.close(patience=0.0)
    with pytest.raises(PeerError, match=f"exit status {-signal.SIGKILL}"):
        process.ask({})
