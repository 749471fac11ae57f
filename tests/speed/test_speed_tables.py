"""What is kept is what was measured, and what docs/speed.md shows is what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from programmes import begun, peer

from benchmarks.speed import arithmetic, figures, ours, tables, turns
from benchmarks.speed.measuring import Wishes

WISHES = Wishes(rounds=3, steps=2)
FACTS = {"first_step_seconds": 4.0, "peak_memory_bytes": 3 * 2**20}


def comparison() -> dict[str, Any]:
    """Return a comparison of ours, which takes 1, 2 and 4 s a step, and of one that takes thrice as long."""
    own, other, product = peer(turns.OURS, "ours"), peer("other"), peer("matrix product, float32", "product")
    of = turns.Programme(tuple(turns.Turn(one.name, (one,)) for one in (own, other, product)), {"JAX": "not there"})
    measured = begun(of)
    measured.rounds, measured.failed = 3, dict(of.absent)
    for name, extra in (
        (own.name, {"flops_per_step": 5 * 10**10, "environment": {"threads": 1}}),
        (product.name, {"flops": 10**11}),
    ):
        measured.facts[name] |= FACTS | extra
    measured.facts[other.name] |= FACTS
    seconds = (1.0, 2.0, 4.0)
    measured.answers[own.name] = [{"seconds": 2 * s, "plan": 0.5, "evaluation": s} for s in seconds]
    measured.answers[other.name] = [{"seconds": 6 * s} for s in seconds]
    measured.answers[product.name] = [{"seconds": 2 * s} for s in seconds]
    return {"load_before": 0.0, **figures.side_by_side(of, measured, wishes=WISHES)}


def growing() -> dict[str, Any]:
    """Return the growth from a batch of 64 in 1 s to one of 128 in 1 s, and two runs of 64 in 1 s."""
    one, two, third = peer("base", "ours"), peer("twice", "ours", batch=128), peer("other", "ours")
    of = turns.Programme(
        (turns.Turn("base", (one,)), turns.Turn("twice", (two,)), turns.Turn("both", (one, third))), {}
    )
    measured = begun(of)
    for name in measured.facts:
        measured.facts[name] |= FACTS | {"flops_per_step": 50, "environment": {"threads": 1}}
    measured.rounds = 3
    measured.answers = {turn.name: [{"seconds": 2.0}] * 3 for turn in of.turns}
    return {"load_before": 0.0, **figures.growth(of, measured, wishes=WISHES)}


def test_figures_are_per_step_and_ratios_are_taken_within_a_round() -> None:
    found = comparison()
    own, other = found["turns"][turns.OURS], found["turns"]["other"]
    assert own["step_seconds"] == [1.0, 2.0, 4.0]
    assert own["milliseconds"]["median"] == 2000.0
    assert own["images_per_second"]["median"] == 32.0
    assert other["over_ours"] == {"median": 3.0, "p10": 3.0, "p90": 3.0, "n": 3}
    # 50 GFLOP a step against 100 of a product that takes as long: half, in each round.
    assert own["share_of_peak"] == {"median": 0.5, "p10": 0.5, "p90": 0.5, "n": 3}


def test_an_epoch_of_ours_is_scaled_up_and_says_from_what() -> None:
    epoch = comparison()["epoch"][turns.OURS]
    assert epoch["seconds"]["median"] == float(f"{0.5 + 2 * 781.25 + 20 * 2.0:.4g}")
    assert epoch["scaled_from"].startswith("128 of 50,000 training images, 500 of 10,000 test images")


def test_growth_counts_the_images_of_all_runs() -> None:
    rows = growing()["turns"]
    assert [rows[name]["rate_over_base"]["median"] for name in ("base", "twice", "both")] == [1.0, 2.0, 2.0]


def test_tables_name_everybody_and_who_is_absent() -> None:
    text = tables.side_by_side(comparison())
    assert "| other | 6,000 (3,600 to 10,800) | 3.00 (3.00 to 3.00) | 10.7" in text
    assert "A step is 50.0 GFLOP." in text
    assert "Absent: JAX: not there." in text
    assert "6 MiB" in tables.growth(growing()), "two processes of 3 MiB"


def test_a_profile_has_its_shares_in_percent() -> None:
    share = {"median": 0.5, "lowest": 0.25, "highest": 1.0}
    where = {"threads": 2, "cpu": "one", "cpu_capability": "AVX2", "kernels": "fused"}
    text = tables.profile({"steps": 3, "shares": {"additions": share}, "environment": where})
    assert "| additions | 50.0% (25.0% to 100.0%) |" in text
    assert "3 steps" in text


def test_figures_agree_with_the_json_they_are_kept_in(tmp_path: Path) -> None:
    (tmp_path / "speed-cpu.json").write_text(json.dumps(comparison()))
    page = "a\n<!-- speed: side by side -->\nold\n<!-- end -->\nb\n<!-- speed: growth -->\n<!-- end -->\n"
    filled = tables.fill(page, results=tmp_path)
    assert filled.startswith("a\n<!-- speed: side by side -->\n\n| | ms a step |")
    assert filled.endswith(f"b\n<!-- speed: growth -->\n\n{tables.UNMEASURED}\n\n<!-- end -->\n")
    assert tables.fill(filled, results=tmp_path) == filled


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.01234, "0.0123"), (1.0, "1.00"), (99.96, "100"), (123.4, "123"), (12345.0, "12,300")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert tables._number(value) == text


def test_the_page_shows_what_is_kept() -> None:
    page = tables.PAGE.read_text()
    assert tables.fill(page) == page, "python -m benchmarks.speed.tables makes it anew"


def test_kept_figures_are_those_of_the_kept_seconds() -> None:
    for file, _ in tables.PARTS.values():
        path = tables.RESULTS / file
        for turn in json.loads(path.read_text()).get("turns", {}).values() if path.exists() else ():
            if "milliseconds" in turn:
                found = arithmetic.figure([1e3 * s for s in turn["step_seconds"]])
                assert turn["milliseconds"]["median"] == found.median


def test_the_evaluation_that_is_scaled_up_is_the_one_that_is_measured() -> None:
    assert figures.EVALUATED == ours.EVALUATED
