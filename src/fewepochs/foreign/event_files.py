"""Curves in TensorBoard's event files, read without TensorFlow.

Keras's callback writes two folders: train/ with epoch_loss, epoch_accuracy and epoch_learning_rate, validation/ with
epoch_loss and epoch_accuracy; its steps are epochs from 0. Others write one folder of tags such as val_acc or
Accuracy/val, one value an epoch, at steps from 0 or 1. A tag is called as its curve is in TensorBoard, after the folder
it lies in: validation/epoch_accuracy. Times stand in the files, too: of writing, not of training; they are not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fewepochs.errors import DataError
from fewepochs.foreign import columns, curve

MARK = "tfevents"
"""What names of event files have in them."""

PARTS = ("train", "validation")
MAX_BYTES = 1 << 30

Series = dict[str, list[tuple[int, float]]]


def files(path: Path) -> tuple[tuple[str, Path], ...]:
    """Return the event files at `path`, each after the prefix of its tags; none where it holds no events."""
    if path.is_file():
        return (("", path),) if MARK in path.name else ()
    found = [("", file) for file in sorted(path.glob(f"*{MARK}*"))]
    for part in PARTS:
        found += [(f"{part}/", file) for file in sorted((path / part).glob(f"*{MARK}*"))]
    return tuple((prefix, file) for prefix, file in found if file.is_file() and not file.name.endswith("profile-empty"))


def read(path: Path, *, source: str, percent: bool, asked: Mapping[str, str]) -> curve.Read:
    """Return the curve in the event files at `path`. Raises DataError with every problem found."""
    found = files(path)
    if not found:
        raise DataError(_nothing(path, source=source))
    series: Series = {}
    notes: list[str] = []
    for prefix, file in found:
        torn = False
        for tag, step, value in _scalars(file, source=source):
            if tag is None:
                torn = True
            else:
                series.setdefault(f"{prefix}{tag}", []).append((step, value))
        notes += [f"{file.name} is cut off: what was being written is left out"] if torn else []
    if not series:
        raise DataError(f"{source}: event files, but no scalars in them")
    chosen = columns.choose(sorted(series), asked=asked, source=source)
    rows, left = _rows(series, chosen)
    one = curve.build(rows, source=source, keras="validation/epoch_accuracy" in chosen.values(), percent=percent)
    return curve.Read(one.epochs, one.not_finite, (*notes, *left, *one.notes))


def _nothing(path: Path, *, source: str) -> str:
    below = sorted(entry.name for entry in path.iterdir() if entry.is_dir() and files(entry)) if path.is_dir() else []
    if below:
        return f"{source}: no event files in it, but runs below it: give each of them, {columns.listed(below)}"
    return f"{source}: no TensorBoard event files in it (their names have {MARK} in them)"


def _rows(series: Series, chosen: Mapping[columns.Ours, str]) -> tuple[list[curve.Row], list[str]]:
    """Return a row for each value of the validation accuracy, and notes about the series that have others.

    A step is an epoch, unless a series says of which epoch each step is.
    """
    epochs = dict(series[chosen["epoch"]]) if "epoch" in chosen else {}
    by_epoch: dict[columns.Ours, dict[float, list[float]]] = {}
    for ours, theirs in chosen.items():
        for step, value in series[theirs]:
            by_epoch.setdefault(ours, {}).setdefault(epochs.get(step, step), []).append(value)
    crowded = [ours for ours, found in by_epoch.items() if ours not in ("epoch", "val_acc") and _many(found)]
    rows = []
    for step, accuracy in series[chosen["val_acc"]]:
        epoch = epochs.get(step, step)
        cells: dict[columns.Ours, str] = {"epoch": repr(epoch), "val_acc": repr(accuracy)}
        for ours, found in by_epoch.items():
            if ours not in cells and ours not in crowded and epoch in found:
                cells[ours] = repr(found[epoch][0])
        rows.append(curve.Row(f"step {step}", cells))
    return rows, [f"{chosen[ours]} has several values an epoch: left out" for ours in crowded]


def _many(found: Mapping[float, list[float]]) -> bool:
    return any(len(values) > 1 for values in found.values())


def _scalars(file: Path, *, source: str) -> Iterator[tuple[str | None, int, float]]:
    """Yield tag, step and value of the scalars in `file`; a tag None at the end says that the file is cut off."""
    from tensorboard.compat.proto import event_pb2
    from tensorboard.compat.tensorflow_stub import errors as stub_errors
    from tensorboard.compat.tensorflow_stub import pywrap_tensorflow

    if file.stat().st_size > MAX_BYTES:
        raise DataError(f"{source}: {file.name} has more than {MAX_BYTES:,} bytes")
    reader = pywrap_tensorflow.PyRecordReader_New(str(file))
    while True:
        try:
            reader.GetNext()
            event = event_pb2.Event.FromString(reader.record())
        except stub_errors.OutOfRangeError:
            return
        except stub_errors.DataLossError as error:
            if "truncated" not in str(error):
                raise DataError(f"{source}: {file.name} is damaged, or no event file: {error.message}") from None
            yield None, 0, 0.0
            return
        except ValueError as error:  # protobuf's own
            raise DataError(f"{source}: {file.name} is no event file: {error}") from None
        for value in event.summary.value:
            scalar = _scalar(value)
            if scalar is not None:
                yield value.tag, event.step, scalar


def _scalar(value: Any) -> float | None:
    """Return the number in a summary's value, None where it is a picture, a text, or many numbers."""
    from tensorboard.util import tensor_util

    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind != "tensor" or value.tensor.tensor_shape.dim:  # a shape asks for memory, whatever values there are
        return None
    try:
        array = tensor_util.make_ndarray(value.tensor)
    except (TypeError, ValueError, struct.error):
        return None
    return float(array) if array.shape == () and array.dtype.kind in "fiu" else None
