"""What has changed under a run, or was damaged: refused, marked, or repaired, and never gone over in silence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from faults import faulty_runs
from faults.faulty_runs import OFTEN, STEPS, TRAIN, Whole
from fewepochs import store
from fewepochs.train import checkpoint
from fork_server import Ended, Forks
from run_folders import contents


@pytest.fixture
def stopped(forks: Forks, home: Path) -> Path:
    """Return a run that was killed in its second epoch, after the step 8."""
    assert forks.run(*TRAIN, *OFTEN, folder=home, at={"begin:step:9": "KILL"}).returncode == -9
    return faulty_runs.run_path(home)


def _refused(ended: Ended, *, code: int) -> str:
    assert (ended.returncode, ended.stdout, "Traceback" in ended.stderr) == (code, "", False)
    return ended.stderr


def _kept(path: Path) -> dict[str, bytes]:
    return {name: content for name, content in contents(path).items() if name != "lock"}


# --- the log ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [b'{"epoch":2,"st', b"\0" * 100, b"\xff\n", b"{}\n"])
def test_a_torn_last_line_of_the_log_is_dropped_and_written_again(
    tail: bytes, stopped: Path, forks: Forks, whole: Whole, home: Path
) -> None:
    for log in (store.EPOCHS, store.COSTS):
        with (stopped / log).open("ab") as file:
            file.write(tail)
    assert forks.run("resume", stopped, folder=home).returncode == 0
    assert faulty_runs.bits(stopped) == whole.bits


@pytest.mark.parametrize("log", [store.EPOCHS, store.COSTS])
def test_a_log_that_lost_its_last_line_is_repaired_from_the_checkpoint_before(
    log: str, forks: Forks, whole: Whole, home: Path
) -> None:
    assert forks.run(*TRAIN, *OFTEN, folder=home, at={"begin:step:11": "KILL"}).returncode == -9
    path = faulty_runs.run_path(home)
    newest = checkpoint.newest_first(path / store.CHECKPOINTS)[0]
    (path / log).write_bytes((path / log).read_bytes()[:-1])  # the newline is missing
    ended = forks.run("resume", path, folder=home)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith(f"warning: {newest}: has 2 epochs, the run's logs only 1; falling back")
    newest.with_name(newest.name + ".bad").unlink()
    assert faulty_runs.bits(path) == whole.bits


@pytest.mark.parametrize("log", [store.EPOCHS, store.COSTS])
def test_a_log_that_lost_more_than_the_checkpoints_know_is_refused_and_left_alone(
    log: str, forks: Forks, home: Path
) -> None:
    assert forks.run(*TRAIN, *OFTEN, folder=home, at={"begin:evaluate:3": "KILL"}).returncode == -9
    path = faulty_runs.run_path(home)
    (path / log).write_bytes((path / log).read_bytes()[:-1])
    before = _kept(path)
    said = _refused(forks.run("resume", path, folder=home), code=6)
    assert said.count("has 2 epochs, the run's logs only 1") == 2
    assert _kept(path) == before


def test_a_torn_middle_line_is_reported_and_nothing_is_changed(forks: Forks, home: Path) -> None:
    assert forks.run(*TRAIN, *OFTEN, folder=home, at={"begin:step:18": "KILL"}).returncode == -9
    path = faulty_runs.run_path(home)
    one, two, three = (path / store.EPOCHS).read_bytes().splitlines(keepends=True)
    (path / store.EPOCHS).write_bytes(one + two[:40] + b"\n" + three)
    before = _kept(path)
    said = _refused(forks.run("resume", path, folder=home), code=6)
    assert "epochs.jsonl, line 2: damaged. Nothing was changed." in said
    assert _kept(path) == before


# --- checkpoints --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut", "empty", "first bit", "last bit", "a bit of its facts"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning_and_set_aside(
    damage: str, stopped: Path, forks: Forks, whole: Whole, home: Path
) -> None:
    newest, older = checkpoint.newest_first(stopped / store.CHECKPOINTS)
    content = bytearray(newest.read_bytes())
    if damage in ("cut", "empty"):
        content = content[: len(content) // 2] if damage == "cut" else bytearray()
    else:
        place = {"first bit": 0, "last bit": -1}.get(damage, content.index(b'"epoch_steps"') + 16)
        content[place] ^= 1
    newest.write_bytes(content)
    ended = forks.run("resume", stopped, folder=home)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith(f"warning: {newest}: the checkpoint is damaged (")
    assert "falling back to the checkpoint before it" in ended.stderr
    (resumed,) = store.read(stopped).environment["resumed"]
    assert resumed["after_step"] == int(older.stem.removeprefix("step-"))
    aside = newest.with_name(newest.name + ".bad")
    assert aside.read_bytes() == content
    aside.unlink()
    assert faulty_runs.bits(stopped) == whole.bits


def test_a_checkpoint_of_another_recipe_is_refused_with_the_difference(
    stopped: Path, forks: Forks, home: Path, tmp_path: Path
) -> None:
    other = ("--set", "optimizer.lr=0.5", "--set", "plateau.patience=3")
    killed = forks.run(*TRAIN, *OFTEN, *other, folder=home, at={"begin:step:9": "KILL"})
    assert killed.returncode == -9
    (theirs,) = [path for path in store.find([home / "runs"]) if path.name != stopped.name]
    shutil.rmtree(stopped / store.CHECKPOINTS)
    shutil.copytree(theirs / store.CHECKPOINTS, stopped / store.CHECKPOINTS)
    before = _kept(stopped)
    said = _refused(forks.run("resume", stopped, folder=home), code=6)
    assert "this run was begun with another recipe" in said
    assert "optimizer.lr: 0.5 -> 0.01" in said
    assert "plateau.patience: 3 -> 1" in said
    assert _kept(stopped) == before


def test_a_checkpoint_of_a_newer_format_is_refused_by_number(stopped: Path, forks: Forks, home: Path) -> None:
    for path in checkpoint.newest_first(stopped / store.CHECKPOINTS):
        first, _, rest = path.read_bytes().partition(b"\n")
        path.write_bytes(json.dumps({**json.loads(first), "format": 7}).encode() + b"\n" + rest)
    before = _kept(stopped)
    said = _refused(forks.run("resume", stopped, folder=home), code=6)
    assert said.count("checkpoint format 7; this version of fewepochs reads 1 to 3") == 2
    assert "Nothing was deleted" in said
    assert _kept(stopped) == before


# --- data, machine, version ---------------------------------------------------------------------------------------


def _images(path: Path, *, seed: int) -> None:
    draw = np.random.default_rng(seed)
    train, test = draw.integers(0, 256, (2, 60, 8, 8), dtype=np.uint8)
    np.savez(path, x_train=train, y_train=np.arange(60) % 3, x_test=test, y_test=np.arange(60) % 3)


@pytest.mark.parametrize("moment", ["begin:step:1", "begin:step:3"])
def test_other_data_is_refused_with_and_without_a_checkpoint(moment: str, forks: Forks, home: Path) -> None:
    _images(home / "mine.npz", seed=1)
    own = ("--data", "mine.npz", "--set", "batch_size=20", "--set", "data={kind='npz'}")
    assert forks.run(*TRAIN, *OFTEN, *own, folder=home, at={moment: "KILL"}).returncode == -9
    (path,) = store.find([home / "runs"])
    _images(home / "mine.npz", seed=2)
    before = _kept(path)
    said = _refused(forks.run("resume", path, folder=home), code=3)
    assert "the data has changed since this run began" in said
    assert _kept(path) == before
    _images(home / "mine.npz", seed=1)
    assert forks.run("resume", path, folder=home).returncode == 0


def test_another_number_of_threads_is_marked_and_strictly_refused(stopped: Path, forks: Forks, home: Path) -> None:
    before = _kept(stopped)
    said = _refused(forks.run("resume", stopped, "--threads", "2", "--strict", folder=home), code=6)
    assert "not bit-exact from here: threads 1 -> 2" in said
    assert _kept(stopped) == before
    ended = forks.run("resume", stopped, "--threads", "2", folder=home)
    assert ended.returncode == 0
    assert ended.stderr.startswith("warning: threads 1 -> 2: not bit-exact from here\n")
    (resumed,) = store.read(stopped).environment["resumed"]
    assert (resumed["bit_exact"], resumed["threads"], resumed["after_epoch"], resumed["after_step"]) == (False, 2, 1, 8)


@pytest.mark.parametrize(("key", "was"), [("torch", "1.0"), ("fewepochs", "0.0.1")])
def test_another_version_is_marked_and_strictly_refused(
    key: str, was: str, stopped: Path, forks: Forks, home: Path
) -> None:
    environment = json.loads((stopped / store.ENVIRONMENT).read_bytes())
    environment["packages"][key] = was
    (stopped / store.ENVIRONMENT).write_text(json.dumps(environment))
    assert f"not bit-exact from here: {key} {was} -> " in _refused(
        forks.run("resume", stopped, "--strict", folder=home), code=6
    )
    ended = forks.run("resume", stopped, folder=home)
    assert ended.stderr.startswith(f"warning: {key} {was} -> ")
    assert store.read(stopped).environment["resumed"][0]["bit_exact"] is False


def test_an_unchanged_machine_is_bit_exact_and_the_same_command_keeps_its_choices(
    stopped: Path, forks: Forks, whole: Whole, home: Path
) -> None:
    """`train` again, without --threads and --kernels: what the run began with is kept."""
    ended = forks.run("train", "tiny.toml", "--out", "runs", "--strict", folder=home)
    assert ended.returncode == 0, ended.stderr
    (resumed,) = store.read(stopped).environment["resumed"]
    assert (resumed["bit_exact"], resumed["after_epoch"], resumed["after_step"]) == (True, 1, STEPS + 3)
    assert faulty_runs.bits(stopped) == whole.bits


# --- divergence ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lr", "tame"), [("1e20", "1e-22"), ("1e60", "1e-62")], ids=["a loss", "a weight"])
def test_a_run_that_diverges_in_mid_epoch_ends_at_the_next_save_point_with_what_was_good(
    lr: str, tame: str, forks: Forks, home: Path
) -> None:
    """The last checkpoint is of a step before; what is kept is finite; the same command says so again."""
    schedule = f"schedule={{kind='piecewise-constant', boundaries=[0.5], factors=[{tame}, 1.0]}}"
    wild = ("--set", f"optimizer.lr={lr}", "--set", schedule)
    ended = forks.run(*TRAIN, *OFTEN, *wild, folder=home)
    assert (ended.returncode, "Traceback" in ended.stderr) == (4, False)
    (path,) = store.find([home / "runs"])
    run = store.read(path)
    assert (run.status.state, len(run.epochs)) == ("diverged", 2)
    assert run.status.reason is not None
    step = int(run.status.reason.rpartition(" ")[2])
    newest = checkpoint.newest_first(path / store.CHECKPOINTS)[0]
    assert 10 <= checkpoint.load(newest).steps < step
    for kept in (newest, path / store.CHECKPOINTS / checkpoint.BEST):
        assert all(tensor.isfinite().all() for tensor in checkpoint.load(kept).tensors.values())
    before = _kept(path)
    assert forks.run(*TRAIN, *OFTEN, *wild, folder=home).returncode == 4
    assert _kept(path) == before
