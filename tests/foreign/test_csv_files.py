"""CSV of every make: what is read, what is left out with a note, what is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import log_files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewepochs.errors import DataError
from fewepochs.foreign import csv_files, files
from fewepochs.records import ForeignEpoch

KERAS = "epoch,accuracy,loss,val_accuracy,val_loss\r\n0,0.5,2.0,0.4,2.1\r\n1,0.6,1.5,0.5,1.75\r\n"
EPOCHS = (
    ForeignEpoch(epoch=1, loss=2.0, acc=0.5, val_loss=2.1, val_acc=0.4),
    ForeignEpoch(epoch=2, loss=1.5, acc=0.6, val_loss=1.75, val_acc=0.5),
)


def _read(path: Path, text: str, encoding: str = "utf-8") -> files.Curve:
    (found,) = files.read(log_files.write(path / "log.csv", text, encoding=encoding))
    return found


def _refusal(path: Path, text: str) -> str:
    with pytest.raises(DataError) as refused:
        _read(path, text)
    return str(refused.value)


# --- one curve, many ways to write it -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        KERAS,
        KERAS.replace("\r\n", "\n"),
        KERAS.replace("\r\n", "\r"),
        "\ufeff" + KERAS,
        KERAS + "\r\n\r\n",
        KERAS.replace(",", ";"),
        KERAS.replace(",", "\t"),
        KERAS.replace(",", ";").replace(".", ","),
        KERAS.replace(",", ", "),
        KERAS.replace("epoch", '"epoch"'),
        KERAS.replace("accuracy", "acc"),
    ],
    ids=["CRLF", "LF", "CR", "BOM", "empty lines", "semicolons", "tabs", "decimal commas", "blanks", "quoted", "acc"],
)
def test_however_it_is_written_it_is_the_same_curve(tmp_path: Path, text: str) -> None:
    found = _read(tmp_path, text)
    assert (found.kind, found.epochs, found.notes) == ("keras-csv", EPOCHS, ())


def test_a_file_in_utf_16_as_spreadsheets_write_it_is_read(tmp_path: Path) -> None:
    assert _read(tmp_path, KERAS, encoding="utf-16").epochs == EPOCHS


def test_epochs_counted_from_1_or_not_at_all_are_the_same_curve(tmp_path: Path) -> None:
    from_one = "epoch,acc,loss,val_acc,val_loss\n1,0.5,2.0,0.4,2.1\n2,0.6,1.5,0.5,1.75\n"
    uncounted = "acc,loss,val_acc,val_loss\n0.5,2.0,0.4,2.1\n0.6,1.5,0.5,1.75\n"
    for text in (from_one, uncounted):
        found = _read(tmp_path, text)
        assert (found.kind, found.epochs, found.notes) == ("csv", EPOCHS, ())


def test_a_plain_file_that_counts_from_0_is_told_about(tmp_path: Path) -> None:
    found = _read(tmp_path, "epoch,val_loss,val_acc,time\n0,2.1,0.4,9\n1,1.75,0.5,9\n")
    assert found.kind == "csv"
    assert found.notes == ("it counts epochs from 0: its epoch 0 is our epoch 1",)
    assert [record.epoch for record in found.epochs] == [1, 2]


def test_keras_s_own_logs_are_known_by_their_columns() -> None:
    def is_keras(text: str) -> bool:
        return csv_files.is_keras(csv_files.parse(text.encode(), source="x"))

    assert is_keras(KERAS)
    assert is_keras("epoch,accuracy,loss,val_accuracy,val_loss\n")  # killed in the first epoch
    assert not is_keras(KERAS.replace("\r\n0,", "\r\n1,"))
    assert not is_keras("epoch,loss,accuracy,val_accuracy\n0,2,0.5,0.4\n")
    assert is_keras((log_files.GOLDENS / "unvalidated.csv").read_text())
    assert is_keras((log_files.GOLDENS / "every-second.csv").read_text())
    assert not is_keras("accuracy,epoch\n0.5,0\n")


def test_a_kind_that_is_given_is_not_guessed(tmp_path: Path) -> None:
    path = log_files.write(tmp_path / "log.csv", KERAS.replace("\r\n0,", "\r\n1,").replace("\r\n1,0.6", "\r\n2,0.6"))
    assert files.read(path, kind="csv")[0].epochs == EPOCHS
    with pytest.raises(DataError, match="begins with epoch 1, not 0"):
        files.read(path, kind="keras-csv")


# --- the last line ------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(cut=st.integers(1, len("1,0.6,1.5,0.5,1.75\r\n") - 1))
def test_a_line_of_keras_that_was_being_written_does_not_count(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    found = _read(tmp_path_factory.mktemp("cut"), KERAS[:-cut])
    if cut == 1:  # only the last character of the line's end is missing
        assert (found.epochs, found.notes) == (EPOCHS, ())
    else:
        assert (found.epochs, found.notes) == (EPOCHS[:1], ("line 3 is cut off: left out",))


def test_a_plain_file_may_end_without_a_line_s_end(tmp_path: Path) -> None:
    found = _read(tmp_path, "epoch,val_acc\n1,0.4\n2,0.5")
    assert [record.val_acc for record in found.epochs] == [0.4, 0.5]
    cut = _read(tmp_path, "epoch,val_acc\n1,0.4\n2")
    assert ([record.val_acc for record in cut.epochs], cut.notes) == ([0.4], ("line 3 is cut off: left out",))


# --- refused ------------------------------------------------------------------------------------------------------


def test_everything_wrong_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    told = _refusal(tmp_path, "epoch,val_acc,loss\n1,0.4,x\n2,43.0,1.0\n3,0.5,y\n")
    assert told.splitlines()[0].endswith("log.csv: 3 problems")
    assert [line.split(":")[0].strip() for line in told.splitlines()[1:]] == ["line 2", "line 3", "line 4"]
    assert "--percent" in told


def test_of_many_problems_ten_are_told_and_the_rest_counted(tmp_path: Path) -> None:
    told = _refusal(tmp_path, "val_acc\n" + "x\n" * 25)
    assert len(told.splitlines()) == 12
    assert told.splitlines()[0].endswith("25 problems")
    assert told.splitlines()[-1].strip() == "and 15 problems more"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("epoch,val_acc\n", "no epoch in it"),
        ("epoch,val_acc,val_acc\n1,0.4,0.5\n", "several columns are called val_acc"),
        ("epoch,val_acc\n1,0.4,0.5\n", "line 2: 3 cells under 2 names"),
        ("epoch,val_acc\n1,0.4\nepoch,val_acc\n1,0.5\n", "line 3: the names once more"),
        ("epoch,val_acc\n1,0.4\n1,0.5\n", "line 3: epoch 1 a second time"),
        ("epoch,val_acc\n1,0.4\n2,0.5\n1,0.4\n", "line 4: epoch 1 after epoch 2: training was started again"),
        ("epoch,val_acc\n1,0.4\n3,0.5\n", "line 3: epoch 3 after epoch 1: what lies between is missing"),
        ("epoch,val_acc\n2,0.4\n", "line 2: begins with epoch 2, not 0 or 1"),
        ("epoch,val_acc\nNA,0.4\n", "line 2: no epoch"),
        ("epoch,val_acc\n1,0.4\n2,NA\n", "line 3: no validation accuracy (1 of 2 epochs have none)"),
        ('epoch,val_acc\n1,"0,93"\n', "line 2: val_acc is not a number"),
        ("epoch,val_acc\n1,nan\n", "line 2: val_acc is not finite"),
        ("just some text\nof no use\n", "no column is called like a validation accuracy"),
        ("val_acc\n0.5\0\n", "not a text file"),
        ('val_acc\n"' + "9" * 200_000, "not CSV"),
    ],
)
def test_what_is_no_curve_is_refused_with_the_reason(tmp_path: Path, text: str, told: str) -> None:
    assert told in _refusal(tmp_path, text)


def test_what_is_no_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    binary = tmp_path / "binary.csv"
    binary.write_bytes(bytes(range(128, 256)))
    for path, kind, told in (
        (tmp_path / "absent.csv", None, "no such file"),
        (tmp_path, "csv", "a folder, not a CSV file"),
        (tmp_path / ("n" * 300), None, "cannot be read"),
        (binary, None, "not a text file"),
    ):
        with pytest.raises(DataError, match=told):
            files.read(path, kind=kind)  # type: ignore[arg-type]


def test_a_file_of_any_size_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_CSV_BYTES", len(KERAS) - 1)
    assert "larger than" in _refusal(tmp_path, KERAS)
    monkeypatch.setattr(files, "MAX_CSV_BYTES", len(KERAS))
    assert _read(tmp_path, KERAS).epochs == EPOCHS


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text("epoch,val_c\n\r0.15;\t\"'-naN", max_size=80).map(str.encode))
def test_no_file_ends_in_anything_but_a_curve_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    try:
        (found,) = files.read(path)
    except DataError:
        return
    assert [record.epoch for record in found.epochs] == list(range(1, len(found.epochs) + 1))


# --- several runs in one file, losses without end -----------------------------------------------------------------


def test_runs_of_one_file_are_told_apart_by_a_column(tmp_path: Path) -> None:
    path = log_files.write(tmp_path / "all.csv", "run,epoch,val_acc\nb,1,0.4\na,1,0.6\nb,2,0.5\na,2,0.7\n")
    found = files.read(path, run_column="run")
    assert [curve.part for curve in found] == ["b", "a"]
    assert [[record.val_acc for record in curve.epochs] for curve in found] == [[0.4, 0.5], [0.6, 0.7]]
    assert len({curve.sha256 for curve in found}) == 1
    with pytest.raises(DataError, match="no column fold; it has run, epoch, val_acc"):
        files.read(path, run_column="fold")


def test_a_loss_that_comes_back_is_told_and_one_that_does_not_is_the_end(tmp_path: Path) -> None:
    rows = ["1,0.4,1.0", "2,0.4,nan", "3,0.4,1.0", "4,0.4,inf", "5,0.4,nan"]
    found = _read(tmp_path, "\n".join(["epoch,val_acc,loss", *rows]))
    assert found.not_finite == 4
    assert found.notes == ("its loss is not finite in epoch 2, and finite again later",)
    assert [record.loss for record in found.epochs] == [1.0, None, 1.0, None, None]
    back = _read(tmp_path, "\n".join(["epoch,val_acc,loss", *rows[:3]]))
    assert (back.not_finite, len(back.notes)) == (None, 1)


def test_a_file_is_remembered_by_its_content(tmp_path: Path) -> None:
    here, there = _read(tmp_path, KERAS), files.read(log_files.write(tmp_path / "other.csv", KERAS))[0]
    assert here.sha256 == there.sha256
    assert (here.file, there.file) == ("log.csv", "other.csv")
    assert _read(tmp_path, KERAS + "2,0.6,1.5,0.5,1.75\r\n").sha256 != here.sha256
