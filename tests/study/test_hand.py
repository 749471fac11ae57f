"""What travels between a study and the node that trains a cell."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import run_folders
from fewepochs import disk, store
from fewepochs.study import hand


def test_a_folder_that_went_there_and_back_is_the_same(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "here", epochs=3)
    (folder.checkpoints / "step-30.ckpt").write_bytes(b"weights")
    hand.unpack(tmp_path / "there", hand.pack(folder.path))
    assert run_folders.contents(tmp_path / "there") == run_folders.contents(folder.path)
    assert store.read(tmp_path / "there").epochs == store.read(folder.path).epochs


def test_a_look_brings_only_what_changed(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", epochs=1)
    (folder.checkpoints / "step-10.ckpt").write_bytes(b"ten")
    watch = hand.Watch(folder.path)
    watch.know()
    assert watch.look() == ({}, ())
    folder.append(run_folders.epoch(2), run_folders.cost(2))
    (folder.checkpoints / "step-20.ckpt").write_bytes(b"twenty")
    (folder.checkpoints / "step-10.ckpt").unlink()
    changed, gone = watch.look()
    assert set(changed) == {store.EPOCHS, store.COSTS, "checkpoints/step-20.ckpt"}
    assert gone == ("checkpoints/step-10.ckpt",)
    assert watch.look() == ({}, ())


def test_what_is_gone_there_goes_here_too(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run")
    for name in ("step-10.ckpt", "step-20.ckpt"):
        (folder.checkpoints / name).write_bytes(b"")
    hand.unpack(folder.path, {}, gone=("checkpoints/step-10.ckpt", "checkpoints/step-10.ckpt"))
    assert [file.name for file in folder.checkpoints.iterdir()] == ["step-20.ckpt"]


def test_a_look_is_read_in_an_order_that_a_writer_cannot_spoil(tmp_path: Path) -> None:
    """What is read earlier promises what is read later: see the module's caption."""
    folder = run_folders.make(tmp_path / "run", epochs=1)
    (folder.checkpoints / "step-10.ckpt").write_bytes(b"")
    order = list(hand.pack(folder.path))
    promises = [store.STATUS, "checkpoints/step-10.ckpt", store.EPOCHS, store.COSTS]
    assert [name for name in order if name in promises] == promises


def test_a_line_that_is_being_written_waits_for_the_next_look(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", epochs=1)
    whole = (folder.path / store.EPOCHS).read_bytes()
    with (folder.path / store.EPOCHS).open("ab") as log:
        log.write(b'{"epoch":2')
    assert hand.pack(folder.path)[store.EPOCHS] == whole


def test_a_crash_while_unpacking_leaves_a_folder_that_can_be_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was written last, there is no checkpoint ahead of its log and no end without its last state."""
    old = run_folders.make(tmp_path / "old", epochs=1)
    (old.checkpoints / "step-10.ckpt").write_bytes(b"1")
    new = run_folders.make(tmp_path / "new", epochs=2)
    (new.checkpoints / "step-20.ckpt").write_bytes(b"2")
    new.write_status(run_folders.status("finished", epochs=2))
    files, real, whole = hand.pack(new.path), disk.write_whole, set[str]()

    for survive in range(len(files)):
        path = tmp_path / f"crash-{survive}"
        shutil.copytree(old.path, path)
        left = iter(range(survive))

        def write(file: Path, content: bytes, left: object = left) -> None:
            if next(left, None) is None:  # type: ignore[call-overload]
                raise KeyboardInterrupt
            real(file, content)

        monkeypatch.setattr(disk, "write_whole", write)
        with pytest.raises(KeyboardInterrupt):
            hand.unpack(path, files)
        found = store.read(path)
        ahead = (path / "checkpoints/step-20.ckpt").exists()
        assert len(found.costs) == len(found.epochs)
        assert not ahead or len(found.epochs) == 2
        assert found.status.state != "finished" or ahead
        whole.add(found.status.state)
    assert whole == {"running", "finished"}


def test_a_new_folder_is_a_run_only_when_all_of_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = hand.pack(run_folders.make(tmp_path / "run", epochs=1).path)
    written: list[str] = []
    monkeypatch.setattr(disk, "write_whole", lambda path, content: written.append(path.name))
    hand.unpack(tmp_path / "other", files)
    assert written[-1] == store.RECIPE


def test_what_a_crash_has_left_of_a_folder_that_is_no_run_yet_is_not_sent(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", epochs=1)
    (folder.path / store.RECIPE).unlink()
    assert hand.pack(folder.path) == {}


@pytest.mark.parametrize("name", ["../../canary", "checkpoints/../../canary", "/canary.ckpt", "notes.txt"])
def test_names_that_are_no_file_of_a_run_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no file of a run folder"):
        hand.unpack(tmp_path / "a" / "b", {name: b""})
    with pytest.raises(ValueError, match="no file of a run folder"):
        hand.unpack(tmp_path / "a" / "b", {}, gone=(name,))
    assert not list(tmp_path.rglob("canary*"))


def test_versions_name_the_source(tmp_path: Path) -> None:
    assert hand.versions() == hand.versions()
    assert set(hand.versions()) >= {"fewepochs", "source of fewepochs", "torch", "python"}
