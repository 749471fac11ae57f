"""The command trains, stops, and goes on: real processes, real signals, and the same bytes in the end.

Nothing here waits for a time to pass: who stops a run has read of it that it is at work.
"""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from command_line import EPOCHS, TRAINING, Ended, Training, events, run, run_unread, tiny
from fewepochs import store
from run_folders import contents


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with tiny.toml in it."""
    folder = tmp_path_factory.mktemp("home")
    tiny(folder)
    return folder


@pytest.fixture(scope="module")
def name(home: Path) -> str:
    """Return the name of the run's folder."""
    return store.run_name(tiny(home))


# --- from the first epoch to the last -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Whole:
    """The run that nothing disturbed."""

    ended: Ended
    path: Path

    @property
    def epochs(self) -> bytes:
        """What every run that was stopped and resumed must have in its log, too."""
        return (self.path / "epochs.jsonl").read_bytes()


@pytest.fixture(scope="module")
def whole(home: Path, name: str) -> Whole:
    """Return the run, trained from end to end by one command."""
    return Whole(run("train", "tiny.toml", "--out", "whole", *TRAINING, folder=home), home / "whole" / name)


def test_a_run_ends_in_its_folder_with_a_summary_on_stdout_and_progress_on_stderr(whole: Whole, name: str) -> None:
    assert whole.ended.returncode == 0, whole.ended.stderr
    stored = store.read(whole.path)
    assert (stored.status.state, stored.status.epochs, len(stored.epochs)) == ("finished", EPOCHS, EPOCHS)
    assert len(stored.costs) == EPOCHS
    assert (stored.environment["threads"], stored.environment["kernels"]) == (1, "torch")
    assert "finished" in next(line for line in whole.ended.stdout.splitlines() if line.startswith(name))
    assert "epoch " not in whole.ended.stdout
    progress = whole.ended.stderr.splitlines()
    assert progress[0].startswith(f"{name}: training of {EPOCHS}, batch 60, float32")
    assert sum(line.startswith("epoch ") for line in progress) == EPOCHS
    assert "\r" not in whole.ended.stderr
    assert "\x1b" not in whole.ended.stderr


def test_the_same_command_again_is_already_done_and_changes_nothing(whole: Whole, home: Path, name: str) -> None:
    before = contents(whole.path)
    again = run("train", "tiny.toml", "--out", "whole", *TRAINING, folder=home)
    assert again.returncode == 0
    assert again.stderr == f"{name}: already done (finished); its folder is whole/{name}\n"
    assert again.stdout == whole.ended.stdout
    assert contents(whole.path) == before


def test_a_required_target_decides_the_exit_code(whole: Whole, home: Path, name: str) -> None:
    best = max(record.val_acc for record in store.read(whole.path).epochs)
    command = ("train", "tiny.toml", "--out", "whole", "--require-target")
    met = run(*command, repr(best), folder=home)
    missed = run(*command, "1", folder=home)
    assert (met.returncode, missed.returncode) == (0, 10)
    assert missed.stderr.splitlines()[-1] == f"fewepochs: {name}: target 1 not reached in {EPOCHS} epochs"
    assert missed.stdout == met.stdout == whole.ended.stdout


def test_a_reader_that_has_gone_does_not_change_the_exit_code(whole: Whole, home: Path) -> None:
    """As in `fewepochs train ... | head -1`."""
    command = ("train", "tiny.toml", "--out", "whole")
    assert run_unread(*command, folder=home).returncode == 0
    assert run_unread(*command, "--require-target", "1", folder=home).returncode == 10
    heard = run_unread("show", "whole", folder=home, unread="stdout")
    assert (heard.returncode, heard.stderr) == (0, "")


# --- several seeds, and a target that ends a run ------------------------------------------------------------------


@pytest.fixture(scope="module")
def early(whole: Whole, home: Path) -> tuple[Ended, float]:
    """Return two seeds' runs that were to stop at a target, and that target: reached by the first, but not at once."""
    first, *later = store.read(whole.path).epochs
    target = next(record.val_acc for record in later if record.val_acc > first.val_acc)
    options = ("--seeds", "0,1", "--stop-at-target", repr(target), "--require-target", "1", "--json")
    return run("train", "tiny.toml", "--out", "early", *TRAINING, *options, folder=home), target


