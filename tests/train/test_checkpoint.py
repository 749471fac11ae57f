"""Checkpoints: whole or not at all, checked before they are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from snapshots import facts, snapshot

from fewepochs import errors
from fewepochs.train import checkpoint

GOLDENS = Path(__file__).parents[1] / "goldens"
FORMAT_DIGIT = (len('{"format": ') + 0.5) / len(checkpoint.packed(snapshot()))
"""Where in a checkpoint the digit stands that is its format."""


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


def same(one: checkpoint.Snapshot, other: checkpoint.Snapshot) -> bool:
    alike = one.facts == other.facts and one.tensors.keys() == other.tensors.keys()
    return alike and all(torch.equal(one.tensors[name], other.tensors[name]) for name in other.tensors)


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@example(place=0.0, bit=0)
@example(place=FORMAT_DIGIT, bit=0)
@example(place=FORMAT_DIGIT, bit=1)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_bit_anywhere_is_noticed(tmp_path: Path, place: float, bit: int) -> None:
    path = checkpoint.save(tmp_path, snapshot())
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    if content.startswith(b'{"format": 2'):  # which reads what is written now to the same state
        assert same(checkpoint.load(path), snapshot())
        return
    with pytest.raises(errors.CheckpointError, match=r"damaged|format|not a checkpoint"):
        checkpoint.load(path)


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


def test_a_checkpoint_ahead_of_the_log_is_passed_over(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, snapshot(1, epochs=1))
    newest = checkpoint.save(tmp_path, snapshot(2, epochs=2))
    found, passed_over = checkpoint.load_newest(tmp_path, most_epochs=1)
    assert found is not None
    assert found.steps == 1
    assert list(passed_over) == [newest]
    with pytest.raises(errors.CheckpointError, match=r"has 2 epochs, the run's logs only 0"):
        checkpoint.load_newest(tmp_path, most_epochs=0)


def test_the_best_of_another_step_is_a_file_of_its_own(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, snapshot(7), best=snapshot(4))
    assert checkpoint.load(path).steps == 7
    assert checkpoint.load(tmp_path / checkpoint.BEST).steps == 4
    both = checkpoint.save(tmp_path, snapshot(8), best=snapshot(8))
    assert both.samefile(tmp_path / checkpoint.BEST)


def test_without_second_names_for_a_file_the_best_is_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", none)
    path = checkpoint.save(tmp_path, snapshot(8), best=snapshot(8))
    assert path.read_bytes() == (tmp_path / checkpoint.BEST).read_bytes()
    assert not path.samefile(tmp_path / checkpoint.BEST)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("form", [1, 2, 3])
def test_every_format_that_was_in_use_is_read(form: int) -> None:
    """The files were written by tools/make_checkpoint_goldens.py when the format was in use."""
    told = json.loads((GOLDENS / "checkpoint.json").read_bytes())
    found = checkpoint.load(GOLDENS / f"checkpoint-format-{form}.ckpt")
    assert checkpoint.digest(found.tensors) == told["digest"]
    assert found.facts.model_dump(mode="json") == told["facts"]


def test_what_is_written_now_is_the_newest_golden_byte_for_byte() -> None:
    """Where this fails, the format has changed: give it a new number."""
    path = GOLDENS / f"checkpoint-format-{checkpoint.FORMAT}.ckpt"
    assert checkpoint.packed(checkpoint.load(path)) == path.read_bytes()


def test_a_digest_is_of_names_types_shapes_and_bytes() -> None:
    base = {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor(3)}
    others = [
        {"a": base["a"]},
        {"a": base["a"], "c": base["b"]},
        {**base, "a": torch.tensor([1.0, -0.0])},
        {**base, "a": base["a"].reshape(2, 1)},
        {**base, "b": torch.tensor(3, dtype=torch.int32)},
    ]
    assert len({checkpoint.digest(each) for each in [base, *others]}) == 6
    assert checkpoint.digest(dict(reversed(base.items()))) == checkpoint.digest(base)


def test_when_none_is_whole_nothing_is_deleted(tmp_path: Path) -> None:
    for steps in (1, 2):
        path = checkpoint.save(tmp_path, snapshot(steps))
        path.write_bytes(b"")
    with pytest.raises(errors.CheckpointError, match="no checkpoint is usable"):
        checkpoint.load_newest(tmp_path)
    assert len(checkpoint.newest_first(tmp_path)) == 2


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.load_newest(tmp_path) == (None, {})


def test_another_format_is_refused_by_number(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, snapshot())
    line, _, body = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps({**json.loads(line), "format": 4}).encode() + b"\n" + body)
    with pytest.raises(errors.CheckpointError, match="format 4; this version of fewepochs reads 1 to 3"):
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
