"""TensorBoard's own reader finds what is stored, once each, however often it was sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tracked_runs
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import metadata

import foreign_runs
import report_runs
from fewepochs import store
from fewepochs.trackers import story, tensorboard

RUN = tracked_runs.costly()


def read(folder: Path) -> event_accumulator.EventAccumulator:
    found = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    return found.Reload()


def scalars(found: event_accumulator.EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def send(run: store.StoredRun, to: Path) -> int:
    return tensorboard.TensorBoard(to).send(story.build(run))


def file(run: store.StoredRun, to: Path) -> Path:
    return to / story.build(run).name / tensorboard.FILE


@pytest.mark.parametrize(
    "run", [RUN, report_runs.make_run(), foreign_runs.make(full=False)], ids=["everything", "no joules", "foreign"]
)
def test_everything_stored_arrives_and_nothing_else(run: store.StoredRun, tmp_path: Path) -> None:
    assert send(run, tmp_path) == len(run.epochs)
    found = scalars(read(tmp_path / story.build(run).name))
    for tag in [tag for tag in found if tag.startswith(("best", "epochs_to"))]:
        del found[tag]
    assert found == {
        tag: [(epoch, float(np.float32(value))) for epoch, value in by_epoch.items()]
        for tag, by_epoch in tracked_runs.expected(run).items()
    }


def test_times_are_seconds_of_the_run(tmp_path: Path) -> None:
    send(RUN, tmp_path)
    times = [event.wall_time for event in read(tmp_path / RUN.name).Scalars("val_acc")]
    phases = [cost.setup_seconds + cost.train_seconds + cost.evaluation_seconds for cost in RUN.costs]
    assert times == list(np.cumsum(phases))


def test_the_recipe_is_there_as_text_and_as_parameters(tmp_path: Path) -> None:
    send(RUN, tmp_path)
    found = read(tmp_path / RUN.name)
    (event,) = found.Tensors("recipe")
    text = event.tensor_proto.string_val[0].decode()
    assert [line[4:] for line in text.splitlines()] == story.build(RUN).text.splitlines()
    content = found.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    begun = metadata.parse_session_start_info_plugin_data(content)
    assert begun.hparams["optimizer.lr"].number_value == 0.001
    assert begun.hparams["data.kind"].string_value == "digits"
    assert begun.group_name == RUN.digest


def test_a_pinned_crossing_is_told_in_words(tmp_path: Path) -> None:
    send(RUN, tmp_path)
    (event,) = read(tmp_path / RUN.name).Tensors("crossing.0.9.first")
    assert b"pinned" in event.tensor_proto.string_val[0]


def test_sending_again_changes_no_byte(tmp_path: Path) -> None:
    send(RUN, tmp_path)
    path = file(RUN, tmp_path)
    before = path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino
    assert send(RUN, tmp_path) == 0
    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_a_run_that_grows_only_appends_and_ends_in_the_bytes_of_one_sent_at_once(tmp_path: Path) -> None:
    path, inodes = file(RUN, tmp_path / "grown"), set()
    before = b""
    for epochs in (0, 1, 2, 9, 10, 19, 20):
        new = send(tracked_runs.beginning(RUN, epochs), tmp_path / "grown")
        assert new == epochs - len(scalars_of(before, tmp_path))
        assert path.read_bytes().startswith(before)
        before = path.read_bytes()
        inodes.add(path.stat().st_ino)
    send(RUN, tmp_path / "grown")
    send(RUN, tmp_path / "whole")
    assert path.read_bytes() == file(RUN, tmp_path / "whole").read_bytes()
    assert len(inodes) == 1


def scalars_of(content: bytes, tmp_path: Path) -> list[tuple[int, float]]:
    """Return the validation accuracies in an event file's content."""
    folder = tmp_path / "looked-at"
    folder.mkdir(exist_ok=True)
    (folder / tensorboard.FILE).write_bytes(content)
    return scalars(read(folder)).get("val_acc", []) if content else []


def test_a_reader_that_looks_on_sees_the_run_grow(tmp_path: Path) -> None:
    send(tracked_runs.beginning(RUN, 3), tmp_path)
    found = read(tmp_path / RUN.name)
    assert [event.step for event in found.Scalars("val_acc")] == [1, 2, 3]
    send(tracked_runs.beginning(RUN, 5), tmp_path)
    assert [event.step for event in found.Reload().Scalars("val_acc")] == [1, 2, 3, 4, 5]


def test_a_file_that_was_cut_anywhere_goes_on_where_it_ends(tmp_path: Path) -> None:
    send(RUN, tmp_path)
    path = file(RUN, tmp_path)
    whole = path.read_bytes()
    for size in (*range(0, len(whole), 397), len(whole) - 1):
        path.write_bytes(whole[:size])
        assert send(RUN, tmp_path) == len(RUN.epochs) - complete(whole[:size], tmp_path)
        assert path.read_bytes() == whole


def complete(content: bytes, tmp_path: Path) -> int:
    """Return how many epochs stand wholly in the beginning of an event file, their notes included."""
    parts = [len(tensorboard._epoch(point)) for point in story.build(RUN).points]
    start = len(tensorboard._head(story.build(RUN)))
    return sum(start + sum(parts[: k + 1]) <= len(content) for k in range(len(parts)))


def test_a_run_that_was_trained_anew_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    send(RUN, tmp_path)
    other = tracked_runs.costly(plateau=0.9)
    assert send(other, tmp_path) == len(other.epochs)
    assert [path.name for path in (tmp_path / RUN.name).iterdir()] == [tensorboard.FILE]
    values = [value for _, value in scalars(read(tmp_path / RUN.name))["val_acc"]]
    assert values == [float(np.float32(record.val_acc)) for record in other.epochs]


def test_a_resumed_run_has_each_epoch_once(tmp_path: Path) -> None:
    part = tracked_runs.beginning(RUN, 9)
    stopped = part.status.model_copy(update={"state": "interrupted"})
    send(store.StoredRun(part.path, part.recipe, stopped, part.epochs, part.costs, part.environment), tmp_path)
    send(RUN, tmp_path)
    steps = [step for step, _ in scalars(read(tmp_path / RUN.name))["val_acc"]]
    assert steps == list(range(1, 21))
