"""One cell on a node of a cluster: its folder unpacked, its process begun, what it writes handed back.

The node needs no share of the store. The cell's run folder travels to a scratch folder, the process is the one that
trains cells locally (`local`), and whatever changed in the folder goes back with each look. Files are read in an order
that keeps every look consistent while the process goes on writing: the status before the checkpoints, those before the
epochs, those before the costs. So a status that says "finished" never comes without the last checkpoint, a checkpoint
never without its epochs, an epoch never without its cost.
"""

from __future__ import annotations

import hashlib
import platform
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from fewepochs import disk, store
from fewepochs.study import cell as cells
from fewepochs.study import local

LOGS = (store.EPOCHS, store.COSTS, store.EVALUATIONS)
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """What changed in a run folder since the last look: files by relative name, names that are gone; the ending."""

    files: Mapping[str, bytes]
    gone: tuple[str, ...]
    ending: cells.Ending | None


class Watch:
    """A run folder that another process writes; `look` returns what changed since the last one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._met: dict[str, Stamp] = {}

    def look(self) -> tuple[dict[str, bytes], tuple[str, ...]]:
        """Return the files that changed, in the order in which they may be read, and the names that are gone."""
        changed: dict[str, bytes] = {}
        there = self._names()
        for name in there:
            with suppress(FileNotFoundError):  # a checkpoint that was just pruned: gone at the next look
                stamp = _stamp(self._path / name)
                if stamp != self._met.get(name):
                    changed[name] = self._content(name)
                    self._met[name] = stamp
        gone = tuple(name for name in self._met if name not in there and name not in changed)
        for name in gone:
            del self._met[name]
        return changed, gone

    def know(self) -> None:
        """Take what is there now as known."""
        self.look()

    def _names(self) -> list[str]:
        checkpoints = sorted((self._path / store.CHECKPOINTS).glob("*.ckpt"))
        names = [store.STATUS, *(f"{store.CHECKPOINTS}/{file.name}" for file in checkpoints)]
        names += [*LOGS, store.ENVIRONMENT, store.RECIPE]
        return [name for name in names if (self._path / name).is_file()]

    def _content(self, name: str) -> bytes:
        content = (self._path / name).read_bytes()
        # A line that is just being appended comes with the next look.
        return content[: content.rfind(b"\n") + 1] if name in LOGS else content


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def pack(path: Path) -> dict[str, bytes]:
    """Return the files of the run folder `path` that a process elsewhere needs to go on with it.

    None where it is no run yet: what a crash has left of a first look is replaced by the next.
    """
    return Watch(path).look()[0] if store.is_run(path) else {}


def unpack(path: Path, files: Mapping[str, bytes], *, gone: tuple[str, ...] = ()) -> None:
    """Write what a look found into the run folder `path`, so that a crash at any moment leaves it usable.

    Logs come before the checkpoints that they reach up to, the status after both, and the recipe, which makes a folder
    a run, last. Raises StorageError where it cannot be written, ValueError for names that no run folder has.
    """
    first = (store.ENVIRONMENT, store.EVALUATIONS, store.COSTS, store.EPOCHS)
    last = (store.STATUS, store.RECIPE)
    checkpoints = sorted(name for name in files if name not in (*first, *last))
    for name in (*checkpoints, *gone):
        if Path(name).parent != Path(store.CHECKPOINTS) or not name.endswith(".ckpt"):
            raise ValueError(f"{name!r} is no file of a run folder")
    disk.make_folder(path / store.CHECKPOINTS)
    for name in (*first, *checkpoints, *last):
        if name in files:
            disk.write_whole(path / name, files[name])
    for name in gone:
        with suppress(FileNotFoundError):
            (path / name).unlink()


def versions() -> dict[str, str]:
    """Return what has to be the same on every node for a cell to end in the same bits, machines aside."""
    return {
        "fewepochs": metadata.version("fewepochs"),
        "source of fewepochs": _source(),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "numpy": metadata.version("numpy"),
    }


def _source() -> str:
    """Return the digest of the package's own files: two checkouts may have one version number."""
    folder, digest = Path(__file__).parent.parent, hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".py", ".cpp", ".toml"):
            digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


class Hand:
    """Trains one cell on the node that it lives on; its methods are called from afar, one at a time."""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="fewepochs-cell-", ignore_cleanup_errors=True)
        self._place: local.Local | None = None
        self._watch: Watch | None = None

    def versions(self) -> dict[str, str]:
        """Return this node's `versions`."""
        return versions()

    def begin(self, name: str, job: str, files: Mapping[str, bytes], stall_seconds: float) -> None:
        """Unpack the cell's folder and start its process; `job` is a cells.Job as JSON, its path of no account."""
        scratch = Path(self._scratch.name)
        asked = cells.Job.model_validate_json(job)
        path = scratch / name
        path.mkdir()
        unpack(path, files)
        self._watch = Watch(path)
        self._watch.know()
        self._place = local.Local(slots=1, logs=scratch, stall_seconds=stall_seconds)
        self._place.begin(name, asked.model_copy(update={"path": path}))

    def look(self, seconds: float) -> Look:
        """Return what changed, after waiting up to `seconds` for the end."""
        assert self._place is not None, "begin comes first"
        assert self._watch is not None, "begin comes first"
        endings = self._place.ended(seconds=seconds)
        files, gone = self._watch.look()
        if endings:
            self._scratch.cleanup()
        return Look(files, gone, endings[0][1] if endings else None)

    def stop(self) -> None:
        """Ask the cell to save and leave."""
        if self._place is not None:
            self._place.stop()
