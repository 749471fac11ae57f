"""One server of processes for all tests of faults, and the run that nothing disturbed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import command_line
from faults import faulty_runs
from fork_server import Forks


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Return a server of processes."""
    server = Forks(command_line.environment(tmp_path_factory.mktemp("caches")))
    yield server
    server.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder with the recipe in it."""
    return faulty_runs.home(tmp_path)


@pytest.fixture(scope="session")
def whole(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> faulty_runs.Whole:
    """Return the undisturbed run, with a checkpoint after every step."""
    folder = faulty_runs.home(tmp_path_factory.mktemp("whole"))
    ended = forks.run(*faulty_runs.TRAIN, *faulty_runs.OFTEN, folder=folder, record=folder / "moments")
    assert ended.returncode == 0, ended.stderr
    path = faulty_runs.run_path(folder)
    return faulty_runs.Whole(ended, faulty_runs.bits(path), path, tuple((folder / "moments").read_text().splitlines()))
