"""Killed with -9 at a named moment, resumed: the same bits as if nothing had happened.

Moments are those of `moments.py`. Under a checkpoint after every step a run passes some 350 of them; one of each kind
is tried here, each of them with `-m slow`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from faults import faulty_runs
from faults.faulty_runs import OFTEN, TRAIN, Whole
from fork_server import Forks

# the event, then what is at stake there
MOMENTS = {
    "begin:load:1": "no run folder yet",
    "renamed:environment.json:1": "a run folder that is none yet",
    "rename:recipe.toml:1": "all but the recipe",
    "renamed:recipe.toml:1": "a run that has done nothing",
    "begin:step:1": "no checkpoint",
    "open:checkpoint:1": "before the first checkpoint",
    "begin:step:8": "in mid-epoch",
    "begin:evaluate:2": "all steps of an epoch done, not evaluated",
    "open:checkpoint:7": "before the write",
    "write:checkpoint:7": "in mid-write",
    "fsync:checkpoint:7": "before fsync",
    "rename:checkpoint:7": "before the rename",
    "renamed:checkpoint:7": "after the rename, before the folder's fsync",
    "unlink:checkpoint:4": "while pruning",
    "unlink:checkpoint:18": "while pruning after the last save",
    "open:costs.jsonl:2": "an epoch done and not logged",
    "write:costs.jsonl:2": "a torn line of costs",
    "open:epochs.jsonl:2": "a cost without its epoch",
    "write:epochs.jsonl:2": "a torn line of the log",
    "fsync:epochs.jsonl:2": "a line that may not be on the disk",
    "write:best.ckpt:1": "in the first best's write",
    "renamed:best.ckpt:1": "a best without its checkpoint",
    "link:best.ckpt:1": "before the best is the newest, too",
    "open:epochs.jsonl:4": "the last epoch not logged",
    "fsync:epochs.jsonl:4": "the last epoch logged, its state not saved",
    "rename:status.json:2": "a status half replaced",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_a_moment_and_resumed_a_run_ends_in_the_same_bits(
    moment: str, forks: Forks, whole: Whole, home: Path
) -> None:
    assert_same_bits_after(moment, forks=forks, whole=whole, home=home)


def assert_same_bits_after(moment: str, *, forks: Forks, whole: Whole, home: Path) -> None:
    killed = forks.run(*TRAIN, *OFTEN, folder=home, at={moment: "KILL"})
    assert killed.returncode == -9, killed.stderr
    resumed = forks.run(*TRAIN, *OFTEN, folder=home)
    assert resumed.returncode == 0, resumed.stderr
    assert "warning" not in resumed.stderr
    assert faulty_runs.bits(faulty_runs.run_path(home)) == whole.bits


def test_the_moments_tried_are_of_every_kind_that_a_run_passes(whole: Whole) -> None:
    """A new file, or a new way of writing one, has to be killed here, too."""
    kinds = {moment.rpartition(":")[0] for moment in whole.moments}
    tried = {moment.rpartition(":")[0] for moment in MOMENTS}
    files = {kind.partition(":")[2] for kind in kinds}
    assert {kind.partition(":")[2] for kind in tried} <= files
    assert {kind for kind in kinds if kind.endswith((":checkpoint", ":epochs.jsonl"))} <= tried
    assert len(whole.moments) > 300


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_killed_at_each_moment_of_its_life_a_run_ends_in_the_same_bits(
    forks: Forks, whole: Whole, tmp_path: Path
) -> None:
    for number, moment in enumerate(whole.moments[:-1]):
        assert_same_bits_after(moment, forks=forks, whole=whole, home=faulty_runs.home(tmp_path / str(number)))


AGAIN = ["unlink:checkpoint:1", "rename:epochs.jsonl:1", "renamed:costs.jsonl:1", "rename:environment.json:1"]


@pytest.mark.parametrize("moment", AGAIN)
def test_killed_again_while_it_tidies_up_a_run_ends_in_the_same_bits(
    moment: str, forks: Forks, whole: Whole, home: Path
) -> None:
    assert forks.run(*TRAIN, *OFTEN, folder=home, at={"write:checkpoint:8": "KILL"}).returncode == -9
    assert list(home.rglob("*.part"))
    again = forks.run("resume", faulty_runs.run_path(home), *OFTEN, folder=home, at={moment: "KILL"})
    assert again.returncode == -9, again.stderr
    resumed = forks.run("resume", faulty_runs.run_path(home), folder=home)
    assert (resumed.returncode, "warning" in resumed.stderr) == (0, False)
    assert faulty_runs.bits(faulty_runs.run_path(home)) == whole.bits


def test_how_often_a_checkpoint_is_written_changes_no_bit(forks: Forks, whole: Whole, home: Path) -> None:
    seldom = forks.run(*TRAIN, folder=home)
    assert seldom.returncode == 0, seldom.stderr
    assert faulty_runs.bits(faulty_runs.run_path(home)) == whole.bits
