"""Run folders: append-only, never overwritten, readable without torch.

    runs/<recipe-name>-s<seed>-<digest8>/
      recipe.toml        the resolved recipe; training on it repeats the run
                         (of an imported run: foreign.toml, what is said of it; no costs, no checkpoints)
      environment.json   versions, device, threads, data digest, command; what is unknown is null
      epochs.jsonl       one EpochRecord a line          costs.jsonl   one CostRecord a line
      evaluations.jsonl  one EvaluationRecord a line, of a run that was evaluated within its epochs, too
      status.json        where the run stands, crossings so far, heartbeat
      checkpoints/       written by the training side

A line is appended, flushed and fsynced before the run goes on; `recipe.toml`, `status.json` and `environment.json` are
written whole to a temporary name, fsynced and renamed. A process that writes holds the folder (see `locks`).
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fewepochs import disk, locks, logs
from fewepochs import recipe as recipes
from fewepochs.errors import RecipeError, StorageError
from fewepochs.foreign import run as foreign_runs
from fewepochs.records import (
    CostRecord,
    Epoch,
    EpochRecord,
    EvaluationRecord,
    ForeignEpoch,
    Record,
    RunState,
    RunStatus,
)

FOREIGN = "foreign.toml"
RECIPE, STATUS, ENVIRONMENT = "recipe.toml", "status.json", "environment.json"
EPOCHS, COSTS, CHECKPOINTS = "epochs.jsonl", "costs.jsonl", "checkpoints"
EVALUATIONS = "evaluations.jsonl"
MOST_BYTES = 1 << 24
"""The largest status or environment that is read."""


@dataclass(frozen=True)
class StoredRun:
    """A run folder, read: `epochs` and `costs` in order, one each for every epoch done; a foreign run has no costs.

    `evaluations` are those on request, also of the epoch in progress; most runs have none.
    """

    path: Path
    recipe: foreign_runs.Origin
    status: RunStatus
    epochs: tuple[Epoch, ...]
    costs: tuple[CostRecord, ...]
    environment: Mapping[str, Any]
    evaluations: tuple[EvaluationRecord, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name, `<recipe-name>-s<seed>-<digest8>`."""
        return self.path.name

    @functools.cached_property
    def digest(self) -> str:
        """The identity of what was run, seed included."""
        return foreign_runs.digest(self.recipe)

    @functools.cached_property
    def digest_without_seeds(self) -> str:
        """The identity of what was run, alike in all its repetitions."""
        return foreign_runs.digest(foreign_runs.unseeded(self.recipe))

    @property
    def state(self) -> RunState:
        """Where it stands now, which its status cannot say of a process that was killed: see `standing`."""
        return standing(self.status)

    @property
    def own_epochs(self) -> tuple[EpochRecord, ...]:
        """The epochs that were trained here: all of them, or none of a foreign run."""
        return tuple(record for record in self.epochs if isinstance(record, EpochRecord))


def standing(status: RunStatus) -> RunState:
    """Return the state of a run: one that says it is running has crashed where its process, on this host, is gone.

    The lock would tell it, too, but asking for a lock holds it for a moment: training could stumble over that.
    """
    if status.state != "running" or status.pid is None or status.host != socket.gethostname():
        return status.state
    try:
        os.kill(status.pid, 0)
    except ProcessLookupError:
        return "crashed"
    except OSError:  # another user's
        pass
    return "running"


def run_name(origin: foreign_runs.Origin) -> str:
    """Return the folder name of a run of `origin`: its name, seed, and the first eight digits of its digest."""
    return f"{origin.name}-s{origin.seed}-{foreign_runs.digest(origin)[:8]}"


def trained(run: StoredRun) -> recipes.Recipe:
    """Return the recipe by which `run` was trained here. Raises StorageError for an imported one: it has none."""
    if isinstance(run.recipe, foreign_runs.Foreign):
        raise StorageError(
            f"{run.path}: imported from {run.recipe.source.file}, trained by another tool: there is no recipe or "
            "checkpoint here to train with; it can be shown, compared and reported"
        )
    return run.recipe


# --- reading ----------------------------------------------------------------------------------------------------


