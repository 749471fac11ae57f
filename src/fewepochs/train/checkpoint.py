"""Checkpoints: one file each, whole or not at all, checked before it is read.

    first line   JSON: format, SHA-256 and length of the body, and the run's own facts (see Snapshot)
    body         the tensors, as torch.save writes them

A file is written to a temporary name, fsynced and renamed. The body's SHA-256 is compared before anything is unpickled,
and torch's restricted reader (`weights_only`) is the only one used. The two newest checkpoints are kept, and the best.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fewepochs import store
from fewepochs.errors import CheckpointError, StorageError

FORMAT = 1
KEPT = 2
BEST = "best.ckpt"
MAX_HEADER_BYTES = 1 << 20


@dataclass(frozen=True)
class Snapshot:
    """A run's state at a step.

    `tensors` by name, on the CPU. `facts` is JSON: the recipe's and the data's digest, where the run stands, the
    plateau's state, the cost of the epoch in progress.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    @property
    def steps(self) -> int:
        """Steps done."""
        return int(self.facts["steps"])


def save(folder: Path, snapshot: Snapshot, *, best: bool = False) -> Path:
    """Write `snapshot` into `folder`, drop what is older than the two newest; `best` keeps it as the best, too."""
    buffer = io.BytesIO()
    torch.save(dict(snapshot.tensors), buffer)
    body = buffer.getvalue()
    header = {"format": FORMAT, "sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body), **snapshot.facts}
    path = folder / f"step-{snapshot.steps:09d}.ckpt"
    store.write_whole(path, json.dumps(header, sort_keys=True).encode() + b"\n" + body)
    try:
        if best:
            _link(path, folder / BEST)
        for old in newest_first(folder)[KEPT:]:
            old.unlink()
    except OSError as error:
        raise StorageError(f"{folder}: checkpoints cannot be tidied: {error.strerror or error}") from None
    return path


def newest_first(folder: Path) -> list[Path]:
    """Return the checkpoints in `folder`, the newest first; the best is not among them."""
    return sorted(folder.glob("step-*.ckpt"), reverse=True)


def load(path: Path) -> Snapshot:
    """Return the snapshot in the file `path`; raises CheckpointError where it is not whole or of another format."""
    header, body = _parts(path)
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: checkpoint format {header.get('format')!r}; this version of fewepochs reads {FORMAT}"
        )
    if len(body) != header.get("bytes") or hashlib.sha256(body).hexdigest() != header.get("sha256"):
        raise CheckpointError(f"{path}: the checkpoint is damaged (its SHA-256 does not match)")
    try:
        tensors = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:  # torch names a dozen types, pickle's among them
        raise CheckpointError(f"{path}: not a checkpoint of tensors: {type(error).__name__}") from None
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise CheckpointError(f"{path}: not a checkpoint of tensors")
    facts = {key: value for key, value in header.items() if key not in ("format", "sha256", "bytes")}
    return Snapshot(tensors, facts)


def load_newest(folder: Path) -> tuple[Snapshot | None, list[str]]:
    """Return the newest checkpoint that is whole, and a warning for each damaged one that was passed over.

    None where there is no checkpoint at all. Raises CheckpointError where there are some and none is whole;
    nothing is deleted.
    """
    warnings: list[str] = []
    paths = newest_first(folder)
    for path in paths:
        try:
            return load(path), warnings
        except CheckpointError as error:
            warnings.append(str(error))
    if paths:
        raise CheckpointError(
            "\n".join(
                [*warnings, f"{folder}: no checkpoint is usable. Nothing was deleted; to train anew, delete the run."]
            )
        )
    return None, warnings


def restore(tensors: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into the live ones; raises CheckpointError where names, shapes or types differ."""
    if tensors.keys() != into.keys():
        different = ", ".join(sorted(tensors.keys() ^ into.keys()))
        raise CheckpointError(f"the checkpoint belongs to another kind of run: {different}")
    for name, live in into.items():
        saved = tensors[name]
        if saved.shape != live.shape or saved.dtype != live.dtype:
            raise CheckpointError(
                f"the checkpoint belongs to another run: {name} is {saved.dtype} {list(saved.shape)}, "
                f"expected {live.dtype} {list(live.shape)}"
            )
        live.copy_(saved)


def _parts(path: Path) -> tuple[dict[str, Any], bytes]:
    try:
        with path.open("rb") as file:
            line = file.readline(MAX_HEADER_BYTES)
            body = file.read()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: the checkpoint is damaged (no header)")
    return header, body


def _link(path: Path, name: Path) -> None:
    """Give `path` a second name, replacing what had it, without writing the data again."""
    temporary = name.with_name(name.name + ".part")
    temporary.unlink(missing_ok=True)
    os.link(path, temporary)
    temporary.replace(name)
