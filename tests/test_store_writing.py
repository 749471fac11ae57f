"""Writing a run folder: whole or not at all, and by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from fewepochs import disk, locks, store
from fewepochs.errors import StorageError
from fewepochs.records import EvaluationRecord
from recipe_samples import parse
from run_folders import ENVIRONMENT, contents, cost, epoch, make, status

# --- writing that fails -----------------------------------------------------------------------------------------


def test_a_file_where_a_folder_is_needed_is_a_storage_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"mine")
    for path in (file, file / "run", file / "a" / "b", Path("/proc/fewepochs/run")):
        with pytest.raises(StorageError, match=r"cannot be written: .*; choose another place"):
            make(path)
        with pytest.raises(StorageError, match="cannot be written"), store.hold(path):
            pass
        with pytest.raises(StorageError, match="cannot be written"):
            disk.write_whole(path / "x", b"")
    assert file.read_bytes() == b"mine"


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_failed_replacement_keeps_the_old_content_and_leaves_no_stray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, code: int
) -> None:
    target = tmp_path / "status.json"
    disk.write_whole(target, b"old")

    def fail(*_arguments: object, **_named: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        match failing:
            case "fsync":
                broken.setattr(os, "fsync", fail)
            case "replace":
                broken.setattr(Path, "replace", fail)
            case _:
                broken.setattr(Path, "open", fail)
        with pytest.raises(StorageError) as caught:
            disk.write_whole(target, b"new")
    need = rf"{os.strerror(code)}: needs 3 bytes" if code in (errno.ENOSPC, errno.EDQUOT) else os.strerror(code)
    free = r", [\d,.]+ (bytes|MB) free" if code == errno.ENOSPC else ""
    advice = "free space, or choose" if code in (errno.ENOSPC, errno.EDQUOT) else "choose"
    told = rf"{target}: cannot be written: {need}{free}; {advice} another place"
    assert re.fullmatch(told, str(caught.value))
    assert contents(tmp_path) == {"status.json": b"old"}


def test_a_reader_sees_the_old_or_the_new_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name holds one of the two at any time; the new one is on disk before it has the name."""
    target = tmp_path / "status.json"
    disk.write_whole(target, b"old")
    seen = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        seen.append((target.read_bytes(), os.path.isdir(f"/proc/self/fd/{descriptor}")))  # noqa: PTH112
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    disk.write_whole(target, b"new")
    assert seen == [(b"old", False), (b"new", True)]


@pytest.mark.parametrize("log", ["epochs.jsonl", "costs.jsonl"])
def test_an_epoch_that_cannot_be_appended_is_a_storage_error(tmp_path: Path, log: str) -> None:
    folder = make(tmp_path, epochs=1)
    (tmp_path / log).unlink()
    (tmp_path / log).mkdir()
    with pytest.raises(StorageError, match=f"{log}: cannot be written: Is a directory"):
        folder.append(epoch(2), cost(2))


def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (tmp_path / "costs.jsonl").symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"costs.jsonl: cannot be written: No space left on device"):
        folder.append(epoch(1), cost(1))
    assert not (tmp_path / "epochs.jsonl").exists()


def test_a_folder_becomes_a_run_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    write = disk.write_whole

    def noted(path: Path, content: bytes) -> None:
        order.append(path.name)
        write(path, content)

    monkeypatch.setattr(disk, "write_whole", noted)
    make(tmp_path)
    assert order == ["environment.json", "status.json", "recipe.toml"]


@pytest.mark.parametrize(
    "left", ["epochs.jsonl", "costs.jsonl", "evaluations.jsonl", "checkpoints/step-000000010.ckpt"]
)
def test_a_run_that_lost_its_recipe_is_not_begun_anew_upon_what_is_left(left: str, tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "recipe.toml").unlink()
    make(tmp_path)  # of a beginning that a crash broke off nothing is left that a run would go on with
    (tmp_path / "recipe.toml").unlink()
    (tmp_path / left).write_bytes(b"{}\n")
    before = contents(tmp_path)
    with pytest.raises(StorageError, match=r"left of a run without its recipe.toml \(.*\); nothing was changed"):
        make(tmp_path)
    assert contents(tmp_path) == before


# --- one writer -------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from fewepochs import store
with store.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold `path` until its stdin closes or it dies."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_with_process_and_host(tmp_path: Path) -> None:
    make(tmp_path / "run")
    with another_process(tmp_path / "run") as owner:
        expected = f"process {owner.pid} on {socket.gethostname()} is working on this run; wait for it, or stop it"
        with pytest.raises(StorageError, match=expected), store.hold(tmp_path / "run"):
            pass
        assert store.read(tmp_path / "run").epochs == ()  # reading needs no lock
        owner.communicate()
        with store.hold(tmp_path / "run"):
            pass


