"""Names and cells of other tools' columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewepochs.errors import DataError
from fewepochs.foreign import columns


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("epoch", "epoch"),
        ("accuracy", "acc"),
        ("acc", "acc"),
        ("categorical_accuracy", "acc"),
        ("train/epoch_accuracy", "acc"),
        ("val_accuracy", "val_acc"),
        ("val_acc", "val_acc"),
        ("val_sparse_categorical_accuracy", "val_acc"),
        ("validation/epoch_accuracy", "val_acc"),
        ("epoch_val_acc", "val_acc"),
        ("Accuracy/val", "val_acc"),
        ("Validation Accuracy", "val_acc"),
        ("eval_top1", "val_acc"),
        ("test_acc", "test_acc"),
        ("loss", "loss"),
        ("train_loss", "loss"),
        ("Loss/train", "loss"),
        ("valid_loss", "val_loss"),
        ("lr", "lr_logged"),
        ("learning_rate", "lr_logged"),
        ("train/epoch_learning_rate", "lr_logged"),
        ("global_step", "step"),
        # What is none of ours, or may mean anything.
        ("step", None),
        ("val_top5", None),
        ("val_lr", None),
        ("test_loss", None),
        ("binary_accuracy", None),
        ("batch_loss", None),
        ("train_val_loss", None),
        ("validation/evaluation_loss_vs_iterations", None),
        ("time", None),
        ("", None),
    ],
)
def test_a_name_means_what_its_words_say(name: str, ours: str | None) -> None:
    assert columns.meaning(name) == ours


def _refusal(names: list[str], **asked: str) -> str:
    with pytest.raises(DataError) as refused:
        columns.choose(names, asked=asked, source="x.csv")
    return str(refused.value)


def test_columns_are_chosen_by_name_and_what_is_asked_for_goes_first() -> None:
    names = ["epoch", "accuracy", "val_accuracy", "val_top5"]
    assert columns.choose(names, asked={}, source="x.csv") == {
        "epoch": "epoch",
        "acc": "accuracy",
        "val_acc": "val_accuracy",
    }
    assert columns.choose(names, asked={"val_acc": "val_top5"}, source="x.csv")["val_acc"] == "val_top5"
    assert columns.choose(["a", "b"], asked={"val_acc": "a", "lr": "b"}, source="x.csv") == {
        "val_acc": "a",
        "lr_logged": "b",
    }


def test_a_column_that_is_asked_for_is_not_taken_twice() -> None:
    """fastai calls its validation accuracy plainly accuracy."""
    names = ["epoch", "train_loss", "valid_loss", "accuracy", "time"]
    found = columns.choose(names, asked={"val_acc": "accuracy"}, source="x.csv")
    assert found == {"epoch": "epoch", "loss": "train_loss", "val_loss": "valid_loss", "val_acc": "accuracy"}


def test_without_a_validation_accuracy_it_is_said_how_to_name_one() -> None:
    told = _refusal(["epoch", "accuracy"])
    assert "--column val_acc=NAME" in told
    assert "it has epoch, accuracy" in told


def test_a_name_that_fits_twice_is_asked_about() -> None:
    assert "val_acc may be any of val_acc, val_accuracy" in _refusal(["val_acc", "val_accuracy"])
    assert "--column lr=lr" in _refusal(["val_acc", "lr", "learning_rate"])


def test_all_names_that_are_not_there_are_told_at_once_with_the_nearest() -> None:
    told = _refusal(["validation", "loss"], val_acc="validaton", loss="los")
    assert told.startswith("x.csv: 2 problems")
    assert "did you mean 'validation'?" in told
    assert "did you mean 'loss'?" in told


# --- cells --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " ", "NA", "na", "N/A", "None", "null", "-"])
def test_a_cell_that_says_nothing_is_absent(text: str) -> None:
    for ours in columns.OURS:
        assert columns.cell(text, ours=ours, percent=False) is None


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-inf", "Infinity"])
def test_a_loss_may_be_no_number_an_accuracy_and_a_rate_may_not(text: str) -> None:
    value = columns.cell(text, ours="loss", percent=False)
    assert value is not None
    assert not np.isfinite(value)
    others: tuple[columns.Ours, ...] = ("val_acc", "lr_logged", "epoch")
    for ours in others:
        with pytest.raises(ValueError, match="not finite"):
            columns.cell(text, ours=ours, percent=False)


@pytest.mark.parametrize(
    ("ours", "text", "told"),
    [
        ("val_acc", "ninety", "val_acc is not a number"),
        ("val_acc", "0,93", "val_acc is not a number"),
        ("val_acc", "93.1", "say --percent"),
        ("val_acc", "-0.1", "not a fraction of images"),
        ("val_acc", "101", "not a fraction of images"),
        ("epoch", "1.5", "not a whole number"),
        ("epoch", "-1", "not a whole number"),
        ("epoch", "1e400", "not a whole number"),
        ("loss", "1e400", "too large"),
        ("loss", '"[1, 2]"', "not a number"),
        ("loss", "x" * 10_000, "..."),
    ],
)
def test_a_cell_that_cannot_be_so_is_refused_with_the_reason(ours: columns.Ours, text: str, told: str) -> None:
    with pytest.raises(ValueError) as refused:
        columns.cell(text, ours=ours, percent=False)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 300


def test_only_a_percentage_is_told_about_percent() -> None:
    for text in ("-1", "101"):
        with pytest.raises(ValueError) as refused:
            columns.cell(text, ours="val_acc", percent=False)
        assert "--percent" not in str(refused.value)


def test_percent_divides_accuracies_and_nothing_else() -> None:
    assert columns.cell("93.1", ours="val_acc", percent=True) == 0.931
    assert columns.cell("93.1", ours="loss", percent=True) == 93.1
    assert columns.cell("0.01", ours="lr_logged", percent=True) == 0.01


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_percent_of_a_decimal_is_the_decimal_two_digits_on(pair: tuple[int, int]) -> None:
    right, _ = pair
    assert columns.cell(f"{right / 1000:.3f}", ours="val_acc", percent=True) == float(f"{right / 100_000:.5f}")


def test_a_comma_is_a_point_where_it_divides_nothing() -> None:
    assert columns.cell("0,93", ours="val_acc", percent=False, comma=True) == 0.93
    assert columns.cell("1,5e-3", ours="loss", percent=False, comma=True) == 0.0015
    with pytest.raises(ValueError, match="not a number"):
        columns.cell("1,234,5", ours="loss", percent=False, comma=True)


# --- 32-bit floats ------------------------------------------------------------------------------------------------


@given(st.integers(1, 4), st.data())
def test_the_accuracy_of_a_power_of_ten_images_survives_32_bits(digits: int, data: st.DataObject) -> None:
    """0.9 is 0.8999999761581421 to a 32-bit float: it must reach the target 0.9 all the same."""
    n = 10**digits
    right = data.draw(st.integers(0, n))
    printed = repr(float(np.float32(right) / np.float32(n)))
    assert columns.cell(printed, ours="val_acc", percent=False) == right / n


@given(st.floats(0, 1, width=32))
def test_the_shortest_decimal_is_the_same_32_bit_float(value: float) -> None:
    found = columns.cell(repr(value), ours="val_acc", percent=False)
    assert found is not None
    assert np.float32(found) == np.float32(value)
    assert abs(found - value) <= np.spacing(np.float32(value)) / 2


@given(st.integers(0, 9_999))
def test_a_decimal_that_no_32_bit_float_is_stays_as_written(right: int) -> None:
    for text in (f"0.{right:04d}", f"0.{right:04d}1234567"):
        assert columns.cell(text, ours="val_acc", percent=False) == float(text)
