"""What is shown: runs in folders, or the cells of a study with its question; once, or as they grow.

A look reads what anybody may read and takes no lock. What changes between two looks is seen by the sizes and times of
the runs' files, so that a look at a thousand runs that stand still costs little.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewepochs import store
from fewepochs.api import collector
from fewepochs.errors import CheckpointError, Problem, RecipeError, StorageError

if TYPE_CHECKING:
    from fewepochs.study import plan as plans

SUFFIX = ".toml"
"""How the name of a study file ends; a run is a folder."""

IDLE_SECONDS = 15.0
"""So long nothing is at work any more before the watching ends: between two cells there is a moment without."""

IDLE_LOOKS = 2
"""So many looks at which nothing is at work, and nothing was before, end it."""


@dataclass(frozen=True)
class Shown:
    """Runs, and of a study where it stands and what it compares by its own rules (None before its first epoch)."""

    runs: tuple[store.StoredRun, ...]
    planned: plans.Plan | None = None
    found: dict[str, Any] | None = None

    @property
    def question(self) -> str:
        """What the study asks; of runs, nothing."""
        return "" if self.planned is None else self.planned.study.question

    @property
    def title(self) -> str | None:
        """The study's name; runs have none."""
        return None if self.planned is None else self.planned.study.name

    @property
    def at_work(self) -> bool:
        """Whether a run is being trained, as far as can be told from here."""
        return any(run.state == "running" for run in self.runs)


def is_study(paths: Sequence[Path]) -> bool:
    """Return whether `paths` is one study file. Raises RecipeError where one stands beside other things."""
    files = [path for path in paths if path.suffix == SUFFIX and not _is_folder(path)]
    if files and len(paths) > 1:
        problem = Problem("RUN", "a study stands beside other things", repr(str(files[0])), "one study, or run folders")
        raise RecipeError("command line", (problem,))
    return bool(files)


def _is_folder(path: Path) -> bool:
    """Return whether `path` is a folder; what may not be looked at is told where it is read."""
    try:
        return path.is_dir()
    except OSError:
        return False


@collector.paused()
def load(paths: Sequence[Path], *, out: Path) -> Shown:
    """Return the runs in the folders `paths`, or directly inside them, or those of the study whose file `paths` names.

    A study's runs lie in a folder of its name in `out`. Raises StorageError, and RecipeError for a study's file.
    """
    if not is_study(paths):
        return Shown(tuple(store.read(path) for path in store.find(paths)))
    from fewepochs.api import studies

    planned = studies.plan(paths[0], out=out)
    runs = planned.runs()
    return Shown(runs, planned, studies.answer(planned) if any(run.epochs for run in runs) else None)


def version(paths: Sequence[Path], *, out: Path, others: Sequence[Path] = ()) -> str:
    """Return a mark that changes when anything does of what `load` would return: a run, an epoch, a study's file.

    So it does when one of the files `others` changes.
    """
    digest = hashlib.sha256()
    for path in (*_files(paths, out=out), *others):
        try:
            found = path.stat()
        except OSError:
            continue
        digest.update(f"{path}\n{found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _files(paths: Sequence[Path], *, out: Path) -> Iterator[Path]:
    """Yield the files that tell what is new; what cannot be found now has none."""
    folders = paths
    if is_study(paths):
        from fewepochs.study import files

        yield paths[0]
        folders = [out / files.load(paths[0]).name]
    for folder in folders:
        try:
            found = store.find([folder])
        except StorageError:
            continue
        for run in found:
            yield from (run / name for name in (store.RECIPE, store.FOREIGN, store.EPOCHS, store.COSTS, store.STATUS))


@dataclass
class Watch:
    """Looks again and again; `wait` returns when it is time for the next look, False if there shall be none.

    After `idle_looks` in a row at which nothing is at work any more it ends.
    """

    paths: Sequence[Path]
    out: Path
    wait: Callable[[], bool]
    idle_looks: int
    say: Callable[[str], object]
    _said: set[str] = field(default_factory=set)

    def looks(self) -> Iterator[Shown]:
        """Yield what is shown, and again whenever it has changed, until nothing is at work; what fails is said once.

        Raises RecipeError for a study's file, and StorageError where there is nothing to be seen at the end.
        """
        seen: tuple[str, bool] | None = None
        shown: Shown | None = None
        idle, limit = 0, IDLE_LOOKS
        while True:
            now = version(self.paths, out=self.out)
            if shown is None or seen != (now, shown.at_work):  # a process that is killed changes no file
                shown = self._load() or shown
                if shown is not None:
                    seen = now, shown.at_work
                    yield shown
            if shown is not None and shown.at_work:
                limit = self.idle_looks
            idle = 0 if shown is None or shown.at_work else idle + 1
            if idle >= limit:
                return
            if not self.wait():
                if shown is None:
                    load(self.paths, out=self.out)
                return

    def _load(self) -> Shown | None:
        """Return what is to be seen, or None where that cannot be read now: a file may just be being replaced."""
        try:
            return load(self.paths, out=self.out)
        except (StorageError, CheckpointError) as error:
            if str(error) not in self._said:
                self._said.add(str(error))
                self.say(f"{error}; looking again (Ctrl-C ends)")
            return None