def test_a_run_stops_at_the_target_with_the_epochs_that_it_would_have_had(
    early: tuple[Ended, float], whole: Whole, home: Path, name: str
) -> None:
    _, target = early
    stopped = store.read(home / "early" / name)
    assert (stopped.status.state, stopped.status.reason) == ("finished", f"stopped at target {target:g}")
    *before, last = [record.val_acc for record in stopped.epochs]
    assert before
    assert max(before) < target <= last
    assert whole.epochs.startswith((stopped.path / "epochs.jsonl").read_bytes())


def test_each_seed_is_a_run_and_json_is_all_that_stdout_has(early: tuple[Ended, float], home: Path) -> None:
    ended, _ = early
    summary = json.loads(ended.stdout)
    assert [entry["seed"] for entry in summary["runs"]] == [0, 1]
    assert [path.name for path in store.find([home / "early"])] == [entry["run"] for entry in summary["runs"]]
    zero, one = ((home / "early" / entry["run"] / "epochs.jsonl").read_bytes() for entry in summary["runs"])
    assert zero[:200] != one[:200]
    assert "epoch " in ended.stderr


def test_a_missed_target_exits_10_after_every_seed_was_trained(early: tuple[Ended, float]) -> None:
    ended, _ = early
    assert ended.returncode == 10
    assert "target 1 not reached" in ended.stderr.splitlines()[-1]


# --- stopped, and gone on with ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """A run that was interrupted, resumed, terminated, and resumed again; `once` is a copy from the first stop."""

    second: Ended
    interrupted: Ended
    once: Path
    terminated: Ended
    resumed: Ended
    path: Path


@pytest.fixture(scope="module")
def story(home: Path, name: str) -> Story:
    """Return what became of the run."""
    path = home / "story" / name
    command = ("train", "tiny.toml", "--out", "story", *TRAINING)
    training = Training(*command, "--seeds", "0,1", folder=home)
    training.wait_for(epochs=3)
    second = run(*command, folder=home)
    interrupted = training.stop(signal.SIGINT)
    once = home / "once" / name
    shutil.copytree(path, once)

    training = Training("resume", path.relative_to(home), folder=home)
    training.wait_for(epochs=1)
    terminated = training.stop(signal.SIGTERM)
    # Nobody reads what the last part says: the work goes on all the same.
    resumed = run_unread("resume", path, "--progress", "json", folder=home, unread="stdout")
    return Story(second, interrupted, once, terminated, resumed, path)


def test_an_interrupted_run_says_how_to_go_on_and_exits_130(story: Story, name: str) -> None:
    assert story.interrupted.returncode == 130
    assert story.interrupted.stderr.splitlines() == [
        "not begun: seeds 1; the same command goes on with all of them",
        f"interrupted; go on with: fewepochs resume story/{name}",
    ]
    stored = store.read(story.once)
    assert (stored.status.state, stored.status.reason) == ("interrupted", "stopped by a signal")
    assert 3 <= len(stored.epochs) < EPOCHS
    last = events(story.interrupted.stdout)[-1]
    assert (last["event"], [entry["run"] for entry in last["runs"]]) == ("summary", [name])


def test_a_terminated_run_exits_143(story: Story, name: str) -> None:
    assert story.terminated.returncode == 143
    assert story.terminated.stderr == f"interrupted; go on with: fewepochs resume story/{name}\n"
    assert len(store.read(story.once).epochs) < len(store.read(story.path).epochs)


def test_a_resumed_run_ends_in_the_bytes_of_one_that_was_never_stopped(story: Story, whole: Whole) -> None:
    assert (story.resumed.returncode, story.resumed.stderr) == (0, "")
    assert (story.path / "epochs.jsonl").read_bytes() == whole.epochs
    stored = store.read(story.path)
    assert (stored.status.state, len(stored.costs)) == ("finished", EPOCHS)
    first, second = (entry["after_epoch"] for entry in stored.environment["resumed"])
    assert 3 <= first < second < EPOCHS


