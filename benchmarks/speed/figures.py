"""From what was measured to what is kept: a value for JSON with every round's seconds and every figure made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.speed import arithmetic, turns
from benchmarks.speed.measuring import Measured, Wishes

EVALUATED = 500
"""Images that a round of ours evaluates: the evaluation batch of fewepochs."""


def side_by_side(programme: turns.Programme, measured: Measured, *, wishes: Wishes) -> dict[str, Any]:
    """Return the comparison: figures of each turn, its ratios to ours, an epoch of ours."""
    seconds = _step_seconds(measured, steps=wishes.steps)
    rows = _rows(programme, measured, wishes=wishes)
    for turn in programme.turns:
        if turn.name in rows and turn.peers[0].kind != "product":
            ours = seconds.get(turns.OURS if turn.augmented else turns.OURS_PLAIN, [])
            rows[turn.name]["over_ours"] = _figure(arithmetic.ratios(seconds[turn.name], ours))
    epochs = {}
    for turn in programme.turns:
        if turn.peers[0].kind == "ours" and turn.augmented and turn.name in rows:
            epochs[turn.name] = _epoch(measured.answers[turn.name], batch=turn.peers[0].batch, steps=wishes.steps)
    return _result(rows, measured, wishes=wishes) | {"epoch": epochs}


def growth(programme: turns.Programme, measured: Measured, *, wishes: Wishes) -> dict[str, Any]:
    """Return how cost grows: figures of each turn, and its images per second over those of the first turn."""
    rates = {
        turn.name: [_images(turn, wishes.steps) / answer["seconds"] for answer in measured.answers.get(turn.name, ())]
        for turn in programme.turns
    }
    rows = _rows(programme, measured, wishes=wishes)
    base = programme.turns[0].name
    for turn in programme.turns:
        if turn.name in rows and turn.peers[0].kind != "product":
            rows[turn.name]["rate_over_base"] = _figure(arithmetic.ratios(rates[turn.name], rates[base]))
    return _result(rows, measured, wishes=wishes) | {"base": base}


def _rows(programme: turns.Programme, measured: Measured, *, wishes: Wishes) -> dict[str, dict[str, Any]]:
    seconds = _step_seconds(measured, steps=wishes.steps)
    products = {
        turn.peers[0].precision: [measured.facts[turn.peers[0].name]["flops"] / s for s in seconds[turn.name]]
        for turn in programme.turns
        if turn.peers[0].kind == "product" and turn.name in seconds
    }
    flops = {
        (peer.batch, peer.depth): measured.facts[peer.name]["flops_per_step"]
        for peer in programme.peers
        if peer.kind == "ours" and peer.name in measured.facts
    }
    rows: dict[str, dict[str, Any]] = {}
    for turn in programme.turns:
        if turn.name not in seconds:
            continue
        peer, of_turn = turn.peers[0], seconds[turn.name]
        row: dict[str, Any] = {"processes": [one.name for one in turn.peers], "step_seconds": of_turn}
        if peer.kind == "product":
            row["gflops"] = _figure([rate / 1e9 for rate in products[peer.precision]])
        else:
            row["milliseconds"] = _figure([1e3 * s for s in of_turn])
            row["images_per_second"] = _figure([_images(turn, 1) / s for s in of_turn])
            step = len(turn.peers) * flops.get((peer.batch, peer.depth), 0)
            peaks = products.get(peer.precision, [])
            row["share_of_peak"] = _figure(arithmetic.share_of_peak(of_turn, flops=step, peaks=peaks) if step else [])
        rows[turn.name] = row
    return rows


def _result(rows: Mapping[str, Any], measured: Measured, *, wishes: Wishes) -> dict[str, Any]:
    facts = {name: dict(found) for name, found in measured.facts.items()}
    environments = [found.pop("environment") for found in facts.values() if "environment" in found]
    return {
        "interval": arithmetic.INTERVAL,
        "rounds": measured.rounds,
        "interrupted": measured.interrupted,
        "steps_per_turn": wishes.steps,
        "warm_up_rounds": wishes.warm_up,
        "environment": environments[0] if environments else None,
        "turns": dict(rows),
        "processes": facts,
        "absent": dict(measured.failed),
    }


def _step_seconds(measured: Measured, *, steps: int) -> dict[str, list[float]]:
    return {name: [answer["seconds"] / steps for answer in of] for name, of in measured.answers.items()}


def _images(turn: turns.Turn, steps: int) -> int:
    return steps * sum(peer.batch for peer in turn.peers)


def _epoch(answers: Sequence[Mapping[str, float]], *, batch: int, steps: int) -> dict[str, Any]:
    whole = [
        arithmetic.epoch_seconds(
            plan=one["plan"],
            step=one["seconds"] / steps,
            batch=batch,
            evaluation=one["evaluation"],
            evaluated=EVALUATED,
        )
        for one in answers
    ]
    return {
        "scaled_from": f"{steps * batch:,} of {arithmetic.TRAINING_IMAGES:,} training images, "
        f"{EVALUATED:,} of {arithmetic.TEST_IMAGES:,} test images, the whole epoch's plan",
        "seconds": _figure(whole),
        "plan_seconds": _figure([one["plan"] for one in answers]),
        "evaluation_seconds": _figure([one["evaluation"] * arithmetic.TEST_IMAGES / EVALUATED for one in answers]),
    }


def _figure(values: Sequence[float]) -> dict[str, float] | None:
    return asdict(arithmetic.figure(values)) if values else None
