"""The command line in processes that need not import it first: one process imports torch, its children train and die.

Run as a program it answers lines of JSON. The parent computes nothing and has one thread, so that its children begin as
a fresh process would after its imports.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import command_line
from faults import moments

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Ended:
    """How a command ended: `returncode` is negative for a signal that killed it, as in subprocess."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float


class Forks:
    """A server of processes; `folder` holds the caches of all of them."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.fork_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(folder),
        )

    def run(
        self,
        *arguments: str | Path,
        folder: Path,
        at: Mapping[str, str] | None = None,
        kill_after: float | None = None,
        record: Path | None = None,
    ) -> Ended:
        """Return how `fewepochs ARGUMENTS` ended in `folder`; `at` says what happens at which moments."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder),
            "at": dict(at or {}),
            "kill_after": kill_after,
            "record": None if record is None else str(record),
        }
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return Ended(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """Let the server end."""
        self._process.communicate()


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a child that knows the modules of the tests, too."""
    found = command_line.environment(folder)
    return {**found, "PYTHONPATH": os.pathsep.join([str(TESTS), found.get("PYTHONPATH", "")])}


# --- the server -----------------------------------------------------------------------------------------------------


def serve() -> None:
    """Answer each line of stdin: fork, wait or kill, say how it ended."""
    import time

    import fewepochs.cli.main
    import fewepochs.data.digits
    import fewepochs.report.console
    import fewepochs.train.session  # noqa: F401 - torch and all that trains

    for line in sys.stdin:
        request = json.loads(line)
        paths = [Path(request["folder"]) / f".{name}" for name in ("stdout", "stderr")]
        begin = time.perf_counter()
        child = os.fork()
        if child == 0:
            _work(request, *paths)
        descriptor = os.pidfd_open(child)
        ready, _, _ = select.select([descriptor], [], [], request["kill_after"])
        if not ready:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(descriptor)
        seconds = time.perf_counter() - begin
        out, err = (path.read_text(errors="replace") for path in paths)
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"returncode": code, "stdout": out, "stderr": err, "seconds": seconds}), flush=True)


def _work(request: dict[str, Any], out: Path, err: Path) -> NoReturn:
    """Be the command, in a forked child."""
    code: int | str | None = 1
    try:
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(request["folder"])
        if request["at"] or request["record"]:
            moments.watch(request["at"], record=Path(request["record"]) if request["record"] else None)
        sys.argv = ["fewepochs", *request["arguments"]]
        from fewepochs.cli import start

        start.main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    serve()