def test_a_second_process_does_not_write_into_a_run_at_work(story: Story, whole: Whole, name: str) -> None:
    assert story.second.returncode == 5
    assert story.second.stderr.startswith(f"fewepochs: story/{name}: process ")
    assert "is working on this run; wait for it, or stop it" in story.second.stderr
    assert story.second.stdout == ""


def test_a_second_signal_ends_a_run_at_once(whole: Whole, home: Path, name: str) -> None:
    """A hangup and Ctrl-C stand for Ctrl-C twice: two signals of one number that wait together become one."""
    training = Training("train", "tiny.toml", "--out", "twice", *TRAINING, folder=home)
    training.wait_for(epochs=1)
    ended = training.stop(signal.SIGHUP, signal.SIGINT)
    assert (ended.returncode, ended.stderr) == (130, "")
    stored = store.read(home / "twice" / name)
    assert (stored.status.state, stored.status.reason) == ("interrupted", "stopped at once by a signal")
    assert 1 <= len(stored.epochs) < EPOCHS
    assert whole.epochs.startswith((stored.path / "epochs.jsonl").read_bytes())


# --- damage -------------------------------------------------------------------------------------------------------


@pytest.fixture
def copied(story: Story, tmp_path: Path, name: str) -> Path:
    """Return a copy of the run as its first stop left it."""
    path = tmp_path / "copied" / name
    shutil.copytree(story.once, path)
    return path


def _spoil(checkpoint: Path) -> None:
    """Turn one bit in the middle."""
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)


def test_a_damaged_newest_checkpoint_costs_a_warning_and_no_bit(copied: Path, whole: Whole, home: Path) -> None:
    older, newest = sorted((copied / "checkpoints").glob("step-*.ckpt"))
    _spoil(newest)
    resumed = run("resume", copied, folder=home)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr.splitlines()[0] == (
        f"warning: {newest}: the checkpoint is damaged (its SHA-256 does not match); "
        "falling back to the checkpoint before it"
    )
    assert (copied / "epochs.jsonl").read_bytes() == whole.epochs
    known = store.read(copied)
    (resumption,) = known.environment["resumed"]
    assert resumption["after_epoch"] == int(older.stem.removeprefix("step-")) // known.own_epochs[0].step


def test_without_a_usable_checkpoint_nothing_is_changed_and_the_exit_code_is_6(copied: Path, home: Path) -> None:
    for checkpoint in (copied / "checkpoints").glob("step-*.ckpt"):
        _spoil(checkpoint)
    before = contents(copied)
    refused = run("resume", copied, folder=home)
    assert (refused.returncode, refused.stdout) == (6, "")
    assert "Nothing was deleted" in refused.stderr
    assert refused.stderr.count("its SHA-256 does not match") == 2
    assert "Traceback" not in refused.stderr
    assert contents(copied) == before


def test_an_edited_recipe_of_a_finished_run_is_refused_with_the_difference(whole: Whole, tmp_path: Path) -> None:
    path = tmp_path / whole.path.name
    shutil.copytree(whole.path, path)
    recipe = path / "recipe.toml"
    assert recipe.read_text().count("lr = 0.01\n") == 1
    recipe.write_text(recipe.read_text().replace("lr = 0.01\n", "lr = 0.02\n"))
    before = contents(path)
    refused = run("resume", path, folder=tmp_path)
    assert (refused.returncode, refused.stdout) == (6, "")
    assert "\n  optimizer.lr: 0.01 -> 0.02\n" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert contents(path) == before


# --- divergence ---------------------------------------------------------------------------------------------------


def test_a_run_that_diverges_does_not_keep_the_others_from_their_turn(home: Path) -> None:
    options = ("--set", "optimizer.lr=1e30", "--seeds", "0,1", "--json")
    ended = run("train", "tiny.toml", "--out", "diverged", *TRAINING, *options, folder=home)
    assert ended.returncode == 4
    runs = json.loads(ended.stdout)["runs"]
    assert [(entry["seed"], entry["state"]) for entry in runs] == [(0, "diverged"), (1, "diverged")]
    for entry in runs:
        assert f"{entry['run']}: diverged (loss or gradient not finite at step " in ended.stderr
    assert ended.stderr.splitlines()[-1].endswith("Lower the learning rate, or use a wider precision.")
    assert "Traceback" not in ended.stderr
