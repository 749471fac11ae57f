"""The answer in one sentence says what was reached, with interval and n, and what may be chance."""

from __future__ import annotations

import itertools

import pytest

from crossing_arms import TARGET, arm
from fewepochs import store
from fewepochs.report import comparison, headline
from fewepochs.stats import arms, compare
from report_runs import make_run


def _told(*runs: store.StoredRun, targets: tuple[float, ...] = (0.9, 0.97), rule: str = "first") -> str:
    return headline.build(comparison.build(runs, targets=targets, rule=rule))  # type: ignore[arg-type]


def _arm(size: int, *, plateau: float, seeds: int = 8, epochs: int = 20) -> list[store.StoredRun]:
    return [make_run(f"batch_size={size}", seed=seed, plateau=plateau, epochs=epochs) for seed in range(seeds)]


def _asked(*groups: arms.Arm) -> str:
    found = compare.compare(groups, targets=(TARGET,)).model_dump(mode="json")
    return headline.build({"targets": [TARGET], **found})


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


def test_a_test_that_rejects_for_the_other_recipe_gives_the_first_no_lead() -> None:
    told = _asked(arm("a", [16] * 11 + [None] * 9), arm("b", [*range(2, 11), *[17] * 11], first_seed=100))

    assert told == (
        "a reaches 0.9 after a median of 16 (at least 16) epochs, 11 of 20 runs; "
        "by all of their runs b needs less (p = 0.0061): median and test disagree."
    )


def test_the_next_is_the_nearest_in_whatever_order_runs_are_read() -> None:
    groups = [
        arm("none", [None] * 6, first_seed=10),
        arm("best", [5, 6, 7, 8, 9, 10]),
        arm("some", [5, 6, None, None, None, None], first_seed=20),
    ]

    (told,) = {_asked(*order) for order in itertools.permutations(groups)}
    assert told.startswith("best reaches 0.9 first after a median of 7 ")
    assert told.endswith("; its lead over some could be chance (p = 0.12).")


def test_who_was_not_followed_that_far_is_behind_nobody() -> None:
    late = arm("late", [15, 16, 16, 17, 18])
    short = arm("short", [None] * 5, first_seed=10, epochs=8, budget=8)
    shorter = arm("shorter", [None] * 5, first_seed=20, epochs=8, budget=8)
    long = arm("long", [None] * 5, first_seed=30)

    needs = "late reaches 0.9 after a median of 16 (15 to 18) epochs, 5 of 5 runs"
    assert _asked(short, late) == f"{needs}; short was followed to 8 epochs only."
    assert _asked(late, short, shorter) == f"{needs}; 2 recipes were not followed that far."
    assert _asked(late, long).startswith("late reaches 0.9 first after ")
    both = _asked(late, short, long)
    assert both.startswith(f"{needs}; long, the next, needs more (p = ")
    assert both.endswith("; short was followed to 8 epochs only.")


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
