"""What a report says: sentences, crossings, costs and caveats against runs whose numbers are known."""

from __future__ import annotations

import json
from statistics import median
from typing import Any

import pytest

from fewepochs import store
from fewepochs.report import summary
from report_runs import killed, make_run


def sentences(*runs: store.StoredRun, targets: tuple[float, ...] = ()) -> list[str]:
    data = summary.build(runs, targets=targets)
    return [answer["sentence"] for recipe in data["recipes"] for answer in recipe["answers"]]


def first_reached(run: store.StoredRun, target: float) -> int:
    return next(record.epoch for record in run.epochs if record.val_acc >= target)


def test_the_answer_names_the_epoch_of_every_run_that_reached_the_target() -> None:
    runs = [make_run(seed=seed) for seed in (0, 1, 2)]
    epochs = sorted(first_reached(run, 0.97) for run in runs)

    assert epochs == [14, 14, 15]
    assert sentences(*runs, targets=(0.97,)) == ["digits-step reaches 0.97 after 14, 14, 15 epochs (3 of 3 runs)"]


def test_runs_that_do_not_reach_the_target_are_counted_as_censored() -> None:
    runs = [make_run(seed=seed, plateau=0.9) for seed in range(3)]
    answer = summary.build(runs, targets=(0.97,))["recipes"][0]["answers"][0]

    assert answer["sentence"] == "digits-step: 0.97 not reached in 3 of 3 runs within 20 epochs"
    assert (answer["n"], answer["epochs"], answer["censored_at"]) == (3, [], [20, 20, 20])


def test_a_mixed_answer_says_what_became_of_every_run() -> None:
    runs = [
        make_run(seed=0),
        make_run(seed=1, epochs=4, state="diverged", reason="loss not finite at step 93"),
        make_run(seed=2, epochs=6, state="running"),
        make_run(seed=3, epochs=0, state="crashed"),
        make_run(seed=4, epochs=5, state="interrupted"),
    ]

    assert sentences(*runs, targets=(0.97,)) == [
        "digits-step reaches 0.97 after 15 epochs (1 of 5 runs); "
        "not reached in 2 of 5 runs within 4, 5 epochs (1 diverged, 1 interrupted); "
        "not reached so far in 1 of 5 runs, still running after 6 epochs; "
        "1 of 5 runs ended before the first epoch was done"
    ]


@pytest.mark.parametrize(
    ("epochs", "state", "expected"),
    [
        (0, "crashed", "digits-step: 0.97 not reached: 1 of 1 run ended before the first epoch was done"),
        (1, "interrupted", "digits-step: 0.97 not reached in 1 of 1 run within 1 epoch (1 interrupted)"),
        (0, "running", "digits-step: 0.97 not reached so far in 1 of 1 run, still running after 0 epochs"),
    ],
)
def test_a_single_run_without_a_crossing_reads_as_a_sentence(epochs: int, state: Any, expected: str) -> None:
    assert sentences(make_run(epochs=epochs, state=state), targets=(0.97,)) == [expected]


def test_a_run_whose_process_was_killed_is_not_still_running() -> None:
    told = summary.build([killed(make_run(epochs=6))], targets=(0.97,))

    assert told["recipes"][0]["answers"][0]["sentence"] == (
        "digits-step: 0.97 not reached in 1 of 1 run within 6 epochs (1 crashed)"
    )
    assert any("crashed after 6 of 20 epochs" in caveat for caveat in told["caveats"])


def test_the_first_epoch_is_said_in_the_singular() -> None:
    assert sentences(make_run(), targets=(0.1,)) == ["digits-step reaches 0.1 after 1 epoch (1 of 1 run)"]


def test_copies_of_one_seed_are_one_observation_of_the_answers_and_have_their_rows() -> None:
    runs = [make_run(seed=seed, folder=f"{where}-{seed}") for where in ("a", "b") for seed in range(2)]
    found = summary.build(runs)
    recipe = found["recipes"][0]

    assert (recipe["n"], recipe["runs"]) == (2, ["a-0", "a-1"])
    assert all("(2 of 2 runs)" in answer["sentence"] for answer in recipe["answers"])
    assert found["caveats"][0].startswith("n = 2 for digits-step")
    assert sum("counted once" in caveat for caveat in found["caveats"]) == 2
    assert len(found["runs"]) == 4


def test_many_crossings_are_said_as_a_range() -> None:
    runs = [make_run(seed=seed) for seed in range(11)]
    epochs = [first_reached(run, 0.97) for run in runs]

    assert sentences(*runs, targets=(0.97,)) == [
        f"digits-step reaches 0.97 after {min(epochs)} to {max(epochs)} epochs (11 of 11 runs)"
    ]


def test_without_targets_those_of_all_recipes_are_asked_in_rising_order() -> None:
    runs = [make_run("targets=[0.97, 0.5]"), make_run("targets=[0.9, 0.5]", seed=1)]

    assert summary.build(runs)["targets"] == [0.5, 0.9, 0.97]
    assert summary.build(runs, targets=(0.8,))["targets"] == [0.8]


def test_without_any_target_the_best_accuracy_is_said() -> None:
    run = make_run("targets=[]")
    best = max(record.val_acc for record in run.epochs)

    assert sentences(run) == [f"digits-step: no target was asked; best validation accuracy {best:.4f} (1 of 1 run)"]


