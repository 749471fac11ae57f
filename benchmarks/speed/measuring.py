"""Rounds: each peer is started, warmed up, and then asked in turn, A B C A B C, while all others wait.

A round holds each turn once, in the same order, so that a machine that slows down slows all alike. There are as many
rounds as were wished for, or as fit into the time; a peer that fails takes part no more, and its reason is kept.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.speed import turns
from benchmarks.speed.pipes import PeerError, Process

ROOT = Path(__file__).parents[2]
START_SECONDS, ROUND_SECONDS = 600.0, 600.0
FEWEST_ROUNDS = 3

Say = Callable[[str], None]


class Asked(Protocol):
    """Who can be asked: a process, or what stands for one in a test."""

    def ask(self, question: Mapping[str, Any]) -> None:
        """Send a question."""

    def answer(self, *, timeout: float) -> dict[str, Any]:
        """Return what it says to it."""

    def close(self) -> None:
        """End it."""


@dataclass
class Measured:
    """What came out: `answers` of each turn, round by round; `facts` of each peer; who failed and why."""

    answers: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    rounds: int = 0
    interrupted: bool = False


@dataclass(frozen=True)
class Wishes:
    """At most so many `rounds`, of `steps` each turn, in about so many `minutes`, after `warm_up` rounds."""

    rounds: int = 15
    steps: int = 2
    minutes: float = 10.0
    warm_up: int = 1


def measure(programme: turns.Programme, *, data: Path | None, images: Path, wishes: Wishes, say: Say) -> Measured:
    """Start everybody, let them take turns, end everybody; what an interruption leaves is what was done before it."""
    begin, measured = time.monotonic(), Measured(failed=dict(programme.absent))
    for name, reason in programme.absent.items():
        say(f"{name}: absent: {reason}")
    with ExitStack() as stack:
        asked = {}
        for peer in programme.peers:
            place = data if peer.kind == "ours" else images
            asked[peer.name] = stack.enter_context(_started(peer, place=place))
            try:
                measured.facts[peer.name] = _first(asked[peer.name])
                say(f"{peer.name}: first step after {measured.facts[peer.name]['first_step_seconds']:.1f} s")
            except PeerError as error:
                measured.failed[peer.name] = str(error)
                say(f"{peer.name}: left out: {error}")
                asked[peer.name].close()
        refuse_other_networks(programme, measured)

        def passed() -> float:
            return time.monotonic() - begin

        try:
            take_turns(programme, asked, measured=measured, wishes=wishes, passed=passed, say=say)
        except KeyboardInterrupt:
            measured.interrupted = True
            say(f"interrupted after {measured.rounds} rounds")
    return measured


def take_turns(
    programme: turns.Programme,
    asked: Mapping[str, Asked],
    *,
    measured: Measured,
    wishes: Wishes,
    passed: Callable[[], float],
    say: Say,
) -> None:
    """Ask everybody in turn, `warm_up` rounds for nothing and then for the record; `passed` tells the seconds so far.

    Only whole rounds are recorded. A round is begun while fewer than FEWEST_ROUNDS are done, or one that takes as long
    as the longest so far would still end in time.
    """
    longest = 0.0
    for number in range(-wishes.warm_up, wishes.rounds):
        before = passed()
        if number >= FEWEST_ROUNDS and before + longest > 60 * wishes.minutes:
            say(f"{wishes.minutes:g} minutes hold {number} rounds")
            return
        found = dict(_round(programme, asked, measured=measured, steps=wishes.steps, say=say))
        if not found:
            say("nobody is left to be measured")
            return
        if number < 0:
            said = "warm-up"
        else:
            longest = max(longest, passed() - before)
            measured.rounds += 1
            said = f"round {measured.rounds} of at most {wishes.rounds}"
            for name, answer in found.items():
                measured.answers.setdefault(name, []).append(answer)
        times = ", ".join(f"{name} {1e3 * answer['seconds'] / wishes.steps:.0f}" for name, answer in found.items())
        say(f"{said}, {passed():.0f} s of {60 * wishes.minutes:.0f} s; ms a step: {times}")


def refuse_other_networks(programme: turns.Programme, measured: Measured) -> None:
    """Leave out who has another number of trainable parameters than ours of the same depth."""
    counts = {
        peer.depth: measured.facts[peer.name]["trainable_parameters"]
        for peer in programme.peers
        if peer.kind == "ours" and peer.name in measured.facts
    }
    for peer in programme.peers:
        count = measured.facts.get(peer.name, {}).get("trainable_parameters")
        if count is not None and count != counts.get(peer.depth, count):
            measured.failed[peer.name] = f"{count} trainable parameters, ours has {counts[peer.depth]}"


def _round(
    programme: turns.Programme, asked: Mapping[str, Asked], *, measured: Measured, steps: int, say: Say
) -> Iterator[tuple[str, dict[str, float]]]:
    for turn in programme.turns:
        if any(peer.name in measured.failed for peer in turn.peers):
            continue
        question = {"steps": steps, "augmented": turn.augmented}
        answers = list(_together([(peer.name, asked[peer.name]) for peer in turn.peers], question, measured, say))
        if len(answers) < len(turn.peers):
            continue
        for peer, answer in zip(turn.peers, answers, strict=True):
            measured.facts[peer.name]["peak_memory_bytes"] = answer.pop("peak_memory_bytes", None)
        # Of those who work at once, the slowest says how long the turn took.
        yield turn.name, max(answers, key=lambda answer: answer["seconds"])


def _together(
    peers: Sequence[tuple[str, Asked]], question: Mapping[str, Any], measured: Measured, say: Say
) -> Iterator[dict[str, float]]:
    """Ask all of `peers` before the first answer is waited for; who fails is ended, so that it disturbs nobody."""

    def failed(name: str, peer: Asked, error: PeerError) -> None:
        measured.failed[name] = str(error)
        say(f"{name}: left out from here: {error}")
        peer.close()

    for name, peer in peers:
        try:
            peer.ask(question)
        except PeerError as error:
            failed(name, peer, error)
    for name, peer in peers:
        if name not in measured.failed:
            try:
                yield peer.answer(timeout=ROUND_SECONDS)
            except PeerError as error:
                failed(name, peer, error)


@contextmanager
def _started(peer: turns.Peer, *, place: Path | None) -> Iterator[Process]:
    with tempfile.TemporaryDirectory(prefix="fewepochs-speed-") as folder:
        command = [sys.executable, "-m", "benchmarks.speed.worker", peer.to_json()]
        command += [] if place is None else [str(place)]
        process = Process(command, environment=environment(threads=len(peer.cores)), log=Path(folder) / "log")
        try:
            yield process
        finally:
            process.close()


def environment(*, threads: int) -> dict[str, str]:
    """Return the variables of a peer: this checkout's code, its threads, and no accelerator."""
    path = os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def _first(process: Process) -> dict[str, Any]:
    """Wait for a peer's first step; return its facts, with the seconds from its start to the end of that step."""
    process.answer(timeout=START_SECONDS)
    seconds = process.seconds
    return {**process.answer(timeout=START_SECONDS), "first_step_seconds": round(seconds, 2)}
