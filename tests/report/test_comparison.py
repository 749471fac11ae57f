"""A comparison in words, in a table, as a picture: what is said, and what is said against it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import vl_convert

import crossing_arms
from fewepochs import errors, store
from fewepochs.report import comparison, comparison_console, comparison_figure, headline, page, picture
from fewepochs.stats import arms, estimates
from report_runs import ENVIRONMENT, killed, make_run

SLOW = "batch_size=32"


def fast_and_slow(n: int = 5, *, plateau: float = 0.973) -> list[store.StoredRun]:
    """Return n runs of a recipe and n twins of another that is slower, or never there."""
    fast = [make_run(seed=seed, plateau=0.985) for seed in range(n)]
    return [*fast, *(make_run(SLOW, seed=seed, plateau=plateau) for seed in range(n))]


def test_a_pair_is_told_with_ratio_interval_n_budget_and_tests() -> None:
    found = comparison.build(fast_and_slow(), targets=(0.97,))
    (sentence,), (pair,) = found["sentences"], found["pairs"]
    median, p = pair["median_ratio"], pair["logrank"]["p"]
    assert sentence.startswith(f"{pair['first']} needs {median['value']:.2f} (")
    assert f"of the epochs of {pair['second']} to 0.97, by medians" in sentence
    assert "(n = 5 and 5, paired; budget 20)" in sentence
    assert f"log-rank p = {comparison.p_value(p)}" in sentence
    assert "after correction" not in sentence  # a single test
    assert "the least that these pairs can give, ties included" in sentence
    assert "first" not in found["caveats"]


@pytest.mark.parametrize(
    ("times", "told"),
    [
        (((9, 9, 9), (9, 12, 12)), "within 3 pairs p = 0.5, the least that these pairs can give, ties included"),
        (((9, 9, 9), (9, 9, 9)), "within 3 pairs p = 1: "),
        (((9,) * 20, (12,) * 20), "within 20 pairs p = 0.0001, the least that so many rearrangements can give"),
    ],
)
def test_that_no_p_could_have_been_smaller_is_said_of_what_it_is_true_of(
    times: tuple[tuple[int, ...], tuple[int, ...]], told: str
) -> None:
    runs = [
        dataclasses.replace(make_run(f"batch_size={size}", seed=seed), epochs=tuple(crossing_arms.run(epoch).epochs))
        for size, arm in zip((64, 32), times, strict=True)
        for seed, epoch in enumerate(arm)
    ]

    assert told in comparison.build(runs, targets=(crossing_arms.TARGET,))["sentences"][0]


def test_joules_that_are_not_known_have_their_reason_beside_the_table() -> None:
    measured = [make_run(SLOW, seed=seed, joules=9.0) for seed in range(2)]
    found = comparison.build([*(make_run(seed=seed) for seed in range(2)), *measured], targets=(0.97,))
    told = "joules are not known of 2 of 4 runs: no energy counter on this machine."
    assert f"note: {told}" in comparison_console.lines(found)
    assert told in comparison_console.page(found).notes
    assert comparison.build(measured, targets=(0.97,))["absent"] == []


def test_seconds_of_runs_that_shared_their_device_are_said_to_be_so() -> None:
    alone = [make_run(seed=seed, environment={**ENVIRONMENT, "together": 1}) for seed in range(2)]
    resumed = [{"together": 2}, {"together": "many"}, "nonsense"]
    shared = make_run(SLOW, seed=0, environment={**ENVIRONMENT, "together": 3})
    later = make_run(SLOW, seed=1, environment={**ENVIRONMENT, "together": 1, "resumed": resumed})
    found = comparison.build([*alone, shared, later], targets=(0.97,), by="seconds")
    told = "2 of 4 runs shared their device with others, up to 3 at a time: their seconds are not those of a run alone."
    assert told in comparison_console.page(found).notes
    assert any("3 machines or settings" in caveat for caveat in found["caveats"])
    older = [make_run(seed=seed) for seed in range(2)]
    assert not any("shared" in note for note in comparison.build([*alone, *older], targets=(0.97,))["absent"])
    assert not any("machines" in caveat for caveat in comparison.build([*alone, *older], by="seconds")["caveats"])


def test_several_tests_are_corrected_and_it_is_said_for_how_many() -> None:
    found = comparison.build(fast_and_slow(), targets=(0.9, 0.97), looks=2)
    assert found["tests"] == 2
    assert all("after correction for 2 tests and 2 looks" in sentence for sentence in found["sentences"])


def test_a_test_that_speaks_for_the_higher_median_says_so() -> None:
    late, early = [16] * 11 + [None] * 9, [*range(2, 11), *[17] * 11]
    runs = [
        dataclasses.replace(make_run(f"batch_size={size}", seed=seed), epochs=tuple(crossing_arms.run(epoch).epochs))
        for size, crossings in ((32, late), (64, early))
        for seed, epoch in enumerate(crossings)
    ]
    (sentence,) = comparison.build(runs, targets=(crossing_arms.TARGET,))["sentences"]

    assert "(batch_size = 32) needs 0.94 (at least 0.94) of the epochs of" in sentence
    assert sentence.endswith("by all of their runs digits-step (batch_size = 64) needs less, whatever the medians say.")


def test_an_arm_that_never_arrives_is_told_as_a_bound() -> None:
    found = comparison.build(fast_and_slow(plateau=0.9), targets=(0.97,))
    (sentence,), (pair,) = found["sentences"], found["pairs"]
    bound = pair["median_ratio"]["below"]
    expected = f"{pair['first']} needs less than {bound:.2f} of the epochs of {pair['second']} to 0.97: "
    assert sentence.startswith(f"{expected}{pair['second']} has no median (n = 5 and 5")
    turned = comparison.build(fast_and_slow(plateau=0.9)[::-1], targets=(0.97,))
    assert " needs more than " in turned["sentences"][0]
    nobody = comparison.build(fast_and_slow(plateau=0.9), targets=(0.999,))
    assert "no ratio, neither has a median" in nobody["sentences"][0]
    assert "no test: no run reached the target." in nobody["sentences"][0]
    short = [make_run(SLOW, "budget.epochs=5", seed=seed, epochs=5, plateau=0.5) for seed in range(2)]
    beyond = comparison.build([*(make_run(seed=seed) for seed in range(2)), *short], targets=(0.97,))
    assert "no test: no run reached the target within the 5 epochs that both were followed." in beyond["sentences"][0]


@pytest.mark.parametrize(
    ("value", "low", "high", "above", "below", "text"),
    [
        (9.0, 8.0, 11.0, None, None, "9 (8 to 11)"),
        (9.0, 8.0, None, None, None, "9 (at least 8)"),
        (9.0, None, 11.0, None, None, "9 (at most 11)"),
        (9.0, None, None, None, None, "9 (no interval)"),
        (None, None, None, 20.0, None, "more than 20"),
        (None, None, None, None, 0.5, "less than 0.5"),
        (None, None, None, None, None, "-"),
    ],
)
def test_every_kind_of_estimate_has_words(
    value: float | None, low: float | None, high: float | None, above: float | None, below: float | None, text: str
) -> None:
    found = estimates.Estimate(value=value, low=low, high=high, above=above, below=below, n=5, confidence=0.95)
    assert comparison.with_interval(found, lambda number: f"{number:g}") == text


# --- caveats --------------------------------------------------------------------------------------------------------


def caveats(*runs: store.StoredRun, target: float = 0.97, by: arms.By = "epochs") -> str:
    return "\n".join(comparison.build(runs, targets=(target,), by=by)["caveats"])


def test_few_runs_are_said_with_what_their_range_covers() -> None:
    assert "n = 3 for digits-step" in caveats(*(make_run(seed=s) for s in range(3)))
    assert "in 75% of cases" in caveats(*(make_run(seed=s) for s in range(3)))
    assert "n = 1 for digits-step: a single run proves little" in caveats(make_run())
    assert "n = " not in caveats(*(make_run(seed=s) for s in range(6)))


def test_runs_that_ended_before_they_could_tell_do_not_count_as_many() -> None:
    early = [make_run(seed=seed, epochs=3, state="running") for seed in range(3, 10)]
    told = caveats(*(make_run(seed=seed) for seed in range(3)), *early)
    assert (
        "Of the 10 runs of digits-step, 3 reached 0.97 or were followed to the end of their budget: the intervals are "
        "no better than those of 3 runs." in told
    )
    assert "no better than" not in caveats(*(make_run(seed=seed) for seed in range(10)))


def test_more_looks_than_a_median_can_have_intervals_for_are_told() -> None:
    runs = [make_run(seed=seed) for seed in range(7)]
    found = comparison.build(runs, targets=(0.97,), looks=10)
    assert (
        "10 looks ask for intervals at 99.5%: lowest to highest of 7 runs holds the median in 98.4% of cases, and no "
        "interval of a median is wider." in found["caveats"]
    )
    assert not any("looks ask" in one for one in comparison.build(runs, targets=(0.97,), looks=2)["caveats"])


def test_a_mean_of_some_of_the_runs_has_their_number_beside_it() -> None:
    runs = [make_run(seed=seed, epochs=epochs, state="running") for seed, epochs in enumerate((20, 20, 0, 0))]
    told = comparison_console.lines(comparison.build(runs, targets=(0.999,)))
    (row,) = [line for line in told if ", n = 2" in line]
    assert row.split()[:2] == ["digits-step", "4"]
    assert "(mean of 2 runs)." in headline.build(comparison.build(runs, targets=(0.999,)))


def test_what_cannot_be_compared_is_said() -> None:
    budgets = caveats(make_run(), make_run("budget.epochs=30"))
    assert "The budgets differ" in budgets
    assert "A crossing belongs to a budget" in budgets
    held = 'data.validation={kind="held-out", images=300}'
    assert "not validated on the same images" in caveats(make_run(), make_run(held))
    assert "do not train on the same data set" in caveats(make_run(), make_run('data.kind="cifar10"'))
    alike = caveats(make_run(), make_run(SLOW))
    assert not any(word in alike for word in ("budgets differ", "same images", "same data"))


def test_what_became_of_censored_runs_is_said() -> None:
    told = caveats(
        make_run(seed=0, epochs=5, state="diverged", plateau=0.9),
        make_run(seed=1, epochs=5, state="interrupted", plateau=0.9),
        make_run(seed=2, epochs=5, state="running", plateau=0.9),
        make_run(seed=3, epochs=5, state="finished", reason="stopped at target 0.9", plateau=0.9),
    )
    assert "1 run diverged: counted as not there by the end of the budget" in told
    assert "1 run is interrupted: censored where it stands" in told
    assert "1 run is still running" in told
    assert "1 run stopped on purpose before the budget's end" in told
    gone = caveats(killed(make_run(epochs=5, plateau=0.9)))
    assert "1 run is crashed: censored where it stands" in gone
    assert "still running" not in gone
    reached = caveats(make_run(epochs=18, state="interrupted", plateau=0.99))
    assert "interrupted" not in reached


def test_pinned_crossings_copies_and_test_images_are_said() -> None:
    pinned = caveats(*(make_run(seed=s, drop_after=8, plateau=0.99) for s in range(2)), target=0.95)
    assert "Pinned crossings (2 of 2 of digits-step to 0.95)" in pinned
    copied = caveats(make_run(seed=1), make_run(seed=1, folder="elsewhere"))
    assert "elsewhere has the recipe and seeds of" in copied
    assert "n = 1" in copied
    crashed = make_run(seed=1, folder="a-crashed-one", epochs=3, state="crashed")
    for runs in ((crashed, make_run(seed=1)), (make_run(seed=1), crashed)):
        assert "a-crashed-one has the recipe and seeds of" in caveats(*runs)
        assert comparison.build(runs, targets=(0.9,))["rows"][0]["reached"] == 1
    assert "chosen on the test set" in caveats(make_run())


def test_seconds_across_machines_are_said() -> None:
    other = {"device": "cuda", "threads": 2}
    runs = (make_run(seed=0), make_run(seed=1, environment=other))
    assert "2 machines or settings" in caveats(*runs, by="seconds")
    assert "machines" not in caveats(*runs)
    assert "2 runs are left out, because their joules are not known" in caveats(*runs, by="joules")


# --- table and JSON -------------------------------------------------------------------------------------------------


def test_the_table_has_a_row_a_recipe_and_its_n() -> None:
    found = comparison.build(fast_and_slow(), targets=(0.9, 0.97), width=1.0)
    told = comparison_console.lines(found)
    assert told[0] == "epochs until 0.9 is first reached; intervals at 95%"
    assert told[1].split()[:4] == ["recipe", "budget", "n", "reached"]
    assert told[1].endswith("n for width 1")
    assert "5 of 5" in told[2]
    assert "how far from the fastest, by medians" in told
    assert told[-1].startswith("note: ")
    assert all(line or before for line, before in zip(told, ["", *told[:-1]], strict=True))
    nothing_asked = [make_run("targets=[]")]
    assert comparison_console.lines(comparison.build(nothing_asked))[4].startswith("No target was asked")


def test_what_is_found_is_json_and_the_same_for_runs_in_any_order() -> None:
    runs = fast_and_slow(3)
    found = comparison.build(runs)
    json.dumps(found, allow_nan=False)
    shuffled = comparison.build([runs[2], runs[0], runs[1], runs[5], runs[4], runs[3]])
    assert shuffled == found


def test_many_recipes_are_compared_with_the_first_and_told_in_part() -> None:
    runs = [make_run(f"batch_size={16 + k}", seed=s) for k in range(31) for s in range(2)]
    found = comparison.build(runs, targets=(0.9,))
    assert len(found["sentences"]) == 30
    assert "31 recipes: each is compared with the first" in found["caveats"][-1]
    assert "... and 2 more pairs: --json has them." in comparison_console.lines(found)


# --- picture and page -----------------------------------------------------------------------------------------------


def layers(found: dict[str, Any]) -> list[list[dict[str, Any]]]:
    spec = comparison_figure.chart(found).to_dict()
    (plot,) = spec["vconcat"]
    return [spec["datasets"][layer["data"]["name"]] for layer in plot["layer"]]


def test_the_line_rises_at_crossings_and_ticks_stand_where_runs_ended() -> None:
    runs = [make_run(seed=0, plateau=0.99), make_run(seed=1, plateau=0.99), make_run(seed=2, plateau=0.9)]
    found = comparison.build(runs, targets=(0.97,))
    crossings = sorted(step["time"] for step in found["rows"][0]["curve"] if step["reached"])
    band, _, line, ended, medians = layers(found)
    assert (line[0]["time"], line[0]["share"]) == (0, 0)
    assert {point["time"] for point in line[1:]} == {*crossings, 20.0}
    assert line[-1]["share"] == pytest.approx(2 / 3)
    assert [(point["time"], round(point["share"], 3)) for point in ended] == [(20.0, 0.667)]
    assert [point["time"] for point in medians] == [found["rows"][0]["median"]["value"]]
    assert all(point["low"] <= point["high"] for point in band)
    assert {point["arm"] for point in line} == {"digits-step (n = 3)"}


@pytest.mark.parametrize("suffix", picture.FORMATS)
def test_the_picture_is_drawn_in_every_format(tmp_path: Path, suffix: str) -> None:
    found = comparison.build(fast_and_slow(2))
    comparison_figure.write(tmp_path / f"a{suffix}", found)
    assert (tmp_path / f"a{suffix}").stat().st_size > 1000


def test_bands_of_many_recipes_are_left_out_and_colours_come_again_with_another_dash() -> None:
    runs = [make_run(f"batch_size={16 + k}", seed=s) for k in range(24) for s in range(2)]
    found = comparison.build(runs, targets=(0.9,))
    assert len(layers(found)) == 4
    spec = comparison_figure.chart(found).to_dict()
    assert vl_convert.vegalite_to_svg(spec)
    inks = spec["vconcat"][0]["layer"][1]["encoding"]
    both = list(zip(inks["color"]["scale"]["range"], map(tuple, inks["strokeDash"]["scale"]["range"]), strict=True))
    assert len(set(both)) == 24


def test_targets_that_are_written_alike_have_numbers_of_their_own() -> None:
    found = comparison.build(fast_and_slow(2), targets=(0.9, 0.9000001))
    spec = comparison_figure.chart(found).to_dict()
    names = [{layer["data"]["name"] for layer in plot["layer"]} for plot in spec["vconcat"]]
    assert len(names) == 2
    assert names[0].isdisjoint(names[1])
    assert names[0] | names[1] == set(spec["datasets"])


def test_there_is_nothing_to_draw_of_single_runs(tmp_path: Path) -> None:
    found = comparison.build([make_run()])
    with pytest.raises(errors.RecipeError, match="nothing to draw"):
        comparison_figure.write(tmp_path / "a.svg", found)
    assert 'id="together"' not in page.render([make_run()])


def test_the_page_shows_runs_of_a_recipe_together() -> None:
    runs = [*fast_and_slow(2), make_run("budget.epochs=30", seed=7, epochs=30)]
    text = page.render(runs, targets=(0.9,))
    found = comparison.build(runs, targets=(0.9,))
    assert 'id="together"' in text
    for row in found["rows"]:
        assert f'<th scope="row">{row["arm"]}</th>' in text
    assert "A crossing belongs to a budget" in text
    assert page.render(runs, targets=(0.9,)) == text
