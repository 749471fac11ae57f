"""What a run says: lines that stand as written here, in a log, in a terminal, and to a reader that has gone away."""

from __future__ import annotations

import pytest
from console_samples import RECIPE, cost, record
from hypothesis import given
from hypothesis import strategies as st

from fewepochs.records import CostRecord
from fewepochs.report import console, summary
from report_runs import make_run

# --- lines ------------------------------------------------------------------------------------------------------


def test_an_epochs_line_has_kerass_names_in_kerass_order() -> None:
    line = console.epoch_line(record(2), cost(2), recipe=RECIPE)
    assert line == (
        "epoch   2/100  loss 1.2346  acc 0.5000  val_loss 0.9877  val_acc 0.7500  lr 0.000316228  4 min  236 img/s"
    )


def test_an_epochs_line_has_the_test_accuracy_where_there_is_one_and_no_cost_where_there_is_none() -> None:
    line = console.epoch_line(record(100, test_acc=0.7), None, recipe=RECIPE)
    assert line == (
        "epoch 100/100  loss 1.2346  acc 0.5000  val_loss 0.9877  val_acc 0.7500  test_acc 0.7000  lr 0.000316228"
    )


def test_a_run_begins_with_what_decides_it() -> None:
    assert console.start_line(RECIPE, name="full-s3-abc", done=()) == (
        "full-s3-abc: training of 100, batch 32, float32, validated on 300 held-out training images (split seed 1); "
        "seeds: init 4 order 5 augmentation 6 dropout 7"
    )
    assert "full: resuming after epoch 2 of 100," in console.start_line(
        RECIPE, name="full", done=(record(1), record(2))
    )


@pytest.mark.parametrize(
    ("accuracies", "targets", "expected"),
    [
        ([], [0.9], ""),
        ([0.5], [], "best 0.5000 @1"),
        ([0.5, 0.75, 0.75, 0.6], [0.9, 0.8], "best 0.7500 @2, 0.0500 to 0.8"),
        ([0.5, 0.85], [0.9, 0.8], "best 0.8500 @2, 0.0500 to 0.9"),
        ([0.9], [0.9, 0.8], "best 0.9000 @1, all targets reached"),
    ],
)
def test_the_standing_is_the_best_and_the_way_to_the_next_target(
    accuracies: list[float], targets: list[float], expected: str
) -> None:
    records = [record(k, val_acc=accuracy) for k, accuracy in enumerate(accuracies, start=1)]
    assert console.standing(records, targets=targets) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ""),
        (cost(1), ""),
        (cost(1, memory=3 << 30), "3.0 GiB"),
        (cost(1, joules=12.6), "13 J"),
        (cost(1, joules=0.0, memory=1 << 29), "0.5 GiB  0 J"),
    ],
)
def test_needs_are_what_was_measured(given: CostRecord | None, expected: str) -> None:
    assert console.needs(given) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0 s"),
        (0.04, "0.0 s"),
        (0.44, "0.4 s"),
        (9.9, "9.9 s"),
        (10, "10 s"),
        (93.4, "93 s"),
        (119, "119 s"),
        (120, "2 min"),
        (121, "3 min"),
        (3540, "59 min"),
        (3541, "1 h 00 min"),
        (3600, "1 h 00 min"),
        (3725, "1 h 03 min"),
        (86_400, "24 h 00 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_a_duration_is_what_people_say(seconds: float, expected: str) -> None:
    assert console.duration(seconds) == expected


@given(st.floats(0, 1e9))
def test_a_duration_is_short_and_never_less_than_it_was(seconds: float) -> None:
    text = console.duration(seconds)
    assert len(text) <= 16
    number, _, rest = text.partition(" ")
    if rest == "min":
        assert int(number) * 60 >= seconds


# --- pace -------------------------------------------------------------------------------------------------------


def test_the_pace_is_that_of_the_last_half_minute() -> None:
    pace = console.Pace()
    pace.see(0, at=0.0)
    assert pace.text(left=10, batch_size=4) == "..."
    for second in range(1, 101):
        pace.see(min(second, 50) * 10 + max(second - 50, 0) * 2, at=float(second))
    assert pace.rate() == pytest.approx(2.0)
    assert pace.text(left=240, batch_size=4) == "8 img/s  2 min left"


@given(
    st.lists(st.tuples(st.floats(0, 1e5), st.integers(0, 10**6)), min_size=1, max_size=20),
    st.integers(0, 10**6),
    st.integers(1, 1000),
)
def test_the_time_left_is_never_negative(moves: list[tuple[float, int]], left: int, batch_size: int) -> None:
    """A monotonic clock never runs back; it may stand still, and so may the steps."""
    pace, clock, steps = console.Pace(), 0.0, 0
    for seconds, done in moves:
        clock, steps = clock + seconds, steps + done
        pace.see(steps, at=clock)
        text = pace.text(left=left, batch_size=batch_size)
        assert "-" not in text
        assert "nan" not in text
        assert text == "..." or text.endswith(" left")


# --- after a run ------------------------------------------------------------------------------------------------


def test_the_summary_is_answers_then_a_table_then_caveats() -> None:
    runs = [make_run(seed=0), make_run(seed=1, plateau=0.93, joules=10.0)]
    lines = console.summary_lines(summary.build(runs, targets=(0.97,)))
    assert lines[:3] == [
        "digits-step reaches 0.97 after 15 epochs (1 of 2 runs); not reached in 1 of 2 runs within 20 epochs.",
        "  validated on the data set's test images",
        "",
    ]
    head, first, second = lines[3:6]
    assert head.split() == ["run", "state", "epochs", "best", "val_acc", "first/held", "training", "joules"]
    assert first.split()[1:] == ["finished", "20/20", "0.9817", "@19", "0.97:", "15/15", "53", "s", "not", "measured"]
    assert second.split()[5:7] == ["0.97:", ">20/>20"]
    assert second.endswith("200")
    assert all(line.startswith("note: ") for line in lines[7:])
    assert len(lines) > 7


def test_a_pinned_crossing_is_starred_and_a_run_without_epochs_has_dashes() -> None:
    runs = [make_run(drop_after=14), make_run(epochs=0, state="crashed", seed=1)]
    lines = console.summary_lines(summary.build(runs, targets=(0.97,)))
    pinned, empty = (next(line for line in lines if line.startswith(run.name)) for run in runs)
    assert "0.97: 15*/15*" in pinned
    assert empty.split()[1:] == ["crashed", "0/20", "-", "0.97:", ">0/>0", "-", "not", "measured"]
