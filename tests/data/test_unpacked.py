"""The cache: an archive is unpacked once, and damage is noticed, set aside and mended."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from cifar_files import assert_whole, load, put_archive

from fewepochs.data import archives
from fewepochs.errors import DataError


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def damage_entry(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "bit in the middle":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif how == "truncated":
        path.write_bytes(content[: len(content) // 3])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        arrays = dict(np.load(path, allow_pickle=False))
        if how == "other pixels":
            arrays["x_train"][5] ^= 1
        elif how == "other type":
            arrays["y_train"] = arrays["y_train"].astype(np.int32)
        elif how == "other labels":
            arrays["y_train"][:] = 0
        elif how == "no digest":
            del arrays["digest"]
        np.savez(path, **arrays)


@pytest.mark.parametrize(
    "how",
    ["bit in the middle", "truncated", "empty", "other pixels", "other type", "other labels", "no digest"],
)
def test_a_damaged_cache_entry_is_set_aside_and_made_again(how: str, tmp_path: Path) -> None:
    archive = put_archive(tmp_path / "given", "cifar10", "python")
    first = load("cifar10", archive)
    entry = tmp_path / "cache" / "cifar-10-python.npz"
    damage_entry(entry, how)
    damage = entry.read_bytes()
    said: list[str] = []
    assert load("cifar10", archive, said).digest == first.digest
    assert "cached copy is damaged" in said[0]
    assert entry.with_name(entry.name + ".bad").read_bytes() == damage
    assert load("cifar10").digest == first.digest

    damage_entry(entry, how)
    with pytest.raises(DataError, match="cached copy is damaged") as raised:
        load("cifar10")
    assert "fewepochs data fetch cifar10" in str(raised.value)
    assert not entry.exists()


def test_an_archive_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = put_archive(tmp_path / "given", "cifar10", "python")
    first = load("cifar10", archive)
    monkeypatch.setattr(archives, "read_archive", lambda *_, **__: pytest.fail("unpacked again"))
    assert load("cifar10", archive).digest == first.digest
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["cifar-10-python.npz"]


def test_a_cache_that_cannot_be_written_costs_a_sentence_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a file").write_text("x")
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path / "a file"))
    said: list[str] = []
    assert_whole(load("cifar10", put_archive(tmp_path / "given", "cifar10", "python"), said))
    assert "could not be written" in said[0]


def test_a_write_that_breaks_off_leaves_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, **_: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    said: list[str] = []
    assert_whole(load("cifar10", put_archive(tmp_path / "given", "cifar10", "python"), said))
    assert "No space left on device" in said[0]
    assert list((tmp_path / "cache").iterdir()) == []


def test_strays_of_killed_processes_are_swept_once_they_are_old(tmp_path: Path) -> None:
    strays = [tmp_path / "cache" / f"cifar-10-python.npz.{name}.part" for name in ("old", "new")]
    strays[0].parent.mkdir()
    for stray in strays:
        stray.write_bytes(b"half")
    os.utime(strays[0], (1, 1))
    load("cifar10", put_archive(tmp_path / "given", "cifar10", "python"))
    assert [stray.exists() for stray in strays] == [False, True]
