"""A mistake ends in one message, the documented exit code, and no trace: neither a traceback nor a run folder."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

import run_folders
from command_line import COMMAND, TRAINING, Ended, environment, problems, run, run_unread, tiny
from fewepochs import locks, store


def _refused(*arguments: str | Path, folder: Path, code: int) -> Ended:
    """Return `fewepochs ARGUMENTS`, which must end with `code`, say why on stderr alone, and leave no runs."""
    ended = run(*arguments, folder=folder)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert not list(folder.glob("runs/*"))
    return ended


# --- 2: usage and recipes -----------------------------------------------------------------------------------------

BAD = """
name = "bad"
batch_size = 0
sede = 3
[data]
kind = "digit"
[network]
kind = "resnet-v2"
depth = 11
dpth = 20
[optimizer]
kind = "adam"
lr = nan
[budget]
epochs = 2
"""


def test_everything_wrong_with_a_recipe_is_said_at_once_with_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(BAD)
    refused = _refused("train", "bad.toml", "--set", "optimizer.beta1=0.8", "--set", "oops", folder=tmp_path, code=2)
    assert refused.stderr.splitlines()[0] == "fewepochs: bad.toml: 7 problems"
    told = {line.partition(":")[0]: line for line in problems(refused)}
    fields = {"--set", "batch_size", "sede", "data.kind", "network.dpth", "optimizer.lr", "optimizer.beta1"}
    assert set(told) == fields
    for field, meant in {"sede": "seed", "data.kind": "digits", "network.dpth": "depth"}.items():
        assert told[field].endswith(f"did you mean '{meant}'?")
    assert "(got 0)" in told["batch_size"]


def test_a_recipe_that_is_nowhere_is_named_with_the_nearest(tmp_path: Path) -> None:
    refused = _refused("train", "digit-step", folder=tmp_path, code=2)
    (problem,) = problems(refused)
    assert problem.startswith("recipe: neither a shipped recipe nor a file (got 'digit-step')")
    assert problem.endswith("did you mean 'digits-step'?")


OPTIONS = [
    ("--set=optimizer.lr=fast", "optimizer.lr: ", "'fast'"),
    ("--device=gpu", "--device: not a device (got 'gpu')", "allowed: auto, cpu, cuda"),
    ("--kernels=fast", "--kernels: not a kind of kernels (got 'fast')", "allowed: auto, fused, inductor, torch"),
    ("--graphs=maybe", "--graphs: not a known choice (got 'maybe')", "allowed: auto, on, off"),
    ("--seeds=3..1", "--seeds: not a set of whole numbers (got '3..1')", "allowed: 0..9, or 0,3,5"),
    ("--stop-at-target=92", "--stop-at-target: not an accuracy (got '92.0')", "at most 1"),
    ("--threads=100000", "--threads: not a number of threads (got 100000)", "allowed: 1 to 1024"),
    ("--progress=fancy", "--progress: not a kind of progress (got 'fancy')", "auto, rich, plain, json, off"),
]


@pytest.mark.parametrize(("option", "start", "inside"), OPTIONS, ids=[option for option, _, _ in OPTIONS])
def test_a_bad_option_is_refused_with_what_is_allowed(tmp_path: Path, option: str, start: str, inside: str) -> None:
    (problem,) = problems(_refused("train", "digits-step", option, folder=tmp_path, code=2))
    assert problem.startswith(start)
    assert inside in problem


def test_an_unknown_option_is_a_matter_of_usage(tmp_path: Path) -> None:
    refused = _refused("train", "digits-step", "--sede", "3", folder=tmp_path, code=2)
    assert refused.stderr.startswith("Usage: ")
    assert "No such option: --sede" in refused.stderr


def test_a_mistake_that_nobody_hears_of_keeps_its_exit_code(tmp_path: Path) -> None:
    assert run_unread("train", "digits-step", "--set", "bad=1", folder=tmp_path).returncode == 2
    assert run_unread("train", "--bad", folder=tmp_path).returncode == 2
    assert run_unread("--help", folder=tmp_path).returncode == 0


@pytest.mark.parametrize("option", ["--print-config", "--dry-run"])
def test_a_bad_option_is_refused_also_where_nothing_is_trained(tmp_path: Path, option: str) -> None:
    stop = _refused("train", "digits-step", "--stop-at-target", "7", option, folder=tmp_path, code=2)
    assert problems(stop) == ["--stop-at-target: not an accuracy (got '7.0'); allowed: a fraction above 0, at most 1"]
    pack = _refused("train", "digits-step", "--pack", "x", option, folder=tmp_path, code=2)
    assert problems(pack)[0].startswith("--pack: ")


BUDGET = ("budget", "digits-step", "--target", "0.5", "--from", "1", "--to", "2")
IDLE = [
    (("replicate", "--run"), "--run: trains what one claim needs (got 'no claim')"),
    (("replicate", "--seeds", "1..2"), "--seeds: are those to be trained (got '1..2'); allowed: --run --seeds 0..4"),
    (("replicate", "part5", "--seeds", "1..2"), "--seeds: are those to be trained"),
    (("table", "best", "runs", "--rule", "held"), "--rule: belongs to crossings, not to best (got 'held')"),
    (("table", "cost", "runs", "--target", "0.5"), "--target: belongs to crossings, not to cost (got '0.5')"),
    (("recipes", "--json", "show", "digits-step"), "--json: stands before the subcommand"),
    (("data", "--json", "fetch", "cifar10"), "--json: stands before the subcommand"),
    ((*BUDGET, "--set", "budget.epochs=9"), "--set: what is searched cannot be set (got 'budget.epochs=9')"),
    ((*BUDGET, "--picture", "b.txt"), "--picture: not a kind of picture (got 'b.txt')"),
]


@pytest.mark.parametrize(("arguments", "told"), IDLE, ids=[" ".join(arguments) for arguments, _ in IDLE])
def test_an_option_that_would_do_nothing_is_refused(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    assert problems(_refused(*arguments, folder=tmp_path, code=2))[0].startswith(told)


SEARCH = """
name = "typo"
base = "digits-step"
trials = 4
[space]
optimizer.lrr = { low = 1e-3, high = 1e-1, log = true }
[halving]
first = 2
"""


def test_a_search_of_which_no_trial_makes_a_recipe_is_refused_and_can_be_mended(tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text(SEARCH)
    (problem,) = problems(_refused("search", "run", "search.toml", folder=tmp_path, code=2))
    assert problem.startswith("space: none of 4 trials makes a recipe; the first: optimizer.lrr: unknown field")


# --- output that cannot be written ---------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ["recipes", "recipes --json", "train digits-step --print-config", "--version"])
def test_data_that_cannot_be_written_is_a_storage_error(tmp_path: Path, arguments: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*COMMAND, *arguments.split()], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    said = "fewepochs: standard output: cannot be written: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (5, said)


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_run_is_trained_whole_where_output_is_closed(tmp_path: Path, closed: str) -> None:
    """A file that is opened then would get the number of the closed one, and what is printed with it."""
    tiny(tmp_path)
    words = shlex.join([*COMMAND, "train", "tiny.toml", *TRAINING, "--out", "runs"])
    shell = ["/bin/sh", "-c", f"exec {words} {closed}"]
    ended = subprocess.run(shell, cwd=tmp_path, env=environment(tmp_path), capture_output=True, check=False)

    assert ended.returncode == 0, ended.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert store.read(run).status.state == "finished"
    assert (run / locks.FILE).read_bytes() == b""


# --- 3: data ------------------------------------------------------------------------------------------------------


def test_data_that_is_not_there_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    refused = _refused("train", "resnet56v2-adam-atienza", "--data", absent, folder=tmp_path, code=3)
    assert refused.stderr.startswith(f"fewepochs: {absent} does not exist.")
    assert "fewepochs data fetch cifar10" in refused.stderr
    assert _refused("data", "--data", absent, folder=tmp_path, code=3).stderr == (
        f"fewepochs: {absent} does not exist.\n"
    )


# --- 5: storage ---------------------------------------------------------------------------------------------------


def test_a_file_where_the_runs_should_lie_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    name = store.run_name(tiny(tmp_path))
    refused = _refused("train", "tiny.toml", "--out", "file/below", folder=tmp_path, code=5)
    assert refused.stderr.startswith(f"fewepochs: file/below/{name}: cannot be written: Not a directory")
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_what_is_no_run_cannot_be_resumed_or_shown(tmp_path: Path) -> None:
    resumed = _refused("resume", "absent", folder=tmp_path, code=5)
    assert resumed.stderr.startswith("fewepochs: absent: not a run folder (no recipe.toml)")
    shown = _refused("show", "absent", folder=tmp_path, code=5)
    assert shown.stderr == "fewepochs: absent: no such run folder\n"


# --- 6: checkpoints and logs --------------------------------------------------------------------------------------


def test_a_log_that_is_damaged_in_the_middle_is_not_summed_up(tmp_path: Path) -> None:
    run_folders.make(tmp_path / "run", epochs=3)
    log = tmp_path / "run" / "epochs.jsonl"
    log.write_bytes(log.read_bytes().replace(json.dumps({"epoch": 2})[1:-1].replace(" ", "").encode(), b'"epoch":9'))
    refused = _refused("show", "run", folder=tmp_path, code=6)
    assert "epochs.jsonl, line 2: damaged. Nothing was changed." in refused.stderr
