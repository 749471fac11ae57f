"""Run folders: append-only, never overwritten, readable without torch.

    runs/<recipe-name>-s<seed>-<digest8>/
      recipe.toml        the resolved recipe; training on it repeats the run
      environment.json   versions, device, threads, data digest, command; what is unknown is null
      epochs.jsonl       one EpochRecord a line          costs.jsonl   one CostRecord a line
      status.json        where the run stands, crossings so far, heartbeat
      checkpoints/       written by the training side

A line is appended, flushed and fsynced before the run goes on; `recipe.toml`, `status.json` and `environment.json` are
written whole to a temporary name, fsynced and renamed. A process that writes holds a lock that the system takes
back when the process dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from fewepochs import recipe as recipes
from fewepochs.errors import CheckpointError, RecipeError, StorageError
from fewepochs.records import CostRecord, EpochRecord, Record, RunStatus

R = TypeVar("R", EpochRecord, CostRecord)

RECIPE, STATUS, ENVIRONMENT = "recipe.toml", "status.json", "environment.json"
EPOCHS, COSTS, CHECKPOINTS, LOCK = "epochs.jsonl", "costs.jsonl", "checkpoints", "lock"


@dataclass(frozen=True)
class StoredRun:
    """A run folder, read: `epochs` and `costs` in order, one each for every epoch done."""

    path: Path
    recipe: recipes.Recipe
    status: RunStatus
    epochs: tuple[EpochRecord, ...]
    costs: tuple[CostRecord, ...]
    environment: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The folder's name, `<recipe-name>-s<seed>-<digest8>`."""
        return self.path.name


def run_name(recipe: recipes.Recipe) -> str:
    """Return the folder name of `recipe`: its name, seed, and the first eight digits of its digest."""
    return f"{recipe.name}-s{recipe.seed}-{recipes.digest(recipe)[:8]}"


# --- reading ----------------------------------------------------------------------------------------------------


def read(path: Path) -> StoredRun:
    """Return the run in the folder `path`.

    Raises StorageError where the folder is not a run or cannot be read, CheckpointError where its log is
    damaged before the last line.
    """
    if not is_run(path):
        raise StorageError(f"{path}: not a run folder (no {RECIPE}); runs lie in the folder given with --out")
    try:
        recipe = recipes.load(str(path / RECIPE))
        status = RunStatus.model_validate_json((path / STATUS).read_bytes())
        environment = json.loads((path / ENVIRONMENT).read_bytes())
        if not isinstance(environment, dict):
            raise ValueError(f"{ENVIRONMENT} is not a JSON object")
        epochs = _read_lines(path / EPOCHS, EpochRecord)
        costs = _read_lines(path / COSTS, CostRecord)
    except (OSError, ValueError, RecursionError, RecipeError) as error:
        raise StorageError(f"{path}: the run folder is damaged or incomplete: {error}") from None
    return StoredRun(path, recipe, status, epochs, costs[: len(epochs)], environment)


def is_run(path: Path) -> bool:
    """Return whether the folder `path` holds a run. Raises StorageError where that cannot be seen."""
    try:
        return (path / RECIPE).is_file()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from None


def find(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the run folders among `paths`, in that order, and those directly inside them by name; each once."""
    found: dict[Path, None] = {}
    for path in paths:
        if is_run(path):
            found[path.resolve()] = None
        elif path.is_dir():
            found.update((entry.parent.resolve(), None) for entry in sorted(path.glob(f"*/{RECIPE}")))
        else:
            raise StorageError(f"{path}: no such run folder")
    if not found:
        raise StorageError(f"no run folders in {', '.join(map(str, paths))}")
    return tuple(found)


def _read_lines(path: Path, kind: type[R]) -> tuple[R, ...]:
    """Read a log; a torn last line (no newline, or not a record) does not count, a torn middle line is an error.

    Line n is of epoch n: a line that is missing or stands twice is damage, too.
    """
    lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    lines.pop()  # after the last newline: nothing, or a line that was being written
    records: list[R] = []
    for number, line in enumerate(lines, start=1):
        try:
            record = kind.model_validate_json(line)
            if record.epoch != number:
                raise ValueError(f"epoch {record.epoch} in line {number}")
            records.append(record)
        except ValueError:
            if number == len(lines):
                break
            raise CheckpointError(
                f"{path}, line {number}: damaged. Nothing was changed. Restore the file, or delete the run folder "
                "and train again."
            ) from None
    return tuple(records)


# --- writing ----------------------------------------------------------------------------------------------------


class RunFolder:
    """A run folder held for writing; made by `create` or `reopen`, inside `hold`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / CHECKPOINTS

    def append(self, epoch: EpochRecord, cost: CostRecord) -> None:
        """Append one epoch, on disk when this returns: its cost first, so that a logged epoch has its cost."""
        _append(self.path / COSTS, cost)
        _append(self.path / EPOCHS, epoch)

    def keep(self, epochs: int) -> None:
        """Cut both logs back to the first `epochs` records: what a resumed run will write again."""
        _rewrite(self.path / EPOCHS, _read_lines(self.path / EPOCHS, EpochRecord)[:epochs])
        _rewrite(self.path / COSTS, _read_lines(self.path / COSTS, CostRecord)[:epochs])

    def write_status(self, status: RunStatus) -> None:
        """Replace status.json."""
        write_whole(self.path / STATUS, (status.model_dump_json(indent=2) + "\n").encode())

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Replace environment.json."""
        text = json.dumps(environment, indent=2, sort_keys=True) + "\n"
        write_whole(self.path / ENVIRONMENT, text.encode())


def create(path: Path, *, recipe: recipes.Recipe, environment: Mapping[str, Any], status: RunStatus) -> RunFolder:
    """Fill the folder `path` for a run that starts. `recipe.toml` comes last: a folder that has it is a run."""
    folder = RunFolder(path)
    _make(folder.checkpoints)
    folder.write_environment(environment)
    folder.write_status(status)
    write_whole(path / RECIPE, recipes.to_toml(recipe).encode())
    return folder


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the run folder `path` (made if absent) for this process; raises StorageError where another one does.

    A folder in which no run was begun is taken away again.
    """
    descriptor = _lock(path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.ftruncate(descriptor, 0)
        if not is_run(path):
            with suppress(OSError):
                (path / LOCK).unlink()
                path.rmdir()
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Return the descriptor of the folder's lock, locked by this process."""
    lock = path / LOCK
    for _ in range(10):
        _make(path)
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _unwritable(lock, error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise StorageError(f"{path}: {owner} is working on this run; wait for it, or stop it") from None
        except OSError as error:  # a file system without locks
            os.close(descriptor)
            raise _unwritable(lock, error) from None
        # Between open and flock the former owner may have taken the file away: a lock that no one else would see.
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        os.close(descriptor)
    raise StorageError(f"{lock}: cannot be held: it changes under every attempt")


def now() -> str:
    """Return the time for a status's heartbeat: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file `path` so that a reader, or a crash, sees the old or the new content and no mixture."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise _unwritable(path, error) from None


def _append(path: Path, record: Record) -> None:
    line = record.model_dump_json().encode() + b"\n"
    try:
        with path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(path, error) from None


def _rewrite(path: Path, records: Sequence[Record]) -> None:
    write_whole(path, b"".join(record.model_dump_json().encode() + b"\n" for record in records))


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: cannot be written: {error.strerror or error}; free space, or choose another place")