def test_seconds_and_joules_to_the_target_are_sums_up_to_the_crossing() -> None:
    run = make_run(joules=151.5)
    first = summary.build([run], targets=(0.97,))["runs"][0]["crossings"][0]["first"]

    assert first["epoch"] == 15
    assert first["step"] == 15 * 23
    assert first["train_seconds"] == sum(cost.train_seconds for cost in run.costs[:15])
    assert first["joules"] == 15 * 151.5
    assert first["joules_reason"] is None


def test_costs_are_sums_over_all_epochs() -> None:
    run = make_run(joules=151.5)
    costs = summary.build([run])["runs"][0]["costs"]

    assert costs["train_seconds"] == sum(cost.train_seconds for cost in run.costs)
    assert costs["evaluation_seconds"] == 20 * 0.25
    assert costs["setup_seconds"] == 1.75
    assert costs["median_epoch_seconds"] == median(cost.train_seconds for cost in run.costs)
    assert costs["images_per_second"] == pytest.approx(512.0, rel=1e-12)
    assert costs["peak_memory_bytes"] == 123_456_789
    assert (costs["joules"], costs["joules_source"], costs["joules_reason"]) == (20 * 151.5, "NVML", None)


def test_joules_that_were_not_measured_are_none_with_a_reason() -> None:
    run = summary.build([make_run()], targets=(0.97,))["runs"][0]

    assert run["costs"]["joules"] is None
    assert run["costs"]["joules_reason"] == "no energy counter on this machine"
    assert run["crossings"][0]["first"]["joules_reason"] == "no energy counter on this machine"


def test_costs_that_were_not_recorded_are_none_and_never_zero() -> None:
    costs = summary.build([make_run(costed=0)])["runs"][0]["costs"]

    assert costs["epochs"] == 0
    assert costs["joules_reason"] == "the cost of 20 of 20 epochs was not recorded"
    assert {value for key, value in costs.items() if key not in ("epochs", "joules_reason", "load_reason")} == {None}


def test_the_cost_of_a_crossing_is_unknown_where_an_epoch_has_no_cost() -> None:
    first = summary.build([make_run(costed=12, joules=1.0)], targets=(0.97,))["runs"][0]["crossings"][0]["first"]

    assert (first["train_seconds"], first["joules"]) == (None, None)
    assert first["joules_reason"] == "the cost of 3 of 15 epochs was not recorded"


def test_the_best_epoch_carries_its_test_accuracy_and_the_selection_gap() -> None:
    run = make_run(test=True)
    best = summary.build([run])["runs"][0]["best"]
    record = max(run.epochs, key=lambda epoch: epoch.val_acc)

    assert (best["val_acc"], best["epoch"], best["test_acc"]) == (record.val_acc, record.epoch, record.test_acc)
    assert best["selection_gap"] == pytest.approx(0.0123)


def test_a_run_without_epochs_has_no_best_accuracy() -> None:
    assert summary.build([make_run(epochs=0, state="running")])["runs"][0]["best"] is None


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("data.kind=cifar10",), "validated on the 10,000 test images, as published"),
        (("data.kind=cifar100",), "validated on the 10,000 test images"),
        ((), "validated on the data set's test images"),
        (
            ("data.validation={kind='held-out', images=5000, split_seed=7}",),
            "validated on 5,000 held-out training images (split seed 7)",
        ),
    ],
)
def test_the_report_says_which_images_validate(overrides: tuple[str, ...], expected: str) -> None:
    assert summary.build([make_run(*overrides)])["recipes"][0]["validation"] == expected


def test_few_runs_are_a_caveat_and_six_are_not() -> None:
    single = summary.build([make_run()])["caveats"]
    six = summary.build([make_run(seed=seed) for seed in range(6)])["caveats"]

    assert single[0] == (
        "n = 1 for digits-step: a single run proves little; published transition epochs vary by 10 to 15 between runs."
    )
    assert not any("proves little" in caveat or "prove little" in caveat for caveat in six)


def test_several_small_recipes_are_one_caveat() -> None:
    runs = [make_run(f"batch_size={size}", seed=seed) for size in (32, 64) for seed in (0, 1)]

    assert summary.build(runs)["caveats"][0].startswith("n = 2 for each of 2 recipes: so few runs prove little;")


def test_a_pinned_crossing_is_marked_counted_and_explained() -> None:
    pinned, free = make_run(drop_after=13), make_run(drop_after=5)
    told, untold = summary.build([pinned], targets=(0.97,)), summary.build([free], targets=(0.97,))

    assert told["runs"][0]["crossings"][0]["first"]["pinned"]
    assert told["recipes"][0]["answers"][0]["sentence"].endswith("; 1 of these crossings is pinned")
    assert any("within two epochs after a drop" in caveat for caveat in told["caveats"])
    assert not any("within two epochs after a drop" in caveat for caveat in untold["caveats"])


def test_censored_runs_are_explained_where_there_are_some() -> None:
    assert any("is censored" in caveat for caveat in summary.build([make_run()], targets=(0.999,))["caveats"])
    assert not any("is censored" in caveat for caveat in summary.build([make_run()], targets=(0.9,))["caveats"])


def test_an_unfinished_run_says_why() -> None:
    run = make_run(epochs=7, state="diverged", reason="loss not finite at step 162")

    assert summary.build([run])["caveats"][-1] == (
        f"{run.name} diverged after 7 of 20 epochs (loss not finite at step 162)."
    )


def test_the_summary_is_json_without_nan() -> None:
    runs = [make_run(), make_run(epochs=0, state="crashed", seed=1), make_run(costed=3, seed=2, test=True)]
    data = summary.build(runs)

    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_no_runs_give_an_empty_summary() -> None:
    assert summary.build(()) == {"targets": [], "recipes": [], "runs": [], "caveats": []}
