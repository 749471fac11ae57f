"""A recipe runs no code unless the command that is given now allows its module, and nothing in a folder can."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import TRAINING, problems, run, run_afresh, tiny
from fewepochs.api import training

# `python -m fewepochs` finds modules in the working directory; importing one leaves a trace.
TRACE = "open(__name__ + '-was-imported', 'w').close()\n"
OPTIMIZER = """
import torch
class Descent(torch.optim.SGD):
    pass
"""
NAMED = ("--set", "optimizer={kind='python', target='theirs.Descent', lr=0.1}", "--set", "budget.epochs=1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny(tmp_path)
    (tmp_path / "theirs.py").write_text(TRACE + OPTIMIZER)
    return tmp_path


@pytest.mark.parametrize("allowed", [(), ("their",), ("theirs.Other", "torch"), ("",)])
def test_code_that_is_not_allowed_is_named_and_neither_it_nor_torch_is_imported(
    allowed: tuple[str, ...], folder: Path
) -> None:
    (folder / "torch.py").write_text(TRACE)
    options = [word for name in allowed for word in ("--allow-code", name)]
    refused = run_afresh("train", "tiny.toml", *NAMED, *options, folder=folder)
    assert refused.returncode == 2
    [problem] = problems(refused)
    assert problem.startswith("optimizer.target: names code")
    assert "add --allow-code theirs (got 'theirs.Descent')" in problem
    assert not list(folder.glob("*-was-imported"))
    assert not list(folder.glob("runs/*"))


def test_code_that_is_allowed_trains_and_its_run_needs_the_permission_again(folder: Path) -> None:
    trained = run("train", "tiny.toml", *NAMED, "--allow-code", "theirs", *TRAINING, folder=folder)
    assert trained.returncode == 0, trained.stderr
    assert (folder / "theirs-was-imported").exists()
    [path] = folder.glob("runs/*")
    refused = run("resume", path, folder=folder)
    assert refused.returncode == 2
    assert "add --allow-code theirs" in refused.stderr
    assert run("resume", path, "--allow-code", "theirs.Descent", folder=folder).returncode == 0


def test_arguments_that_the_optimizer_does_not_take_leave_no_run(folder: Path) -> None:
    overrides = ("--set", "optimizer={kind='python', target='theirs.Descent', arguments={momenum=0.9}}")
    refused = run("train", "tiny.toml", *overrides, "--allow-code", "theirs", *TRAINING, folder=folder)
    assert refused.returncode == 2
    [problem] = problems(refused)
    assert problem.startswith("optimizer.arguments: theirs.Descent cannot be constructed with these: TypeError")
    assert not list(folder.glob("runs/*"))


def test_nothing_is_allowed_by_default() -> None:
    assert training.Runtime().allow_code == ()