def read(path: Path) -> StoredRun:
    """Return the run in the folder `path`.

    Raises StorageError where the folder is not a run or cannot be read, CheckpointError where its log is
    damaged before the last line.
    """
    if not is_run(path):
        raise StorageError(f"{path}: not a run folder (no {RECIPE}); runs lie in the folder given with --out")
    try:
        foreign = not (path / RECIPE).is_file()
        recipe = (
            foreign_runs.load(path / FOREIGN)
            if foreign
            else recipes.parse(recipes.read_file(str(path / RECIPE)), source=str(path / RECIPE))
        )
        with _naming(STATUS):
            status = RunStatus.model_validate_json(disk.read_plain(path / STATUS, most_bytes=MOST_BYTES))
        with _naming(ENVIRONMENT):
            environment = json.loads(disk.read_plain(path / ENVIRONMENT, most_bytes=MOST_BYTES))
            if not isinstance(environment, dict):
                raise ValueError("not an object")
        epochs = logs.read(path / EPOCHS, ForeignEpoch) if foreign else logs.read(path / EPOCHS, EpochRecord)
        costs = () if foreign else logs.read(path / COSTS, CostRecord)
        evaluations = () if foreign else logs.read(path / EVALUATIONS, EvaluationRecord)
    except (OSError, ValueError, RecursionError, RecipeError) as error:
        raise StorageError(
            f"{path}: the run folder is damaged or incomplete: {error}. Restore the file; or move the folder away to "
            "look at the others"
        ) from None
    return StoredRun(path, recipe, status, epochs, costs[: len(epochs)], environment, evaluations)


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Say of which file something is wrong, in words of ours."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{file} is missing") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{file} is not what a run writes") from None


def copy_order(run: StoredRun) -> tuple[int, int, str]:
    """Return what copies (runs of one recipe and seed) are put in order by: first who got furthest, then by paths.

    The first says all that its copies know.
    """
    return -len(run.epochs), -len(run.evaluations), str(run.path)


def is_run(path: Path) -> bool:
    """Return whether the folder `path` holds a run. Raises StorageError where that cannot be seen."""
    try:
        return (path / RECIPE).is_file() or (path / FOREIGN).is_file()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from None


