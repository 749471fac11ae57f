"""Runs are looked at and what is new of them is sent: once, or again and again until they have ended.

A look reads run folders as anybody may and writes nothing there; it takes no lock, for which training might have to
wait. What cannot be read now, and what the tracker does not take now, is tried again at the next look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fewepochs import store
from fewepochs.errors import FewEpochsError, StorageError
from fewepochs.foreign import run as foreign_runs
from fewepochs.records import RunState, RunStatus
from fewepochs.trackers import story, tracker

IDLE_LOOKS = 2
"""So many looks in a row at which nothing is at work end the following: between two runs there is a moment without."""

Say = Callable[[str], object]


@dataclass(frozen=True)
class Sent:
    """What was sent of a run: `new` of its `epochs` were not there before."""

    name: str
    path: Path
    state: RunState
    foreign: bool
    epochs: int
    new: int


def once(paths: Sequence[Path], *, to: tracker.Place, say: Say, stopped: Callable[[], bool]) -> Iterator[Sent]:
    """Send the runs in `paths` as they are stored; a run that cannot be read does not keep the others from it.

    Raises StorageError where the tracker fails, and at the end for what could not be read.
    """
    looks = _Looks(to, say)
    for sent in looks.look(store.find(paths), later=False):
        yield sent
        if stopped():
            return
    looks.complain()


def follow(paths: Sequence[Path], *, to: tracker.Place, say: Say, wait: Callable[[], bool]) -> Iterator[Sent]:
    """Send what is stored and what comes, new run folders in `paths` too, until all runs have ended.

    `wait` returns when it is time for the next look, False if there shall be none. Whatever fails is said once and
    tried again; raises what still fails when all runs have ended.
    """
    looks = _Looks(to, say)
    idle = 0
    while True:
        found = _find(paths, say=looks.say_once)
        yield from looks.look(found, later=True)
        idle = 0 if looks.busy or not found else idle + 1
        if idle == IDLE_LOOKS:
            looks.complain()
            return
        if not wait():
            yield from looks.look(found, later=False)
            return


def _find(paths: Sequence[Path], *, say: Say) -> tuple[Path, ...]:
    """Return the run folders that are there by now."""
    found: list[Path] = []
    for path in paths:
        try:
            found += store.find([path])
        except StorageError as error:
            say(f"{error}; waiting for it (Ctrl-C ends)")
    return tuple(dict.fromkeys(found))


Mark = tuple[tuple[int, int] | None, ...]


@dataclass
class _Known:
    """A run as it was when it was last sent whole."""

    mark: Mark
    status: RunStatus
    state: RunState
    later: bool


@dataclass
class _Looks:
    """What this command has sent so far, and what stood in its way at the last look."""

    to: tracker.Place
    say: Say
    busy: bool = False
    _known: dict[Path, _Known] = field(default_factory=dict)
    _paths: dict[str, Path] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)
    _unread: dict[Path, FewEpochsError] = field(default_factory=dict)
    _failure: StorageError | None = None

    def look(self, paths: Sequence[Path], *, later: bool) -> Iterator[Sent]:
        """Send what is new. `later` says that there will be another look: then nothing that fails is raised yet."""
        self.busy, self._failure = False, None
        for path in paths:
            mark = _mark(path)
            known = self._known.get(path)
            if known is not None and _same(known, mark, later=later):
                self.busy |= known.state == "running"
                continue
            run = self._read(path, later=later)
            if run is None or self._is_twin(run):
                continue
            told = story.build(run)
            self.busy |= told.state == "running"
            new = self._send(told, later=later and told.state == "running", again=later)
            if new is None:
                continue
            self._known[path] = _Known(mark, run.status, told.state, later)
            self.busy |= later and known is None  # a run that comes may not be the last
            foreign = isinstance(run.recipe, foreign_runs.Foreign)
            yield Sent(told.name, path, told.state, foreign, len(told.points), new)

    def complain(self) -> None:
        """Raise what could not be sent or read at the last look."""
        if self._failure is not None:
            raise self._failure
        if self._unread:
            first = next(iter(self._unread.values()))
            raise type(first)("\n".join(map(str, self._unread.values())))

    def say_once(self, text: str) -> None:
        """Say what was not said yet."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def _read(self, path: Path, *, later: bool) -> store.StoredRun | None:
        try:
            run = store.read(path)
        except FewEpochsError as error:
            self._unread[path] = error
            if later:
                self.say_once(f"{error}; looking again")
            return None
        self._unread.pop(path, None)
        return run

    def _is_twin(self, run: store.StoredRun) -> bool:
        """Return whether another folder holds the same run; its epochs would stand there twice."""
        other = self._paths.setdefault(run.digest, run.path)
        if other != run.path:
            self.say_once(f"{run.path}: the same recipe and seed as {other}, which is sent; this one is not")
        return other != run.path

    def _send(self, told: story.Story, *, later: bool, again: bool) -> int | None:
        """Return how many epochs were new; None where the tracker fails and there will be another look."""
        if self._failure is not None:
            return None
        try:
            with self.to.guarded():
                return self.to.tracker.send(told, later=later)
        except StorageError as error:
            if not again:
                raise
            self._failure = error
            self.say_once(f"{error}; trying again")
            return None


def _mark(path: Path) -> Mark:
    """Return what changes when a run does."""
    return tuple(_stat(path / name) for name in (store.EPOCHS, store.STATUS))


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _same(known: _Known, mark: Mark, *, later: bool) -> bool:
    """Return whether there is nothing new about a run, the end of its process included."""
    if known.mark != mark or known.state != store.standing(known.status):
        return False
    return not known.later or later or known.state != "running"
