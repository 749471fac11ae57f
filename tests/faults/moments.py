"""Moments in the life of a run, by name, and what can happen at them, in a process that is changed for good.

A moment is `event:thing:n`, the n-th time that a thing is about to be opened for writing, is half written, is about to
be fsynced, is about to be renamed, has been renamed, is about to be linked or unlinked; or that a step, an evaluation
and the like is about to begin.

    rename:checkpoint:2     a checkpoint, whole and fsynced under its temporary name, for the second time
    write:epochs.jsonl:1    half of the first line of the log is on its way to the disk
    begin:evaluate:1        all steps of the first epoch are done

Production code knows nothing of this.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

Action = Callable[[], None]


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def signalling(number: int) -> Action:
    return lambda: os.kill(os.getpid(), number)


ACTIONS: dict[str, Action] = {
    "KILL": kill,
    "ENOSPC": full,
    **{name: signalling(getattr(signal, f"SIG{name}")) for name in ("TERM", "INT", "HUP", "USR1", "CONT")},
}


def watch(happening: Mapping[str, str], *, record: Path | None = None) -> None:
    """Let actions happen at moments, in this process, and write every moment to the file `record`, a line each."""
    seen: Counter[str] = Counter()
    target = None if record is None else os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def passing(here: str) -> None:
        seen[here] += 1
        moment = f"{here}:{seen[here]}"
        if target is not None:
            os.write(target, f"{moment}\n".encode())
        if moment in happening:
            ACTIONS[happening[moment]]()

    _watch_files(passing)
    _watch_phases(passing)


def thing(path: Path | str) -> str:
    """Return what a path in a run folder is: its name, whatever the step, temporary or not."""
    name = Path(path).name.removesuffix(".part")
    if name.startswith("step-"):
        return "checkpoint"
    return "folder" if Path(path).is_dir() else name


class _Half:
    """A file whose first write stops half way."""

    def __init__(self, file: IO[bytes], passing: Callable[[str], None], name: str) -> None:
        self._file, self._passing, self._name = file, passing, name

    def __enter__(self) -> _Half:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> int:
        half = len(content) // 2
        self._file.write(content[:half])
        self._file.flush()
        self._passing(f"write:{self._name}")
        return half + self._file.write(content[half:])

    def flush(self) -> None:
        self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()


def _watch_files(passing: Callable[[str], None]) -> None:
    real_open, real_fsync, real_replace, real_unlink, real_link = (
        Path.open, os.fsync, Path.replace, Path.unlink, os.link
    )  # fmt: skip

    def opened(self: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if mode not in ("wb", "ab"):
            return real_open(self, mode, *rest, **named)
        passing(f"open:{thing(self)}")
        return _Half(real_open(self, mode, *rest, **named), passing, thing(self))

    def fsync(descriptor: int) -> None:
        passing(f"fsync:{thing(Path(f'/proc/self/fd/{descriptor}').readlink())}")
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        passing(f"rename:{thing(target)}")
        found = real_replace(self, target)
        passing(f"renamed:{thing(target)}")
        return found

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.exists():
            passing(f"unlink:{thing(self)}")
        real_unlink(self, missing_ok=missing_ok)

    def link(path: Path, name: Path) -> None:
        passing(f"link:{thing(path)}")
        real_link(path, name)

    for place, function in ((Path, opened), (os, fsync), (Path, replace), (Path, unlink), (os, link)):
        setattr(place, "open" if function is opened else function.__name__, function)


def _watch_phases(passing: Callable[[str], None]) -> None:
    from fewepochs.data import loader, sources
    from fewepochs.nets import resnet
    from fewepochs.train import step

    places: tuple[tuple[Any, str], ...] = (
        (step.TrainingStep, "step"),
        (step.TrainingStep, "evaluate"),
        (sources, "load"),
        (loader, "prepare"),
        (resnet, "build"),
    )
    for place, name in places:
        setattr(place, name, _announced(getattr(place, name), passing, f"begin:{name}"))


def _announced(function: Callable[..., Any], passing: Callable[[str], None], label: str) -> Callable[..., Any]:
    def announced(*arguments: Any, **named: Any) -> Any:
        passing(label)
        return function(*arguments, **named)

    return announced
