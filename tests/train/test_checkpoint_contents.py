"""Checkpoints from a stranger, their SHA-256 in order: nothing runs, nothing grows, all end in CheckpointError."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from snapshots import facts

from fewepochs import errors
from fewepochs.train import checkpoint


class Malicious:
    """Calls something when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def format_1(body: bytes) -> bytes:
    header = {"format": 1, "sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}
    return json.dumps({**facts().model_dump(mode="json"), **header}).encode() + b"\n" + body


def pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_a_pickle_with_a_valid_hash_runs_nothing(tmp_path: Path) -> None:
    path, canary = tmp_path / "step-000000001.ckpt", tmp_path / "canary"
    path.write_bytes(format_1(pickled({"weights": Malicious(Path.touch, canary)})))
    with pytest.raises(errors.CheckpointError, match="not a checkpoint of tensors"):
        checkpoint.load(path)
    assert not canary.exists()
    torch.load(io.BytesIO(pickled({"weights": Malicious(Path.touch, canary)})), weights_only=False)
    assert canary.exists()  # it would have worked


def test_a_pickle_that_asks_for_memory_gets_none(tmp_path: Path) -> None:
    """torch's restricted reader knows bytearray, and would make one of any size."""
    path = tmp_path / "step-000000001.ckpt"
    path.write_bytes(format_1(pickled({"weights": Malicious(bytearray, 1 << 34)})))
    assert_refused_in_little_memory(path)


def test_a_packed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(pickled({"weights": torch.zeros(30_000_000)}))) as plain,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for member in plain.infolist():
            archive.writestr(member.filename, plain.read(member))
    assert len(packed.getvalue()) < 1_000_000
    path = tmp_path / "step-000000001.ckpt"
    path.write_bytes(format_1(packed.getvalue()))
    assert_refused_in_little_memory(path)


def format_2(contents: object, body: bytes = b"") -> bytes:
    rest = json.dumps(contents).encode() + b"\n" + body
    header = {"format": 2, "sha256": hashlib.sha256(rest).hexdigest(), "bytes": len(rest)}
    return json.dumps(header).encode() + b"\n" + rest


def entry(name: str = "w", dtype: str = "float32", shape: Any = (2,)) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape)}


LIES: list[tuple[list[dict[str, Any]], int]] = [
    ([entry()], 7),
    ([entry()], 9),
    ([entry(shape=(1 << 60,))], 8),
    ([entry(shape=(-1,))], 8),
    ([entry(shape=[[2]])], 8),
    ([entry(dtype="object")], 8),
    ([entry(dtype="__class__")], 8),
    ([entry(), entry()], 16),
    ([{**entry(), "more": 1}], 8),
    ([{"name": "w"}], 8),
]


@pytest.mark.parametrize(("tensors", "size"), LIES)
def test_a_list_of_tensors_that_lies_is_refused_in_little_memory(
    tensors: list[dict[str, Any]], size: int, tmp_path: Path
) -> None:
    path = tmp_path / "step-000000001.ckpt"
    path.write_bytes(format_2({"facts": facts().model_dump(mode="json"), "tensors": tensors}, b"\0" * size))
    assert_refused_in_little_memory(path)


def assert_refused_in_little_memory(path: Path) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(errors.CheckpointError):
            checkpoint.load(path)
        assert tracemalloc.get_traced_memory()[1] < 5 * path.stat().st_size + 2_000_000
    finally:
        tracemalloc.stop()


def test_a_giant_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "step-000000001.ckpt"
    path.touch()
    os.truncate(path, checkpoint.MOST_BYTES + 1)
    with pytest.raises(errors.CheckpointError, match=r"cannot be read: has more than 17,179\.9 MB"):
        checkpoint.load(path)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_plain_file_is_refused_unopened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "step-000000001.ckpt"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.mkdir()
    with pytest.raises(errors.CheckpointError, match=f"{path}: cannot be read: not a plain file"):
        checkpoint.load(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(content=st.binary(max_size=400))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_checkpoint_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "step-000000001.ckpt"
    for told in (content, format_1(content), format_2({}, content), b'{"format": 2}\n' + content):
        path.write_bytes(told)
        with pytest.raises(errors.CheckpointError):
            checkpoint.load(path)


@given(changes=st.dictionaries(st.sampled_from([*checkpoint.Facts.model_fields, "other"]), JSON, min_size=1))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_facts_are_facts_or_a_checkpoint_error(changes: dict[str, Any], tmp_path: Path) -> None:
    """Those that are may still belong to no run: restoring them is then refused, too, and changes nothing."""
    path = tmp_path / "step-000000001.ckpt"
    path.write_bytes(format_2({"facts": {**facts().model_dump(mode="json"), **changes}, "tensors": []}))
    try:
        found = checkpoint.load(path)
    except errors.CheckpointError:
        return
    training = tiny_runs.training(tiny_runs.recipe())
    with pytest.raises((errors.CheckpointError, errors.DataError)):
        training.restore(found)
    assert (training.epochs, training.epoch_steps) == (0, 0)