def test_the_lock_of_a_dead_owner_is_taken_over(tmp_path: Path) -> None:
    make(tmp_path / "run")
    with another_process(tmp_path / "run") as owner:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert f"process {owner.pid} on" in (tmp_path / "run" / "lock").read_text()
        with store.hold(tmp_path / "run"):
            assert f"process {os.getpid()} on" in (tmp_path / "run" / "lock").read_text()
    assert (tmp_path / "run" / "lock").read_bytes() == b""


def test_a_lock_ends_with_its_block_however_that_ends(tmp_path: Path) -> None:
    make(tmp_path)
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), store.hold(tmp_path):
            raise error
        with store.hold(tmp_path):
            pass


def test_a_full_disk_takes_the_name_of_the_owner_and_not_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("ftruncate", "pwrite"):
        monkeypatch.setattr(os, name, full)
    make(tmp_path)
    with (
        store.hold(tmp_path),
        pytest.raises(StorageError, match="another process is working on this run"),
        store.hold(tmp_path),
    ):
        pass
    assert not locks.is_held(tmp_path)


def test_a_lock_is_not_inherited(tmp_path: Path) -> None:
    make(tmp_path)
    with store.hold(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    with child:
        with store.hold(tmp_path):
            pass
        child.communicate()


def test_folders_in_which_nothing_was_begun_are_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "runs" / "new"
    with pytest.raises(ZeroDivisionError), store.hold(path):
        1 / len(contents(path)["lock"][:0])
    assert list(tmp_path.iterdir()) == []


def test_a_beginning_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = disk.write_whole

    def full(path: Path, content: bytes) -> None:
        if path.name == "recipe.toml":
            raise StorageError("full")
        write(path, content)

    monkeypatch.setattr(disk, "write_whole", full)
    with pytest.raises(StorageError, match="full"), store.hold(tmp_path / "runs" / "new"):
        make(tmp_path / "runs" / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays_and_so_does_another_run_beside(tmp_path: Path) -> None:
    make(tmp_path / "runs" / "other")
    with pytest.raises(ZeroDivisionError), store.hold(tmp_path / "runs" / "new"):
        raise ZeroDivisionError
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == ["other"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ZeroDivisionError), store.hold(tmp_path / "empty" / "new"):
        raise ZeroDivisionError
    assert (tmp_path / "empty").is_dir()


def test_what_the_user_put_into_a_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with store.hold(tmp_path):
        pass
    assert contents(tmp_path) == {"notes.txt": b"mine"}


def test_a_lock_that_was_taken_away_in_between_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner removes the file between another's open and flock: that lock would be seen by nobody else."""
    lock, real = tmp_path / "lock", fcntl.flock
    taken: list[Path] = []

    def flock(descriptor: int, operation: int) -> None:
        if not taken:
            taken.append(lock)
            lock.unlink()
        real(descriptor, operation)

    make(tmp_path)
    monkeypatch.setattr(fcntl, "flock", flock)
    with store.hold(tmp_path):
        monkeypatch.undo()
        with pytest.raises(StorageError, match="is working on this run"), store.hold(tmp_path):
            pass


@pytest.mark.parametrize("how", ["its lock is deleted", "it is moved", "it is begun anew"])
def test_a_folder_that_is_not_held_any_more_is_not_written_to(how: str, tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    evaluation = EvaluationRecord(step=1, epoch=1, val_loss=1.0, val_acc=0.1)
    with ExitStack() as others, store.hold(path) as held:
        make(path, epochs=2)
        folder = store.RunFolder(path, held=held)
        folder.append(epoch(3), cost(3))
        if how == "its lock is deleted":
            (path / locks.FILE).unlink()
        else:
            path.rename(elsewhere)
        if how == "it is begun anew":
            others.enter_context(another_process(path))
            make(path, epochs=1)
        before = contents(tmp_path)
        for write in (
            lambda: folder.append(epoch(4), cost(4)),
            lambda: folder.append_evaluation(evaluation),
            lambda: folder.keep(1),
            lambda: folder.write_status(status("finished", epochs=4)),
            lambda: folder.write_environment({}),
            lambda: folder.set_aside(path / store.EPOCHS),
            lambda: folder.require_space(1),
            folder.sweep,
            lambda: store.create(path, recipe=parse(), environment=ENVIRONMENT, status=status(), held=held),
        ):
            with pytest.raises(StorageError, match=r"taken away .* nothing more was written"):
                write()
        assert contents(tmp_path) == before


def test_who_lost_a_folder_leaves_the_lock_of_the_next_alone(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with ExitStack() as others:
        with store.hold(path):
            path.rename(tmp_path / "elsewhere")
            others.enter_context(another_process(path))
        assert locks.is_held(path)
