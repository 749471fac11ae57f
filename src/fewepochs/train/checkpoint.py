"""Checkpoints: one file each, whole or not at all, checked before it is read.

    first line    JSON: format, SHA-256 and length of everything after this line
    second line   JSON: the run's own facts, and name, type and shape of each tensor
    the rest      the tensors' bytes, little-endian, one after the other

A file is written to a temporary name, fsynced and renamed. The SHA-256 is compared before anything is made of the
bytes, and nothing in them can be executed: there is no pickle. Format 1, whose body is torch's pickle, is still read,
by torch's restricted reader (`weights_only`) alone; format 2 knew fewer costs of the epoch in progress. The two newest
checkpoints are kept, the best, and those of epochs that were asked for.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, ValidationError
from torch import Tensor

from fewepochs import disk
from fewepochs.errors import CheckpointError, StorageError
from fewepochs.optim import rule
from fewepochs.records import Count, Finite, Record
from fewepochs.train import pickled

FORMAT = 3
KEPT = 2
BEST = "best.ckpt"
_EPOCH = re.compile(r"epoch-(\d{4,9})\.ckpt")
MAX_LINE_BYTES = 1 << 20
MOST_BYTES = 16 << 30
"""The largest file that is read into memory."""

DTYPES: dict[str, torch.dtype] = {str(dtype).removeprefix("torch."): dtype for dtype in rule.STATE_DTYPES}
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Plateau(Record):
    """A plateau's state; `best` is None where it has seen no epoch (JSON has no infinity)."""

    best: Finite | None
    wait: Count
    cooldown: Count
    scale: Finite


class Spent(Record):
    """What the epoch in progress has cost so far; formats before 3 have the first four alone."""

    setup_seconds: Seconds
    train_seconds: Seconds
    joules: Seconds | None
    joules_reason: str | None = None
    compile_seconds: Seconds = 0.0
    evaluation_seconds: Seconds = 0.0
    busy_seconds: Seconds | None = None
    busy_reason: str | None = "not measured when the epoch began"


class Facts(Record):
    """Where a run stands: steps done, full epochs done, steps done of the epoch in progress; of which recipe and data.

    `epoch_steps` may be a whole epoch's: its evaluation is then still to come.
    """

    recipe: dict[str, Any]
    data: str
    steps: Count
    epochs: Count
    epoch_steps: Count
    plateau: Plateau
    spent: Spent


@dataclass(frozen=True)
class Snapshot:
    """A run's state at a step: `tensors` by name, on the CPU, and the facts that no tensor holds."""

    tensors: Mapping[str, Tensor]
    facts: Facts

    @property
    def steps(self) -> int:
        """Steps done."""
        return self.facts.steps


class _Entry(Record):
    name: str
    dtype: str
    shape: tuple[Count, ...]


class _Contents(Record):
    facts: Facts
    tensors: tuple[_Entry, ...]


# --- writing ------------------------------------------------------------------------------------------------------


def save(folder: Path, snapshot: Snapshot, *, best: Snapshot | None = None) -> Path:
    """Write `snapshot` into `folder` and drop what is older than the two newest; `best`, if given, is the best now.

    The best goes first: whoever is killed between the two goes on from the checkpoint before, trains the same epoch
    again and writes the same best again. The other way round it would be lost.
    """
    path = folder / f"step-{snapshot.steps:09d}.ckpt"
    if best is not None:
        save_best(folder, best)
    if best is None or best.steps != snapshot.steps or not _linked(folder / BEST, path):
        disk.write_whole(path, packed(snapshot))
    prune(folder)
    return path


def prune(folder: Path) -> None:
    """Remove the checkpoints in `folder` that are older than the two newest."""
    try:
        for old in newest_first(folder)[KEPT:]:
            old.unlink()
    except OSError as error:
        raise StorageError(f"{folder}: checkpoints cannot be tidied: {error.strerror or error}") from None


def save_epoch(folder: Path, snapshot: Snapshot) -> Path:
    """Write `snapshot`, the state after a whole epoch, under the epoch's name; it is kept for good."""
    path = folder / f"epoch-{snapshot.facts.epochs:04d}.ckpt"
    disk.write_whole(path, packed(snapshot))
    return path


def save_best(folder: Path, best: Snapshot) -> None:
    """Write `best` into `folder` as the best."""
    disk.write_whole(folder / BEST, packed(best))


