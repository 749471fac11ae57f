"""TensorBoard's event files, read without TensorFlow: layouts, cuts, damage."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import log_files
import pytest
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer import event_file_writer
from tensorboard.util import tensor_util

from fewepochs.errors import DataError
from fewepochs.foreign import event_files, files

CURVE = [(0, 0.4), (1, 0.5), (2, 0.9)]


def _read(path: Path, **columns: str) -> files.Curve:
    (found,) = files.read(path, columns=columns)
    return found


def _accuracies(curve: files.Curve) -> list[float]:
    return [record.val_acc for record in curve.epochs]


def _refusal(path: Path) -> str:
    with pytest.raises(DataError) as refused:
        files.read(path, kind="tensorboard")
    return str(refused.value)


def _ends(content: bytes) -> list[int]:
    """Return where the records of an event file end: each is its length, 8 bytes, two checksums of 4, and itself."""
    ends = [0]
    while ends[-1] < len(content):
        (length,) = struct.unpack_from("<Q", content, ends[-1])
        ends.append(ends[-1] + length + 16)
    return ends[1:]


@pytest.mark.parametrize("tag", ["val_acc", "Accuracy/val", "validation/accuracy", "epoch_val_accuracy"])
@pytest.mark.parametrize("first", [0, 1])
def test_one_folder_of_tags_is_a_curve_from_0_or_1(tmp_path: Path, tag: str, first: int) -> None:
    series = {tag: [(step + first, value) for step, value in CURVE], "Loss/train": [(first, 1.5)]}
    log_files.events(tmp_path, series)
    found = _read(tmp_path)
    assert found.kind == "tensorboard"
    assert _accuracies(found) == [0.4, 0.5, 0.9]
    assert [record.loss for record in found.epochs] == [1.5, None, None]
    assert [record.epoch for record in found.epochs] == [1, 2, 3]


def test_a_file_of_events_is_read_as_its_folder(tmp_path: Path) -> None:
    file = log_files.events(tmp_path, {"val_acc": CURVE})
    assert _read(file).epochs == _read(tmp_path).epochs


def test_numbers_as_older_writers_put_them_are_numbers_too(tmp_path: Path) -> None:
    writer = event_file_writer.EventFileWriter(str(tmp_path))
    for step, value in CURVE:
        summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag="val_acc", simple_value=value)])
        writer.add_event(event_pb2.Event(wall_time=0.0, step=step, summary=summary))
    writer.close()
    assert _accuracies(_read(tmp_path)) == [0.4, 0.5, 0.9]


def test_what_is_no_single_number_is_passed_over(tmp_path: Path) -> None:
    log_files.events(tmp_path, {"val_acc": CURVE})
    writer = event_file_writer.EventFileWriter(str(tmp_path), filename_suffix=".more")
    numbers, words = tensor_util.make_tensor_proto([0.1, 0.2]), tensor_util.make_tensor_proto(b"0.5")
    image = summary_pb2.Summary.Image(height=1, width=1)
    for value in (
        summary_pb2.Summary.Value(tag="acc", tensor=numbers),
        summary_pb2.Summary.Value(tag="loss", tensor=words),
        summary_pb2.Summary.Value(tag="lr", image=image),
        summary_pb2.Summary.Value(tag="val_loss", simple_value=0.5),
    ):
        writer.add_event(event_pb2.Event(wall_time=0.0, step=0, summary=summary_pb2.Summary(value=[value])))
    writer.close()
    first = _read(tmp_path).epochs[0]
    assert (first.acc, first.loss, first.lr_logged, first.val_loss, first.val_acc) == (None, None, None, 0.5, 0.4)


@pytest.mark.parametrize("sides", [(1 << 27,), (1 << 44,), (1 << 62, 1 << 62), (-1,), (0,)])
def test_a_shape_that_asks_for_memory_gets_none(sides: tuple[int, ...], tmp_path: Path) -> None:
    """A tensor of one value may claim any shape, and would be filled up with it."""
    log_files.events(tmp_path, {"val_acc": CURVE})
    tensor = tensor_util.make_tensor_proto(0.5)
    for side in sides:
        tensor.tensor_shape.dim.add().size = side
    summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag="val_loss", tensor=tensor)])
    writer = event_file_writer.EventFileWriter(str(tmp_path), filename_suffix=".more")
    writer.add_event(event_pb2.Event(wall_time=0.0, step=0, summary=summary))
    writer.close()
    tracemalloc.start()
    try:
        assert [record.val_loss for record in _read(tmp_path).epochs] == [None] * 3
        assert tracemalloc.get_traced_memory()[1] < 64 << 20  # the reader has 16 MB for itself
    finally:
        tracemalloc.stop()


def test_a_tag_that_is_called_otherwise_can_be_named(tmp_path: Path) -> None:
    log_files.events(tmp_path, {"quality": CURVE})
    assert "it has quality" in _refusal(tmp_path)
    assert _accuracies(_read(tmp_path, val_acc="quality")) == [0.4, 0.5, 0.9]


def test_steps_that_are_no_epochs_are_counted_by_the_series_of_epochs(tmp_path: Path) -> None:
    """Lightning writes at optimizer steps, and beside each value the epoch that it belongs to."""
    steps = [99, 199, 299]
    series = {
        "val_acc": [(step, value) for step, (_, value) in zip(steps, CURVE, strict=True)],
        "epoch": [(step, float(epoch)) for epoch, step in enumerate(steps)],
    }
    log_files.events(tmp_path / "with", series)
    assert _accuracies(_read(tmp_path / "with")) == [0.4, 0.5, 0.9]
    log_files.events(tmp_path / "without", {"val_acc": series["val_acc"]})
    assert "step 99: begins with epoch 99" in _refusal(tmp_path / "without")


def test_a_series_with_several_values_an_epoch_is_left_out_with_a_note(tmp_path: Path) -> None:
    log_files.events(tmp_path, {"val_acc": CURVE, "loss": [(0, 2.0), (0, 1.0), (1, 0.5)]})
    found = _read(tmp_path)
    assert all(record.loss is None for record in found.epochs)
    assert found.notes[0] == "loss has several values an epoch: left out"


def test_a_run_started_again_in_its_folder_is_refused(tmp_path: Path) -> None:
    log_files.events(tmp_path, {"val_acc": [*CURVE, *CURVE]})
    assert "step 0: epoch 0 after epoch 2: training was started again" in _refusal(tmp_path)


def test_a_file_that_is_cut_off_is_read_up_to_there_wherever_it_is_cut(tmp_path: Path) -> None:
    file = log_files.events(tmp_path, {"val_acc": CURVE})
    whole = file.read_bytes()
    ends = _ends(whole)
    for end in range(ends[1], len(whole) + 1):  # the first record says what file it is, the second is a value
        file.write_bytes(whole[:end])
        found = _read(tmp_path)
        assert _accuracies(found) == [0.4, 0.5, 0.9][: sum(other <= end for other in ends) - 1]
        assert any("cut off" in note for note in found.notes) == (end not in ends)


def test_one_flipped_bit_is_damage_and_refused(tmp_path: Path) -> None:
    file = log_files.events(tmp_path, {"val_acc": CURVE})
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert "is damaged, or no event file" in _refusal(tmp_path)


def test_what_holds_no_curve_is_refused_with_the_reason(tmp_path: Path) -> None:
    assert "no TensorBoard event files in it" in _refusal(tmp_path)
    with pytest.raises(DataError, match="no TensorBoard event files in it"):  # nor is a folder taken for CSV
        files.read(tmp_path)
    log_files.events(tmp_path / "first", {"val_acc": CURVE})
    log_files.events(tmp_path / "second", {"val_acc": CURVE})
    assert "runs below it: give each of them, first, second" in _refusal(tmp_path)
    log_files.events(tmp_path / "empty", {})
    assert "no scalars in them" in _refusal(tmp_path / "empty")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "tfevents").write_text("not an event file, but long enough to hold a header")
    assert "is damaged, or no event file" in _refusal(tmp_path / "text")
    assert "no such file" in _refusal(tmp_path / "absent")


def test_event_files_have_no_column_of_runs(tmp_path: Path) -> None:
    log_files.events(tmp_path, {"val_acc": CURVE})
    with pytest.raises(DataError, match="no column run"):
        files.read(tmp_path, run_column="run")


def test_without_tensorboard_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_files.events(tmp_path, {"val_acc": CURVE})
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert "pip install 'fewepochs[tensorboard]'" in _refusal(tmp_path)


def test_event_files_are_read_without_tensorflow_and_without_torch(tmp_path: Path) -> None:
    log_files.events(tmp_path, {"val_acc": CURVE})
    told = "import sys, pathlib; from fewepochs.foreign import files; files.read(pathlib.Path(sys.argv[1])); "
    told += "print([name for name in ('tensorflow', 'torch', 'keras') if name in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", told, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (ended.stdout.strip(), ended.stderr) == ("[]", "")


def test_a_folder_is_remembered_by_names_and_contents_of_its_event_files(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    file = log_files.events(one, {"val_acc": CURVE})
    other.mkdir()
    (other / file.name).write_bytes(file.read_bytes())
    (other / "notes.txt").write_text("not an event file")
    assert _read(one).sha256 == _read(other).sha256
    (other / file.name).rename(other / f"{file.name}.v2")
    assert _read(one).sha256 != _read(other).sha256
    apart = tmp_path / "apart"
    (apart / "validation").mkdir(parents=True)
    (apart / "validation" / file.name).write_bytes(file.read_bytes())
    assert _read(one).sha256 != _read(apart, val_acc="validation/val_acc").sha256


def test_a_folder_is_called_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_files.events(tmp_path / "board", {"val_acc": CURVE})
    monkeypatch.chdir(tmp_path / "board")
    assert _read(Path()).file == "board"


def test_marks_of_the_profiler_and_files_of_any_size_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = log_files.events(tmp_path, {"val_acc": CURVE})
    (tmp_path / "events.out.tfevents.1.profile-empty").write_bytes(b"no records" * 9)
    assert _accuracies(_read(tmp_path)) == [0.4, 0.5, 0.9]
    monkeypatch.setattr(event_files, "MAX_BYTES", file.stat().st_size - 1)
    assert "has more than" in _refusal(tmp_path)
