"""A claim against runs: which runs count, and what each kind of item says of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from claim_runs import DROP, PUBLISHED_GPU, claim_run, experiment
from fewepochs import store
from fewepochs.claims import catalogue, evidence, judge, matching, rules
from fewepochs.report import replication
from fewepochs.stats import ranges

BASE = experiment("part1-bs64")
AS_PUBLISHED = {30: 0.90, 82: 0.915, 84: 0.921, 120: 0.926, 133: 0.9298}


def five(**changes: Any) -> list[store.StoredRun]:
    return [claim_run(BASE, AS_PUBLISHED, seed=seed, **changes) for seed in range(5)]


def items(claim: str, runs: Sequence[store.StoredRun]) -> dict[str, dict[str, Any]]:
    return {item["item"]: item for item in replication.build(catalogue.find(claim), runs)["items"]}


def test_five_runs_as_published_reproduce_the_claim() -> None:
    found = items("part1-bs64", five(gpu=PUBLISHED_GPU, joules=1950.0, seconds=20.0))
    verdicts = {name: item["verdict"] for name, item in found.items()}
    assert verdicts.pop("load of the GPU") == "not testable"
    assert verdicts.pop("epochs to 0.928") == "reproduced"  # 133 is more than 140, a run's variation allowed for
    assert set(verdicts.values()) == {"reproduced"}
    assert found["watts"]["ours"] == "97.5 (97.5 to 97.5)"
    assert found["epochs to 0.92"]["ours"] == "84 (84 to 84)"
    assert found["epochs to 0.92"]["coverage"] == 0.9375


def test_pinned_crossings_are_counted_and_said() -> None:
    runs = [claim_run(BASE, {83: 0.921, 133: 0.9298}, seed=seed) for seed in range(5)]
    found = replication.build(catalogue.find("part1-bs64"), runs)
    assert items("part1-bs64", runs)["epochs to 0.92"]["pinned"] == 5
    assert any("Pinned crossings (5 of 5 to 0.91; 5 of 5 to 0.92)" in caveat for caveat in found["caveats"])


def test_another_machine_s_seconds_are_shown_and_not_judged() -> None:
    item = items("part1-bs64", five(seconds=21.0))["seconds an epoch"]
    assert (item["verdict"], item["rule"], item["value"]) == ("not testable", "other-machine", 22.0)
    assert item["reason"] == "it speaks of RTX 4060 Ti; measured on a processor"
    mixed = [*five(gpu=PUBLISHED_GPU)[:4], claim_run(BASE, {}, seed=9)]
    assert items("part1-bs64", mixed)["seconds an epoch"]["verdict"] == "not testable"


def test_seconds_and_load_of_runs_that_shared_their_device_are_not_judged() -> None:
    runs = [
        dataclasses.replace(run, environment={**run.environment, "together": 4})
        for run in five(gpu=PUBLISHED_GPU, seconds=20.0)
    ]
    found = items("part1-bs64", runs)
    for name in ("seconds an epoch", "load of the GPU"):
        assert (found[name]["verdict"], found[name]["reason"]) == ("not testable", "4 runs at a time shared the device")


def test_joules_that_were_not_measured_leave_the_reason() -> None:
    item = items("part1-bs64", five(gpu=PUBLISHED_GPU))["watts"]
    assert (item["verdict"], item["reason"]) == ("not testable", "no counter")


def test_runs_far_from_the_claim_do_not_reproduce_it() -> None:
    late = [claim_run(BASE, {120 + seed: 0.925}, seed=seed) for seed in range(5)]
    found = items("part1-bs64", late)
    assert found["epochs to 0.92"]["verdict"] == "not reproduced"
    assert found["best val_acc"]["verdict"] == "not reproduced"
    assert found["epoch of the best val_acc"]["rule"] == "beyond"


def test_runs_that_were_stopped_early_leave_open_what_they_did_not_see() -> None:
    early = five(epochs=60, state="interrupted")
    found = items("part1-bs64", early)
    assert found["epochs to 0.92"]["verdict"] == "not testable"
    assert found["best val_acc"]["verdict"] == "not testable"
    assert found["best val_acc"]["ours"] == "? (0.9000 to 1.0000)"
    assert found["epochs to 0.92"]["ours"] == "? (61 or more)"
    assert found["epochs to 0.92"]["reason"].endswith("; 5 runs short of the budget, taken at the worst")
    assert found["epoch of the best val_acc"]["verdict"] == "not testable"


def test_a_run_that_diverged_will_not_get_there() -> None:
    found = items("part1-bs64", five(epochs=60, state="diverged"))
    assert found["epochs to 0.92"]["verdict"] == "not reproduced"
    assert found["best val_acc"]["verdict"] == "not reproduced"


@pytest.mark.parametrize("n", [1, 4])
def test_fewer_than_five_runs_are_shown_and_not_judged(n: int) -> None:
    item = items("part1-bs64", five()[:n])["epochs to 0.92"]
    assert (item["verdict"], item["rule"], item["value"], item["n"]) == ("not testable", "few-runs", 84, n)


@pytest.mark.parametrize(
    ("reached", "n", "told"),
    [
        (50, 80, "does not reach 84%, the claim"),
        (10, 20, "does not reach 84%, the claim"),
        (24, 30, "lies above one half and reaches 84%, the claim"),
        (4, 6, "leaves open whether most runs arrive, or fewer than 84%, the claim"),
    ],
)
def test_a_share_of_nobody_knows_how_many_is_told_as_it_is_judged(reached: int, n: int, told: str) -> None:
    (claim, item), *_ = [
        (claim, item)
        for claim in catalogue.claims()
        for item in claim.items
        if isinstance(item, catalogue.Share) and item.share is not None
    ]
    epochs = [1.0] * reached + [item.within + 1.0] * (n - reached)
    finding = rules.share(item, [ranges.exactly(epoch) for epoch in epochs])

    assert item.share == 0.84
    assert replication.reason(claim, judge.Judged(item, finding, 0, ())) == (
        f"the interval of the share (95%) of {n} runs {told}"
    )


# --- which runs -------------------------------------------------------------------------------------------------------


def test_twins_count_once_and_seeds_come_in_order() -> None:
    runs = five()
    again = claim_run(BASE, {}, seed=3, folder="see-again")
    matched = matching.match(BASE.load(), [*runs[::-1], again])
    assert [run.recipe.seed for run in matched.runs] == [0, 1, 2, 3, 4]
    assert matched.copies == (again,)
    found = replication.build(catalogue.find("part1-bs64"), [*runs, again])
    assert found["experiments"][0]["copies"] == ["see-again"]


def test_of_twins_the_one_that_got_furthest_counts_in_any_order() -> None:
    whole = claim_run(BASE, {}, seed=3, folder="whole")
    crashed = claim_run(BASE, {}, seed=3, folder="a-crashed-one", epochs=3, state="crashed")
    for runs in ([whole, crashed], [crashed, whole]):
        matched = matching.match(BASE.load(), runs)
        assert (matched.runs, matched.copies) == ((whole,), (crashed,))


def test_near_runs_are_named_with_what_differs_and_far_ones_counted() -> None:
    budget = BASE.load().budget.model_copy(update={"epochs": 50})
    short = claim_run(BASE, AS_PUBLISHED, overrides={"budget": budget, "precision": "bfloat16"})
    other = claim_run(experiment("part2"), {})
    found = replication.build(catalogue.find("part1-bs64"), [short, other])
    (one,) = found["experiments"]
    assert (one["used"], one["others"]) == ([], 1)
    assert one["near"][0]["differs"] == ["budget.epochs: 200 -> 50", "precision: 'float32' -> 'bfloat16'"]
    assert {item["rule"] for item in found["items"]} == {"no-runs"}


def test_labels_do_not_take_a_run_from_its_claim() -> None:
    renamed = claim_run(BASE, AS_PUBLISHED, overrides={"name": "mine", "summary": "other words", "targets": (0.5,)})
    assert matching.match(BASE.load(), [renamed]).runs == (renamed,)


# --- other kinds of items --------------------------------------------------------------------------------------------


def test_part_one_s_words_are_judged() -> None:
    small = experiment("part1-variation")
    runs = [claim_run(small, {80 + 3 * seed: 0.9205, 150 + seed: 0.926}, seed=seed) for seed in range(5)]
    found = items("part1-variation", runs)
    assert found["range of the epochs to 0.92"]["verdict"] == "reproduced"
    assert found["range of the epochs to 0.92"]["value"] == 12
    assert found["runs that reach 0.93 within 200 epochs"]["verdict"] == "reproduced"
    accuracy = items("part1-train-accuracy", [claim_run(BASE, AS_PUBLISHED, seed=seed) for seed in range(5)])
    assert accuracy["training accuracy at 0.92"]["value"] == pytest.approx(0.961)
    assert accuracy["training accuracy at 0.92"]["verdict"] == "reproduced"


def test_training_accuracy_is_asked_of_those_runs_that_got_there() -> None:
    runs = [*five(), claim_run(BASE, {}, seed=5)]
    assert items("part1-train-accuracy", runs)["training accuracy at 0.92"]["n"] == 5
    nobody = items("part1-train-accuracy", [claim_run(BASE, {}, seed=seed) for seed in range(5)])
    assert nobody["training accuracy at 0.92"]["reason"] == "0.92 not reached"


def test_noise_is_compared_over_batch_sizes() -> None:
    ones = catalogue.experiments(catalogue.find("part1-noise"))
    runs = [claim_run(one, {}, seed=s, wiggle=0.01 * (k + 1)) for k, one in enumerate(ones) for s in range(2)]
    (growing,) = items("part1-noise", runs).values()
    assert growing["verdict"] == "reproduced"
    (missing,) = items("part1-noise", runs[:4]).values()
    assert (missing["verdict"], missing["reason"]) == ("not testable", "1 of 3 recipes have no run")


def test_a_run_that_is_not_through_with_the_first_rate_has_no_settled_noise() -> None:
    """Noise dies away: the second half of what such a run has of the phase is an earlier one than the others'."""
    ones = catalogue.experiments(catalogue.find("part1-noise"))
    done = [claim_run(one, {}, seed=s, wiggle=0.01 * (k + 1)) for k, one in enumerate(ones[:2]) for s in range(2)]
    runs = [claim_run(ones[2], {}, seed=s, wiggle=0.03, epochs=DROP, state="running") for s in range(2)]
    (standing,) = items("part1-noise", [*done, *runs]).values()

    assert standing["verdict"] == "not testable"
    assert standing["reason"] == "2 of 6 runs: not through with the first rate"
    assert evidence.settled_noise(claim_run(ones[0], {}, wiggle=0.01, epochs=DROP + 1, state="running")) == (
        evidence.settled_noise(claim_run(ones[0], {}, wiggle=0.01))
    )


def test_our_reading_of_a_source_is_said() -> None:
    found = replication.build(catalogue.find("part5"), [])
    assert any("our reading of the source" in caveat for caveat in found["caveats"])
    assert found["known"] == "known from a summary in words only"


def test_a_claim_of_another_house_is_not_testable_with_its_reason() -> None:
    found = items("resnet9-24-epochs", five())
    assert {item["verdict"] for item in found.values()} == {"not testable"}
    assert found["0.9408 in 24 epochs"]["reason"] == "ResNet-9 is not a network of fewepochs"
