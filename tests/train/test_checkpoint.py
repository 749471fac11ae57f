"""Checkpoints: whole or not at all, checked before they are read."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fewepochs import errors
from fewepochs.train import checkpoint


def facts(steps: int = 5, *, epochs: int = 0) -> checkpoint.Facts:
    return checkpoint.Facts(
        recipe={"name": "any"},
        data="0" * 64,
        steps=steps,
        epochs=epochs,
        epoch_steps=0,
        plateau=checkpoint.Plateau(best=None, wait=0, cooldown=0, scale=1.0),
        spent=checkpoint.Spent(setup_seconds=0.5, train_seconds=0.25, joules=None, joules_reason="none here"),
    )


def snapshot(steps: int = 5, *, epochs: int = 0) -> checkpoint.Snapshot:
    tensors = {"weights": torch.arange(6.0) + steps, "t": torch.tensor(3)}
    return checkpoint.Snapshot(tensors, facts(steps, epochs=epochs))


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    loaded = checkpoint.load(checkpoint.save(tmp_path, snapshot()))
    assert loaded.facts == facts()
    assert torch.equal(loaded.tensors["weights"], snapshot().tensors["weights"])
    assert torch.equal(loaded.tensors["t"], torch.tensor(3))


def test_the_two_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    for steps in range(1, 6):
        checkpoint.save(tmp_path, snapshot(steps), best=snapshot(steps) if steps == 2 else None)
    assert [path.name for path in checkpoint.newest_first(tmp_path)] == ["step-000000005.ckpt", "step-000000004.ckpt"]
    assert checkpoint.load(tmp_path / checkpoint.BEST).steps == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.ckpt",
        "step-000000004.ckpt",
        "step-000000005.ckpt",
    ]


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_bit_anywhere_is_noticed(tmp_path: Path, place: float, bit: int) -> None:
    path = checkpoint.save(tmp_path, snapshot())
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        loaded = checkpoint.load(path)
    except errors.CheckpointError:
        return
    # A flip in the header's own facts is theirs to notice; the tensors are untouched.
    assert torch.equal(loaded.tensors["weights"], snapshot().tensors["weights"])


@pytest.mark.parametrize("keep", [0, 1, 40, 400, -1])
def test_a_cut_off_file_is_noticed(tmp_path: Path, keep: int) -> None:
    path = checkpoint.save(tmp_path, snapshot())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(errors.CheckpointError, match="damaged"):
        checkpoint.load(path)


def test_a_damaged_newest_falls_back_to_the_one_before_with_a_warning(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, snapshot(1))
    newest = checkpoint.save(tmp_path, snapshot(2))
    newest.write_bytes(newest.read_bytes()[:-1])
    found, passed_over = checkpoint.load_newest(tmp_path)
    assert found is not None
    assert found.steps == 1
    assert list(passed_over) == [newest]
    assert "step-000000002.ckpt: the checkpoint is damaged" in passed_over[newest]


def test_when_none_is_whole_nothing_is_deleted(tmp_path: Path) -> None:
    for steps in (1, 2):
        path = checkpoint.save(tmp_path, snapshot(steps))
        path.write_bytes(b"")
    with pytest.raises(errors.CheckpointError, match="no checkpoint is usable"):
        checkpoint.load_newest(tmp_path)
    assert len(checkpoint.newest_first(tmp_path)) == 2


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.load_newest(tmp_path) == (None, {})


class Malicious:
    """Touches a canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (Path.touch, (self.canary,))


def test_a_pickle_with_a_valid_hash_runs_nothing(tmp_path: Path) -> None:
    import hashlib

    canary = tmp_path / "canary"
    buffer = io.BytesIO()
    torch.save({"weights": Malicious(canary)}, buffer)
    body = buffer.getvalue()
    header = {"format": 1, "sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body), "steps": 1}
    path = tmp_path / "step-000000001.ckpt"
    path.write_bytes(json.dumps(header).encode() + b"\n" + body)
    with pytest.raises(errors.CheckpointError, match="not a checkpoint of tensors"):
        checkpoint.load(path)
    assert not canary.exists()


def test_another_format_is_refused_by_number(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, snapshot())
    line, _, body = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps({**json.loads(line), "format": 3}).encode() + b"\n" + body)
    with pytest.raises(errors.CheckpointError, match="format 3; this version of fewepochs reads 1 and 2"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("live", "match"),
    [
        ({"weights": torch.zeros(6)}, "another kind of run: t"),
        ({"weights": torch.zeros(7), "t": torch.tensor(0)}, "weights is"),
        ({"weights": torch.zeros(6, dtype=torch.float64), "t": torch.tensor(0)}, "weights is"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(live: dict[str, torch.Tensor], match: str) -> None:
    with pytest.raises(errors.CheckpointError, match=match):
        checkpoint.restore(snapshot().tensors, live)


def test_a_full_disk_leaves_the_old_checkpoint_and_no_stray(tmp_path: Path) -> None:
    old = checkpoint.save(tmp_path, snapshot(1))

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(errors.StorageError, match="No space left on device"):
            checkpoint.save(tmp_path, snapshot(2))
    assert [path.name for path in tmp_path.iterdir()] == [old.name]
    assert checkpoint.load(old).steps == 1
