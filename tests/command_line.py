"""The real command in a process of its own, and a run small enough to be trained there."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fork_server
from fewepochs import recipe as recipes

EPOCHS = 24
TINY = f"""
name = "tiny"
batch_size = 60
targets = [0.2, 0.9]

[data]
kind = "digits"
validation = {{ kind = "held-out", images = 1137 }}

[augmentation]
kind = "shift-flip"

[network]
kind = "resnet-v2"
units = [1]
filters = [4]
bottleneck = [2]
stem = {{ filters = 2, stride = 2 }}

[optimizer]
kind = "adam"
lr = 1e-2

[budget]
epochs = {EPOCHS}
"""
# The compiled kernels would be compiled anew for each cache of a test's own.
TRAINING = ("--threads", "1", "--kernels", "torch")
COMMAND = (sys.executable, "-m", "fewepochs")

Ended = subprocess.CompletedProcess[str]


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a child: one thread, the caches below `folder`, no terminal's wishes."""
    not_ours = ("CI", "FORCE_COLOR", "TORCHINDUCTOR_CACHE_DIR")  # the last is set where this process compiles
    kept = {name: value for name, value in os.environ.items() if name not in not_ours}
    own = {"OMP_NUM_THREADS": "1", "FEWEPOCHS_CACHE": str(folder / "cache"), "KERAS_HOME": str(folder / "keras")}
    return {**kept, **own}


def run(*arguments: str | Path, folder: Path) -> Ended:
    """Return `fewepochs ARGUMENTS`, run to its end in `folder`, in a process of its own whose imports are done."""
    ended = forks().run(*arguments, folder=folder, environment=environment(folder))
    return Ended([*COMMAND, *map(str, arguments)], ended.returncode, ended.stdout, ended.stderr)


def run_afresh(*arguments: str | Path, folder: Path) -> Ended:
    """As `run`, in a process that begins at the beginning: a second or two slower."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def run_here(*arguments: str | Path, folder: Path) -> Ended:
    """As `run`, in this process: for what the tests replace, and for packages that are not imported elsewhere."""
    from fewepochs.cli.main import main

    words = ["fewepochs", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setattr(sys, "argv", words)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as leaving:
                code = leaving.code or 0
    assert isinstance(code, int)
    return Ended(words, code, out.getvalue(), err.getvalue())


@functools.cache
def forks() -> fork_server.Forks:
    """Return the server of this process's commands, which ends with it."""
    server = fork_server.Forks(environment(Path(os.devnull)))
    atexit.register(server.close)
    return server


def run_unread(*arguments: str | Path, folder: Path, unread: str = "stdout stderr") -> Ended:
    """As `run`, but nobody reads: the other end of each pipe in `unread` is closed before the child begins."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=writer if "stdout" in unread else subprocess.PIPE,
            stderr=writer if "stderr" in unread else subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)


class Training:
    """A command with `--progress json` that is still at work.

    Its stdout is a pipe of one page, which holds some seven epochs: it cannot come to its end, however slow its reader.
    """

    def __init__(self, *arguments: str | Path, folder: Path) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, *map(str, arguments), "--progress", "json"],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pipesize=1,  # rounded up to a page
            bufsize=0,  # what is not asked for stays in the pipe
        )

    def wait_for(self, *, epochs: int) -> None:
        """Read until so many epochs have ended."""
        assert self._process.stdout is not None
        for line in iter(self._process.stdout.readline, b""):
            epochs -= json.loads(line)["event"] == "epoch"
            if epochs == 0:
                return
        raise AssertionError(f"ended too soon: {self._process.communicate()[1].decode()}")

    def stop(self, *numbers: signal.Signals) -> Ended:
        """Send the signals, all at once, and return how the command ended; its stdout from here on."""
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)  # else it might answer the first before the second is sent
        os.waitpid(pid, os.WUNTRACED)
        for number in (*numbers, signal.SIGCONT):
            os.kill(pid, number)
        out, err = self._process.communicate()
        return Ended(self._process.args, self._process.returncode, out.decode(), err.decode())


def tiny(folder: Path, text: str = TINY) -> recipes.Recipe:
    """Write the recipe to `folder`/tiny.toml, and return it."""
    (folder / "tiny.toml").write_text(text)
    return recipes.load(str(folder / "tiny.toml"))


def snapshots(folder: Path) -> Path:
    """Train the recipe in `folder` for four epochs, the first two kept as snapshots; return the run's folder."""
    tiny(folder)
    words = ("train", "tiny.toml", *TRAINING, "--set", "budget.epochs=4", "--quiet", "--snapshots", "1,2")
    ended = run(*words, folder=folder)
    assert ended.returncode == 0, ended.stderr
    [found] = (folder / "runs").iterdir()
    return found


def events(output: str) -> list[dict[str, Any]]:
    """Return the events of `--progress json`."""
    return [json.loads(line) for line in output.splitlines()]


def problems(ended: Ended) -> list[str]:
    """Return the problems in a message about a recipe or an option, a line each, without the heading."""
    return [line.strip() for line in ended.stderr.splitlines()[1:]]
