"""In the files that W&B would upload stands what is stored, once each, however often it was sent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tracked_runs
import wandb_reader

import command_line
import foreign_runs
import report_runs
import run_folders
from fewepochs import store
from fewepochs.trackers import story, wandb, wandb_file

pytestmark = pytest.mark.trackers

RUN = tracked_runs.costly()


def send(run: store.StoredRun, to: Path, *, later: bool = False) -> int:
    (to / wandb.FOLDER).mkdir(exist_ok=True)
    tracker = wandb.WandB(to)
    try:
        return tracker.send(story.build(run), later=later)
    finally:
        tracker.close()


def parts(to: Path) -> list[Path]:
    return sorted(to.glob("wandb/offline-run-*/*.wandb"))


@pytest.mark.parametrize(
    "run", [RUN, report_runs.make_run(), foreign_runs.make(full=False)], ids=["everything", "no joules", "foreign"]
)
def test_everything_stored_arrives_and_nothing_else(run: store.StoredRun, tmp_path: Path) -> None:
    assert send(run, tmp_path) == len(run.epochs)
    (part,) = parts(tmp_path)
    found = wandb_reader.history(part)
    assert found.pop("epoch") == {record.epoch: record.epoch for record in run.epochs}
    own = {name: steps for name, steps in found.items() if not name.startswith(("_", "best", "epochs_to"))}
    assert own == tracked_runs.expected(run)
    told = story.build(run)
    config = wandb_reader.config(part)
    assert {name: config[name] for name in told.parameters} == told.parameters
    assert config["fewepochs.digest"] == run.digest
    assert wandb_reader.summary(part)["state"] == "finished"
    about = wandb_reader.run(part)
    assert (about.display_name, about.run_id, about.project) == (told.name, run.digest[:32], "fewepochs")


def test_times_are_seconds_of_the_run(tmp_path: Path) -> None:
    send(RUN, tmp_path)
    found = wandb_reader.history(*parts(tmp_path))
    told = story.build(RUN)
    times = found["_timestamp"]
    assert [times[point.epoch] - times[1] for point in told.points] == pytest.approx(
        [point.seconds - told.points[0].seconds for point in told.points]
    )


def test_sending_again_writes_nothing(tmp_path: Path) -> None:
    send(RUN, tmp_path)
    before = run_folders.contents(tmp_path)
    assert send(RUN, tmp_path) == 0
    assert run_folders.contents(tmp_path) == before


def test_a_run_that_grows_is_one_part_with_each_epoch_once(tmp_path: Path) -> None:
    assert [send(tracked_runs.beginning(RUN, epochs), tmp_path) for epochs in (0, 1, 7)] == [0, 1, 6]
    assert send(RUN, tmp_path) == 13
    (part,) = parts(tmp_path)
    assert list(wandb_reader.history(part)["val_acc"]) == list(range(1, 21))


def test_while_a_run_goes_on_nothing_is_written(tmp_path: Path) -> None:
    assert send(tracked_runs.beginning(RUN, 5), tmp_path, later=True) == 0
    assert parts(tmp_path) == []


def test_what_was_synced_and_cleaned_away_is_not_written_again(tmp_path: Path) -> None:
    send(RUN, tmp_path)
    (part,) = parts(tmp_path)
    part.unlink()
    assert send(RUN, tmp_path) == 0
    assert parts(tmp_path) == []


LIMITED = """
import resource, sys
from fewepochs.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
main()
"""


def test_a_disk_that_is_full_is_noticed_and_leaves_no_part(tmp_path: Path) -> None:
    path = tracked_runs.write(RUN, out=tmp_path / "runs")
    before = run_folders.contents(path)
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, "4096", "track", "wandb", "runs"],
        cwd=tmp_path,
        env=command_line.environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (5, "")
    assert ended.stderr.startswith(
        "fewepochs: .: wandb failed: the file that wandb wrote is not whole: is there space?"
    )
    assert parts(tmp_path) == []
    assert run_folders.contents(path) == before


def test_a_file_that_was_cut_anywhere_is_not_whole(tmp_path: Path) -> None:
    run = tracked_runs.costly(folder="n" * 250)
    send(run, tmp_path)
    (part,) = parts(tmp_path)
    whole = part.read_bytes()
    assert wandb_file.is_whole(part, epochs=20)
    assert not wandb_file.is_whole(part, epochs=21)
    for size in range(0, len(whole), 61):
        part.write_bytes(whole[:size])
        assert not wandb_file.is_whole(part, epochs=20)


@pytest.mark.parametrize("kept", ["", "[]", '{"x": 3}', '{"DIGEST": {"part": "../../runs", "epochs": 3}}'])
def test_what_was_kept_and_is_not_ours_does_no_harm(kept: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "wandb").mkdir(parents=True)
    (home / "wandb" / wandb.SENT).write_text(kept.replace("DIGEST", RUN.digest))
    path = tracked_runs.write(RUN, out=tmp_path / "runs")
    send(RUN, home)
    assert len(parts(home)) == 1
    assert json.loads((home / "wandb" / wandb.SENT).read_text())[RUN.digest]["epochs"] == 20
    assert path.is_dir()


def test_odd_names_are_taken(tmp_path: Path) -> None:
    path = tracked_runs.write(report_runs.make_run(folder="x\x1b[31m'\"#"), out=tmp_path / "a%b?")
    send(store.read(path), tmp_path)
    about = wandb_reader.run(*parts(tmp_path))
    assert about.project == "a_b_"
    assert "\x1b" not in about.display_name


def test_the_command_asks_nobody_and_says_how_to_send_it(tmp_path: Path) -> None:
    tracked_runs.write(RUN, out=tmp_path / "runs")
    ended = command_line.run("track", "wandb", "runs", folder=tmp_path)
    assert ended.returncode == 0
    assert ended.stdout == f"{RUN.name}: 20 epochs, 20 new, finished\n"
    assert ended.stderr == "nothing has left this machine; send it with: wandb sync ./wandb/offline-run-*\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "wandb"]
