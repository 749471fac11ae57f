"""The answer in one sentence says what was reached, with interval and n, and what may be chance."""

from __future__ import annotations

import pytest

from fewepochs import store
from fewepochs.report import comparison, headline
from report_runs import make_run


def _told(*runs: store.StoredRun, targets: tuple[float, ...] = (0.9, 0.97), rule: str = "first") -> str:
    return headline.build(comparison.build(runs, targets=targets, rule=rule))  # type: ignore[arg-type]


def _arm(size: int, *, plateau: float, seeds: int = 8, epochs: int = 20) -> list[store.StoredRun]:
    return [make_run(f"batch_size={size}", seed=seed, plateau=plateau, epochs=epochs) for seed in range(seeds)]


def test_a_single_run_is_told_as_one() -> None:
    assert _told(make_run()) == "digits-step reaches 0.97 after 15 epochs, one run."


def test_one_recipe_has_its_median_interval_and_n() -> None:
    told = _told(*(make_run(seed=seed) for seed in range(8)))

    assert told == "digits-step reaches 0.97 after a median of 14 (13 to 14) epochs, 8 of 8 runs."


def test_the_first_of_several_is_named_with_the_next_and_its_p() -> None:
    told = _told(*_arm(32, plateau=0.999), *_arm(64, plateau=0.98))

    assert told.startswith("digits-step (batch_size = 32) reaches 0.97 first after a median of 10 (")
    assert "; digits-step (batch_size = 64), the next, needs more (p = 0.0" in told


def test_a_lead_that_could_be_chance_says_so() -> None:
    told = _told(*_arm(32, plateau=0.985, seeds=3), *_arm(64, plateau=0.98, seeds=3))

    assert told.endswith("; its lead over digits-step (batch_size = 64) could be chance (p = 0.2).")


def test_two_recipes_with_one_median_are_undecided() -> None:
    told = _told(*_arm(32, plateau=0.98), *_arm(64, plateau=0.98))

    assert told.startswith("digits-step (batch_size = 32) reaches 0.97 after a median of ")
    assert told.endswith("; digits-step (batch_size = 64) has the same median: undecided.")


def test_pinned_crossings_are_said_with_the_answer() -> None:
    told = _told(make_run(drop_after=13))

    assert told.endswith("; 1 of these crossings is pinned to a drop of the rate.")


def test_a_target_that_few_reach_is_passed_over_for_a_lower_one() -> None:
    runs = [make_run(seed=0), *(make_run(seed=seed, plateau=0.93) for seed in (1, 2))]

    assert " reaches 0.9 after a median of " in _told(*runs)


def test_what_nobody_reaches_is_told_with_the_best_accuracy() -> None:
    told = _told(*(make_run(seed=seed, plateau=0.6) for seed in range(2)))

    assert told.startswith(
        "No recipe reaches 0.9 in half of its runs: none of 2 runs did. The best accuracy is that of"
    )
    assert told.endswith("(mean of 2 runs).")


def test_a_rule_that_holds_says_holds() -> None:
    assert _told(make_run(), rule="held").startswith("digits-step holds 0.97 after ")


@pytest.mark.parametrize("targets", [(), (0.9,)])
def test_without_an_epoch_nothing_is_claimed(targets: tuple[float, ...]) -> None:
    told = _told(make_run("targets=[]", epochs=0, state="running"), targets=targets)

    assert told.endswith("No epoch is done yet.")
