"""The command line in processes that need not import it first: one process imports it all, its children work and die.

Run as a program it answers lines of JSON. The parent computes nothing and has one thread, so that its children begin as
a fresh process would after its imports.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

TESTS = Path(__file__).parent
IMPORTED = (
    "fewepochs.cli.main",
    "fewepochs.api.measuring",
    "fewepochs.data.digits",
    "fewepochs.report.console",
    "fewepochs.report.page",
    "fewepochs.train.session",
)
"""What the server has imported: torch and all that trains, the plotting library and all that draws."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: `returncode` is negative for a signal that killed it, as in subprocess."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float


class Forks:
    """A server of processes in `environment`, which each of them may have otherwise.

    Where a wait for a command is broken off, as by a test's own time, server and command are ended: the answer would
    be taken for the next command's. The next one has a new server.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = knowing_tests(environment)
        self._process = self._begin()

    def _begin(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "fork_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
            process_group=0,
        )

    def run(
        self,
        *arguments: str | Path,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        at: Mapping[str, str] | None = None,
        kill_after: float | None = None,
        record: Path | None = None,
    ) -> Ended:
        """Return how `fewepochs ARGUMENTS` ended in `folder`; `at` says what happens at which moments."""
        request = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder),
            "environment": None if environment is None else dict(environment),
            "at": dict(at or {}),
            "kill_after": kill_after,
            "record": None if record is None else str(record),
        }
        try:
            return Ended(**json.loads(self._answer(json.dumps(request))))
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = self._begin()
            raise

    def _answer(self, request: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(request, file=self._process.stdin, flush=True)
        return self._process.stdout.readline()

    def close(self) -> None:
        """Let the server end."""
        self._process.communicate()


def knowing_tests(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child that can import the modules of the tests, too."""
    return {**environment, "PYTHONPATH": os.pathsep.join([str(TESTS), environment.get("PYTHONPATH", "")])}


# --- the server -----------------------------------------------------------------------------------------------------


def serve() -> None:
    """Answer each line of stdin: fork, wait or kill, say how it ended."""
    import time

    for name in IMPORTED:
        importlib.import_module(name)
    _build()
    for line in sys.stdin:
        request = json.loads(line)
        outputs = [os.memfd_create(name) for name in ("stdout", "stderr")]
        begin = time.perf_counter()
        child = os.fork()
        if child == 0:
            _work(request, outputs)
        descriptor = os.pidfd_open(child)
        ready, _, _ = select.select([descriptor], [], [], request["kill_after"])
        if not ready:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(descriptor)
        seconds = time.perf_counter() - begin
        out, err = map(_read, outputs)
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"returncode": code, "stdout": out, "stderr": err, "seconds": seconds}), flush=True)


def _build() -> None:
    """Build once what each command would build when it first uses it."""
    from fewepochs import recipe, records
    from fewepochs.cli import main

    list(main.root().commands.values())
    recipe.load("digits-step")
    for model in (records.EpochRecord, records.EvaluationRecord, records.CostRecord, records.RunStatus):
        model.model_rebuild()


def _read(output: int) -> str:
    with open(output, "rb") as file:
        file.seek(0)
        return file.read().decode(errors="replace")


def _work(request: dict[str, Any], outputs: list[int]) -> NoReturn:
    """Be the command, in a forked child."""
    code: int | str | None = 1
    try:
        for number, output in enumerate(outputs, start=1):
            os.dup2(output, number)
            os.close(output)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(request["folder"])
        sys.path[0] = request["folder"]  # as `python -m` does
        if request["environment"] is not None:
            os.environ.clear()
            os.environ.update(request["environment"])
        if request["at"] or request["record"]:
            from faults import moments

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