def most_bytes(state: Mapping[str, Tensor], *, kept: int = 0) -> int:
    """Return the space that the checkpoints of a run with this state take, the one being written included.

    `kept` is the number of states that are kept for good.
    """
    return (KEPT + 2 + kept) * (sum(tensor.nbytes for tensor in state.values()) + MAX_LINE_BYTES // 16)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of `tensors`: the same bits, the same digest."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(json.dumps(_entry(name, tensors[name])).encode() + b"\n" + _bytes(tensors[name]))
    return found.hexdigest()


def packed(snapshot: Snapshot) -> bytes:
    """Return the bytes of the file that holds `snapshot`."""
    tensors = [_entry(name, tensor) for name, tensor in snapshot.tensors.items()]
    contents = {"facts": snapshot.facts.model_dump(mode="json"), "tensors": tensors}
    line = json.dumps(contents, sort_keys=True, allow_nan=False).encode() + b"\n"
    rest = b"".join([line, *(_bytes(tensor) for tensor in snapshot.tensors.values())])
    header = {"format": FORMAT, "sha256": hashlib.sha256(rest).hexdigest(), "bytes": len(rest)}
    return json.dumps(header).encode() + b"\n" + rest


def _entry(name: str, tensor: Tensor) -> dict[str, Any]:
    return {"name": name, "dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _linked(path: Path, name: Path) -> bool:
    """Give the file `path` a second name; False where the file system has no second names."""
    temporary = name.with_name(name.name + ".part")
    try:
        temporary.unlink(missing_ok=True)
        os.link(path, temporary)
        temporary.replace(name)
    except OSError:
        return False
    disk.sync_folder(name.parent)
    return True


# --- reading ------------------------------------------------------------------------------------------------------


def newest_first(folder: Path) -> list[Path]:
    """Return the checkpoints in `folder`, the newest first; the best is not among them."""
    return sorted(folder.glob("step-*.ckpt"), reverse=True)


def of_epochs(folder: Path) -> dict[int, Path]:
    """Return the states in `folder` that are kept for good, by the epoch after which each was written, rising."""
    found = ((_EPOCH.fullmatch(path.name), path) for path in folder.glob("epoch-*.ckpt"))
    return dict(sorted((int(name[1]), path) for name, path in found if name is not None))


def load(path: Path) -> Snapshot:
    """Return the snapshot in the file `path`; raises CheckpointError where it is not whole or of another format."""
    header, rest = _parts(path)
    form = header.get("format")
    if form not in range(1, FORMAT + 1):
        raise CheckpointError(f"{path}: checkpoint format {form!r}; this version of fewepochs reads 1 to {FORMAT}")
    if len(rest) != header.get("bytes") or hashlib.sha256(rest).hexdigest() != header.get("sha256"):
        raise CheckpointError(f"{path}: the checkpoint is damaged (its SHA-256 does not match)")
    try:
        if form != 1:
            return _unpacked(rest)
        facts = {key: value for key, value in header.items() if key not in ("format", "sha256", "bytes")}
        plateau = facts.get("plateau")
        if isinstance(plateau, dict) and plateau.get("best") == math.inf:  # where there is no plateau
            plateau["best"] = None
        return Snapshot(pickled.tensors(rest), Facts.model_validate_json(json.dumps(facts)))
    except (ValidationError, ValueError, RuntimeError, OverflowError, TypeError) as error:
        detail = "its facts or its list of tensors" if isinstance(error, ValidationError) else str(error)[:200]
        raise CheckpointError(f"{path}: not a checkpoint of a run: {detail}") from None


def load_newest(folder: Path, *, most_epochs: int | None = None) -> tuple[Snapshot | None, dict[Path, str]]:
    """Return the newest checkpoint that can be used, and those that were passed over, each with the reason.

    Not used are those that are damaged, and those with more than `most_epochs` epochs. None where there is no
    checkpoint at all. Raises CheckpointError where there are some and none can be used; nothing is deleted.
    """
    passed_over: dict[Path, str] = {}
    paths = newest_first(folder)
    for path in paths:
        try:
            found = load(path)
        except CheckpointError as error:
            passed_over[path] = str(error)
            continue
        if most_epochs is None or found.facts.epochs <= most_epochs:
            return found, passed_over
        passed_over[path] = f"{path}: has {found.facts.epochs} epochs, the run's logs only {most_epochs}"
    if paths:
        last = f"{folder}: no checkpoint is usable. Nothing was deleted; to train anew, delete the run."
        raise CheckpointError("\n".join([*passed_over.values(), last]))
    return None, passed_over


def restore(tensors: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into the live ones; raises CheckpointError where names, shapes or types differ."""
    if tensors.keys() != into.keys():
        different = ", ".join(sorted(tensors.keys() ^ into.keys()))[:500]
        raise CheckpointError(f"the checkpoint belongs to another kind of run: {different}")
    for name, live in into.items():
        saved = tensors[name]
        if saved.shape != live.shape or saved.dtype != live.dtype:
            raise CheckpointError(
                f"the checkpoint belongs to another run: {name} is {saved.dtype} {list(saved.shape)}, "
                f"expected {live.dtype} {list(live.shape)}"
            )
    for name, live in into.items():
        live.copy_(tensors[name])


def _parts(path: Path) -> tuple[dict[str, Any], memoryview]:
    """Return the first line and the bytes after it; what is in a file's name or head decides no size."""
    try:
        with disk.open_plain(path, most_bytes=MOST_BYTES) as file:
            line = file.readline(MAX_LINE_BYTES)
            rest = file.read()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: the checkpoint is damaged (no header)")
    return header, memoryview(rest)


def _unpacked(rest: memoryview) -> Snapshot:
    line = bytes(rest[:MAX_LINE_BYTES]).partition(b"\n")[0]
    contents = _Contents.model_validate_json(line)
    body, start = rest[len(line) + 1 :], 0
    tensors: dict[str, Tensor] = {}
    for entry in contents.tensors:
        dtype = DTYPES.get(entry.dtype)
        end = start + math.prod(entry.shape) * (0 if dtype is None else dtype.itemsize)
        if dtype is None or end > len(body) or entry.name in tensors:
            raise ValueError(f"the tensor {entry.name!r:.80} is not in it")
        content = bytearray(body[start:end])  # torch refuses to look into a buffer of nothing
        flat = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        tensors[entry.name] = flat.view(entry.shape)
        start = end
    if start != len(body):
        raise ValueError(f"{len(body) - start:,} bytes belong to no tensor")
    return Snapshot(tensors, contents.facts)
