"""Who is measured, who is absent and why."""

from __future__ import annotations

import pytest

from benchmarks.speed import turns
from fewepochs import runtime

EVERYBODY = [
    "fewepochs, float32",
    "fewepochs, float32, no augmentation",
    "fewepochs, bfloat16",
    "plain PyTorch",
    "plain PyTorch, channels-last",
    "plain PyTorch, channels-last, bfloat16",
    *(f"Keras on {name}{kind}" for name in ("TensorFlow", "JAX", "PyTorch") for kind in ("", ", no augmentation")),
    "matrix product, float32",
    "matrix product, bfloat16",
]


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("installed", [set(turns.BACKENDS), {"torch"}, set()])
def test_everybody_takes_a_turn_or_is_absent_with_the_reason(
    half: bool, installed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "bfloat16_missing", lambda: None if half else "no")
    monkeypatch.setattr(turns, "missing", lambda _keras, name: None if name in installed else "not installed")
    found = turns.side_by_side((0, 1))
    absent = [] if half else ["fewepochs, bfloat16", "plain PyTorch, channels-last, bfloat16"]
    absent += [f"Keras on {label}" for name, label in turns.BACKENDS.items() if name not in installed]
    assert list(found.absent) == absent
    gone = (*absent, *([] if half else ["matrix product, bfloat16"]))
    assert [turn.name for turn in found.turns] == [name for name in EVERYBODY if not name.startswith(gone or ("-",))]
    assert len(found.peers) == len({peer.name for peer in found.peers})


def test_all_have_the_same_threads_batch_and_depth() -> None:
    found = turns.side_by_side((0, 1), depth=20)
    assert {(peer.cores, peer.batch) for peer in found.peers} == {((0, 1), turns.BATCH)}
    assert {peer.depth for peer in found.peers if peer.kind != "product"} == {20}


def test_growth_is_in_batch_depth_and_runs_at_once() -> None:
    found = turns.growth((4, 6))
    assert [turn.name for turn in found.turns] == [
        "batch 64, depth 56",
        "batch 32",
        "batch 128",
        "batch 256",
        "depth 20",
        "depth 110",
        "1 run, 1 thread",
        "2 runs, 1 thread each",
        "matrix product, float32",
    ]
    assert [[peer.cores for peer in turn.peers] for turn in found.turns[-3:]] == [[(4,)], [(4,), (6,)], [(4, 6)]]
    assert found.absent == {}


def test_runs_at_once_need_two_threads_and_that_is_said() -> None:
    found = turns.growth((0,))
    assert found.absent == {"runs at once": "this needs two threads, and --threads is 1"}
    assert all(len(turn.peers) == 1 for turn in found.turns)


def test_what_is_not_installed_is_named() -> None:
    assert turns.missing("json", "torch") is None
    reason = turns.missing("json", "no_such_module", "nor_this_one")
    assert reason == "no_such_module and nor_this_one: not installed; `make bench` installs the peers"


def test_a_peer_goes_through_json_unchanged() -> None:
    for peer in (*turns.side_by_side((0, 1)).peers, *turns.growth((3, 5)).peers):
        assert turns.peer_from_json(peer.to_json()) == peer


def test_threads_are_taken_from_the_cores_that_there_are() -> None:
    assert turns.within([5, 2, 9], threads=2) == (2, 5)
    for threads in (0, 4):
        with pytest.raises(ValueError, match=f"--threads {threads}: this process may use 3 cores, so 1 to 3"):
            turns.within([5, 2, 9], threads=threads)
