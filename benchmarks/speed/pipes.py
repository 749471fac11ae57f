"""A peer's process, seen from outside: started, asked over a pipe for one round at a time, ended.

A line of JSON goes in, a line of JSON comes out. The process says {} when its first step is done, then its facts, then
one answer to each question. What its libraries print goes to a log file, the end of which is the reason if it fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LAST_LINES = 3


class PeerError(Exception):
    """A peer died, kept silent for too long, or said what is no answer; the message says which, and its last words."""


class Process:
    """A running peer. Times are of the monotonic clock."""

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._begin = time.perf_counter()
        self._unread = b""
        with log.open("wb") as errors:
            # A session of its own: an interrupt from the terminal is for the one who asks, not for those who answer.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def seconds(self) -> float:
        """Seconds since the process was started."""
        return time.perf_counter() - self._begin

    def ask(self, question: Mapping[str, Any]) -> None:
        """Send a question; `answer` waits for what it says. Raises PeerError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # it has died, or was closed
            raise self._failed("it has ended") from None

    def answer(self, *, timeout: float) -> dict[str, Any]:
        """Return its next line, waiting at most `timeout` seconds. Raises PeerError."""
        assert self._process.stdout is not None
        deadline, pipe = time.perf_counter() + timeout, self._process.stdout.fileno()
        while b"\n" not in self._unread:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.perf_counter()))
            if not ready:
                raise self._failed(f"no answer within {timeout:.0f} s")
            part = os.read(pipe, 65_536)
            if not part:
                raise self._failed("it has ended")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._failed(f"no answer but {line[:80].decode(errors='replace')!r}")
        return answer

    def close(self, *, patience: float = 5.0) -> None:
        """End the process, once or again: questions end; if it has not ended in `patience` seconds, it is killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):  # what was still to be sent has nobody to read it
            self._process.stdin.close()
        try:
            self._process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _failed(self, what: str) -> PeerError:
        code = self._process.poll()
        lines = self._log.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
        said = f"; it said: {' / '.join(line.strip() for line in lines)}" if lines else ""
        return PeerError(f"{what}{'' if code is None else f' (exit status {code})'}{said}")
