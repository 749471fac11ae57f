"""What is wrong with a source is said, and nothing of the user's is touched."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from cifar_files import PUBLISHED, assert_whole, load, put_archive, put_folder

from fewepochs import disk
from fewepochs.data import sources
from fewepochs.errors import DataError


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def test_a_kind_that_does_not_exist_and_npz_without_a_file_are_errors() -> None:
    with pytest.raises(DataError, match="'imagenet' is not a data set; there are cifar10, cifar100, digits and npz"):
        sources.load("imagenet")
    with pytest.raises(DataError, match=r"--data FILE\.npz"):
        sources.load("npz")


def damaged(kind: str, how: str) -> tuple[bytes, str]:
    """Return an archive with something wrong and what the message must say."""
    data = PUBLISHED[kind][1]["python"]
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 4
    return {
        "truncated": (data[: len(data) // 2], "It was cut off"),
        "one bit flipped": (bytes(flipped), "It was changed or damaged"),
        "a page": (b"<!DOCTYPE html><html>404</html>", "It looks like a web page"),
        "empty": (b"", "It is empty"),
        "something else": (b"PK\x03\x04" * 99, "It is not a gzip file"),
        "packed anew": (data + b"\0", "unpack it and name the folder"),
    }[how]


HOW = ["truncated", "one bit flipped", "a page", "empty", "something else", "packed anew"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("parent", [False, True])
def test_a_damaged_archive_of_the_user_is_refused_and_left_alone(how: str, parent: bool, tmp_path: Path) -> None:
    data, hint = damaged("cifar10", how)
    path = tmp_path / "given" / "cifar-10-python.tar.gz"
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(DataError) as raised:
        load("cifar10", path.parent if parent else path)
    message = str(raised.value)
    assert hint in message
    assert str(path) in message
    assert "fewepochs data fetch cifar10" in message
    assert PUBLISHED["cifar10"][0].layouts[0].archive.sha256 in message
    assert [(entry.name, entry.read_bytes()) for entry in path.parent.iterdir()] == [(path.name, data)]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("how", HOW)
def test_a_damaged_archive_in_the_own_cache_is_kept_as_bad(how: str, tmp_path: Path) -> None:
    path = put_archive(tmp_path / "cache", "cifar10", "python")
    data, _ = damaged("cifar10", how)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"renamed to cifar-10-python\.tar\.gz\.bad"):
        load("cifar10")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name + ".bad"]
    assert disk.bad(path).read_bytes() == data


def test_an_archive_of_the_other_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is the published archive of cifar100, not of cifar10"):
        load("cifar10", put_archive(tmp_path, "cifar100", "binary"))


def test_a_damaged_find_is_passed_over_for_a_whole_one_and_said(tmp_path: Path) -> None:
    put_folder(tmp_path / "keras" / "datasets", "cifar10", "python")
    (put_archive(tmp_path / "cache", "cifar10", "python")).write_bytes(b"<html>")
    said: list[str] = []
    assert_whole(load("cifar10", said=said))
    assert len(said) == 1
    assert "web page" in said[0]


def break_folder(folder: Path, how: str) -> None:
    first = folder / "data_batch_1.bin"
    content = bytearray(first.read_bytes())
    if how == "missing":
        first.unlink()
    elif how == "short":
        first.write_bytes(content[:-1])
    elif how == "long":
        first.write_bytes(content + b"\0")
    elif how == "label":
        content[0] = 10
        first.write_bytes(content)
    elif how == "counts":
        content[0] = (content[0] + 1) % 10
        first.write_bytes(content)
    elif how == "copied":
        first.write_bytes((folder / "data_batch_2.bin").read_bytes())
    elif how == "folder":
        first.unlink()
        first.mkdir()
    elif how == "pipe":
        first.unlink()
        os.mkfifo(first)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "data_batch_1.bin is missing; the folder is not complete"),
        ("short", "61,459 bytes; 20 images are 61,460 bytes"),
        ("long", "more than 61,460 bytes"),
        ("label", "label outside 0..9"),
        ("counts", "images of class"),
        ("copied", "images of class"),
        ("folder", "is not a plain file"),
        ("pipe", "is not a plain file"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(how: str, message: str, tmp_path: Path) -> None:
    folder = put_folder(tmp_path, "cifar10", "binary")
    break_folder(folder, how)
    with pytest.raises(DataError) as raised:
        load("cifar10", folder)
    assert message in str(raised.value)
    assert str(folder) in str(raised.value)


def test_a_giant_file_in_a_folder_is_refused_in_little_memory(tmp_path: Path) -> None:
    folder = put_folder(tmp_path, "cifar10", "binary")
    os.truncate(folder / "test_batch.bin", 1 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more than 61,460 bytes"):
            load("cifar10", folder)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_paths_that_cannot_be_read_are_data_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load("cifar10", tmp_path / "nothing")
    for where in (Path("a\0b"), tmp_path / ("x" * 300), tmp_path / "nothing" / ".." / "nothing"):
        with pytest.raises(DataError):
            load("cifar10", where)
        with pytest.raises(DataError):
            load("npz", where)
        assert sources.available(where)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a plain file"):
        load("cifar10", tmp_path / "pipe")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    folder = put_folder(tmp_path, "cifar10", "binary")
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(DataError, match="Permission denied"):
        load("cifar10", folder)
    with pytest.raises(DataError, match="Permission denied"):
        load("cifar10", folder / "test_batch.bin")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_a_data_error(tmp_path: Path) -> None:
    folder = put_folder(tmp_path, "cifar10", "binary")
    folder.chmod(0)
    try:
        with pytest.raises(DataError, match="Permission denied"):
            load("cifar10", folder)
    finally:
        folder.chmod(0o700)
