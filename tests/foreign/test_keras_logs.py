"""What the real Keras wrote is read as what Keras itself remembers of the training."""

from __future__ import annotations

from typing import Any

import log_files
import numpy as np
import pytest

from fewepochs.errors import DataError
from fewepochs.foreign import files
from fewepochs.records import ForeignEpoch


def _read(name: str) -> files.Curve:
    (found,) = files.read(log_files.GOLDENS / name)
    return found


def _history(name: str) -> dict[str, list[Any]]:
    history: dict[str, list[Any]] = log_files.MADE["history"][name]
    return history


@pytest.mark.parametrize(
    ("file", "training", "kind"),
    [
        ("step.csv", "step", "keras-csv"),
        ("plateau.csv", "plateau", "keras-csv"),
        ("plain.csv", "plain", "keras-csv"),
        ("diverged.csv", "diverged", "keras-csv"),
        ("board", "board", "tensorboard"),
    ],
)
def test_a_curve_is_what_keras_remembers_of_the_training(file: str, training: str, kind: str) -> None:
    found, history = _read(file), _history(training)
    assert (found.kind, found.notes) == (kind, ())
    assert [record.epoch for record in found.epochs] == [1, 2, 3, 4, 5, 6]
    assert [record.loss for record in found.epochs] == history["loss"]
    assert [record.val_loss for record in found.epochs] == history["val_loss"]
    for ours, theirs in (("acc", "accuracy"), ("val_acc", "val_accuracy")):
        told = [np.float32(getattr(record, ours)) for record in found.epochs]
        assert told == [np.float32(value) for value in history[theirs]]


@pytest.mark.parametrize("file", ["step.csv", "plateau.csv", "plain.csv", "diverged.csv", "board"])
def test_an_accuracy_is_exactly_the_images_that_were_right_over_those_asked(file: str) -> None:
    n = log_files.VALIDATED
    for record in _read(file).epochs:
        assert record.val_acc == round(record.val_acc * n) / n


@pytest.mark.parametrize("file", ["step.csv", "board"])
def test_a_rate_is_the_decimal_that_the_user_wrote(file: str) -> None:
    assert [record.lr_logged for record in _read(file).epochs] == [0.01, 0.01, 0.01, 0.001, 0.001, 0.001]


def test_what_a_log_does_not_say_is_absent() -> None:
    for record in _read("plain.csv").epochs:
        assert (record.lr_logged, record.step, record.test_acc) == (None, None, None)


def test_a_loss_that_is_no_number_is_absent_and_told() -> None:
    found = _read("diverged.csv")
    assert found.not_finite == 1
    assert all(record.loss is None and record.val_loss is None for record in found.epochs)
    assert _read("plain.csv").not_finite is None


def test_a_log_that_keras_went_on_with_is_one_curve() -> None:
    found = _read("continued.csv")
    assert [record.epoch for record in found.epochs] == [1, 2, 3, 4, 5, 6]
    assert found.epochs[0] == ForeignEpoch.model_validate({**found.epochs[3].model_dump(), "epoch": 1})


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("again.csv", "line 5: epoch 0 after epoch 2: training was started again"),
        ("later.csv", "line 2: begins with epoch 3"),
        ("unvalidated.csv", "no validation accuracy in any row"),
        ("every-second.csv", "line 2: no validation accuracy (3 of 6 epochs have none)"),
    ],
)
def test_a_log_that_is_no_whole_curve_is_refused_with_the_reason(file: str, told: str) -> None:
    with pytest.raises(DataError) as refused:
        _read(file)
    assert told in str(refused.value)
    assert str(log_files.GOLDENS / file) in str(refused.value)


def test_both_of_keras_s_logs_of_one_training_say_the_same() -> None:
    assert _read("step.csv").epochs == _read("board").epochs