def find(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the run folders among `paths`, in that order, and those directly inside them by name; each once."""
    found: dict[Path, None] = {}
    for path in paths:
        if is_run(path):
            found[path.resolve()] = None
        elif path.is_dir():
            entries = {entry.parent for name in (RECIPE, FOREIGN) for entry in path.glob(f"*/{name}")}
            found.update((entry.resolve(), None) for entry in sorted(entries))
        elif path.exists():
            raise StorageError(f"{path}: a file, not a run folder; a study's runs lie in a folder of its name")
        else:
            raise StorageError(f"{path}: no such run folder")
    if not found:
        raise StorageError(f"no run folders in {', '.join(map(str, paths))}")
    return tuple(found)


# --- writing ----------------------------------------------------------------------------------------------------


class RunFolder:
    """A run folder that is written to; one that is `held` refuses to be once it is not any more."""

    def __init__(self, path: Path, *, held: locks.Held | None = None) -> None:
        self.path = path
        self.checkpoints = path / CHECKPOINTS
        self._held = held

    def require_held(self) -> None:
        """Raise StorageError where the folder is not this process's any more."""
        if self._held is not None:
            self._held.require()

    def append(self, epoch: EpochRecord, cost: CostRecord) -> None:
        """Append one epoch, on disk when this returns: its cost first, so that a logged epoch has its cost."""
        self.require_held()
        _append(self.path / COSTS, cost)
        _append(self.path / EPOCHS, epoch)

    def append_evaluation(self, evaluation: EvaluationRecord) -> None:
        """Append an evaluation on request, on disk when this returns."""
        self.require_held()
        _append(self.path / EVALUATIONS, evaluation)

    def require_space(self, need_bytes: int) -> None:
        """Raise StorageError unless there is room for so many bytes of checkpoints, what they take now included."""
        self.require_held()
        disk.make_folder(self.path)
        taken = sum(file.stat().st_size for file in self.checkpoints.glob("*") if file.is_file())
        free = shutil.disk_usage(self.path).free
        if need_bytes > taken + free:
            raise StorageError(
                f"{self.path}: too little space: checkpoints need {disk.size(need_bytes)}, {disk.size(taken + free)} "
                "free; free space, or choose another place"
            )

    def sweep(self) -> None:
        """Remove what a killed process left half written."""
        self.require_held()
        for stray in (*self.path.glob("*.part"), *self.checkpoints.glob("*.part")):
            try:
                stray.unlink()
            except OSError as error:
                raise disk.unwritable(stray, error) from None

    def set_aside(self, path: Path) -> None:
        """Rename a file that cannot be used, so that it is kept and not taken for one that can."""
        self.require_held()
        try:
            path.replace(disk.bad(path))
        except OSError as error:
            raise disk.unwritable(path, error) from None

    def keep(self, epochs: int, *, steps: int | None = None) -> None:
        """Cut the logs back to the first `epochs` records, evaluations to `steps` (those of the epochs if None)."""
        self.require_held()
        kept = logs.read(self.path / EPOCHS, EpochRecord)[:epochs]
        _rewrite(self.path / EPOCHS, kept)
        _rewrite(self.path / COSTS, logs.read(self.path / COSTS, CostRecord)[:epochs])
        if (self.path / EVALUATIONS).exists():
            last = steps if steps is not None else kept[-1].step if kept else 0
            found = logs.read(self.path / EVALUATIONS, EvaluationRecord)
            _rewrite(self.path / EVALUATIONS, [record for record in found if record.step <= last])

    def write_status(self, status: RunStatus) -> None:
        """Replace status.json."""
        self.require_held()
        disk.write_whole(self.path / STATUS, (status.model_dump_json(indent=2) + "\n").encode())

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Replace environment.json."""
        self.require_held()
        text = json.dumps(environment, indent=2, sort_keys=True) + "\n"
        disk.write_whole(self.path / ENVIRONMENT, text.encode())


def create(
    path: Path,
    *,
    recipe: recipes.Recipe,
    environment: Mapping[str, Any],
    status: RunStatus,
    held: locks.Held | None = None,
) -> RunFolder:
    """Fill the folder `path` for a run that starts. `recipe.toml` comes last: a folder that has it is a run.

    Raises StorageError where a run was trained there whose recipe is gone: a new one would go on with its logs.
    """
    folder = RunFolder(path, held=held)
    folder.require_held()
    _refuse_what_is_left(path)
    disk.make_folder(folder.checkpoints)
    folder.write_environment(environment)
    folder.write_status(status)
    disk.write_whole(path / RECIPE, recipes.to_toml(recipe).encode())
    return folder


def _refuse_what_is_left(path: Path) -> None:
    """Raise StorageError if the folder `path`, which is no run, has what only the training of one leaves."""
    logged = (path / name for name in (EPOCHS, COSTS, EVALUATIONS))
    left = [entry.name for entry in (*logged, *sorted((path / CHECKPOINTS).glob("*"))) if entry.exists()]
    if left:
        raise StorageError(
            f"{path}: what is left of a run without its {RECIPE} ({', '.join(left)}); nothing was changed. Put "
            f"{RECIPE} back to go on with that run, or delete the folder to train a new one"
        )


def bring_in(
    path: Path,
    *,
    foreign: foreign_runs.Foreign,
    epochs: Sequence[ForeignEpoch],
    environment: Mapping[str, Any],
    status: RunStatus,
) -> None:
    """Fill the folder `path`, which must be held, with a foreign run. `foreign.toml` comes last, as a recipe does."""
    folder = RunFolder(path)
    disk.make_folder(path)
    folder.write_environment(environment)
    folder.write_status(status)
    _rewrite(path / EPOCHS, epochs)
    disk.write_whole(path / FOREIGN, foreign_runs.to_toml(foreign).encode())


@contextmanager
def hold(path: Path, *, what: str = "this run") -> Iterator[locks.Held]:
    """Hold the folder `path` of a run (made if absent) for this process; raises StorageError where another one does.

    Folders in which no run was begun are taken away again.
    """
    absent = [folder for folder in (path, *path.parents) if not _exists(folder)]
    held = None
    try:
        held = locks.take(path, what=what)
        yield held
    finally:
        still = held is not None and held.is_mine
        if held is not None:
            held.sign("")
        if absent or still:
            _leave(path, held=still, absent=absent)
        if held is not None:
            held.release()


def _leave(path: Path, *, held: bool, absent: Sequence[Path]) -> None:
    """Take away what was made for a run that was not begun: the lock if it is ours, and folders that are empty."""
    with suppress(OSError, StorageError):
        if is_run(path):
            return
        if held:
            if path in absent:  # of a beginning that failed half way
                whole = (RECIPE, FOREIGN, ENVIRONMENT, STATUS, EPOCHS)
                for name in (ENVIRONMENT, STATUS, EPOCHS, *(f"{name}.part" for name in whole)):
                    (path / name).unlink(missing_ok=True)
                with suppress(OSError):
                    (path / CHECKPOINTS).rmdir()
            (path / locks.FILE).unlink(missing_ok=True)
        for folder in dict.fromkeys((path, *absent) if held else absent):
            folder.rmdir()


def _exists(path: Path) -> bool:
    """Return whether `path` is there; True where that cannot be seen, so that nothing is taken away."""
    try:
        return path.exists()
    except OSError:
        return True


def now() -> str:
    """Return the time for a status's heartbeat: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _append(path: Path, record: Record) -> None:
    line = record.model_dump_json().encode() + b"\n"
    try:
        with path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise disk.unwritable(path, error, need_bytes=len(line)) from None


def _rewrite(path: Path, records: Sequence[Record]) -> None:
    disk.write_whole(path, b"".join(record.model_dump_json().encode() + b"\n" for record in records))
