"""Peers without a process: what the rounds of the speed benchmark are tested with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.speed import turns
from benchmarks.speed.measuring import Measured
from benchmarks.speed.pipes import PeerError

Log = list[tuple[str, str]]
"""What was asked ("ask") and answered ("answer") by whom, in order."""


class Told:
    """Answers what it was told to, and fails from its `fails_at`-th answer on (1-based)."""

    def __init__(self, name: str, log: Log, *, seconds: float = 1.0, fails_at: int | None = None) -> None:
        self.name, self.log, self.seconds, self.fails_at = name, log, seconds, fails_at
        self.asked: list[Mapping[str, Any]] = []
        self.closed = False

    def ask(self, question: Mapping[str, Any]) -> None:
        self.log.append(("ask", self.name))
        self.asked.append(question)

    def answer(self, *, timeout: float) -> dict[str, Any]:
        self.log.append(("answer", self.name))
        if self.fails_at is not None and len(self.asked) >= self.fails_at:
            raise PeerError("it has ended (exit status -9)")
        return {"seconds": self.seconds, "peak_memory_bytes": 1024 * len(self.asked)}

    def close(self) -> None:
        self.closed = True


def peer(name: str, kind: turns.Kind = "plain", **fields: Any) -> turns.Peer:
    return turns.Peer(name, kind, (0,), **fields)


def programme(*groups: tuple[str, ...]) -> turns.Programme:
    """Return a programme of a turn for each group of peers; a group's name is its peers', joined."""
    return turns.Programme(tuple(turns.Turn("+".join(g), tuple(peer(name) for name in g)) for g in groups), {})


def begun(of: turns.Programme) -> Measured:
    """Return what is known when everybody has done a first step."""
    return Measured(facts={one.name: {"trainable_parameters": 7} for one in of.peers})
