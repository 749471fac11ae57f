"""Runs that grow are told by rows that fit the terminal, and epoch by epoch where there is none."""

from __future__ import annotations

import json

import pytest

from fewepochs import store
from fewepochs.report import watch_console
from report_runs import killed, make_run


def some_runs() -> list[store.StoredRun]:
    return [make_run(seed=0), make_run(seed=1, epochs=7, state="running"), make_run(seed=2, epochs=0, state="running")]


def test_runs_at_work_come_first_with_what_is_left() -> None:
    done, working, begun = some_runs()
    head, *rows = watch_console.lines([done, working, begun], planned=None, width=120, height=20)
    best = max(record.val_acc for record in working.epochs)

    assert head.split() == ["run", "epoch", "val_acc", "left", "best,", "next", "target"]
    assert [row.split()[:3] for row in rows] == [
        [">", working.name, "7/20"],
        [">", begun.name, "0/20"],
        ["#", done.name, "20/20"],
    ]
    assert rows[0].endswith(f"{best:.4f} @7, {0.97 - best:.4f} to 0.97")
    assert rows[2].endswith("all targets reached")
    assert " 37 s " in rows[0]  # 13 epochs at the median of 2.55 to 2.61 s of training and 0.25 s of evaluation
    assert " ... " in f"{rows[1]} "


def test_a_run_whose_process_was_killed_is_not_at_work() -> None:
    _, row = watch_console.lines([killed(make_run(epochs=7))], planned=None, width=120, height=20)

    assert row.startswith("x ")
    assert " crashed " in row


@pytest.mark.parametrize("width", [20, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    runs = [*some_runs(), make_run(seed=3, folder="n" * 300)]

    assert max(map(len, watch_console.lines(runs, planned=None, width=width, height=20))) <= width


def test_what_does_not_fit_below_is_counted() -> None:
    runs = [make_run(seed=seed) for seed in range(9)]
    told = watch_console.lines(runs, planned=None, width=80, height=5)

    assert len(told) == 5
    assert told[-1] == "... and 6 lines more"


def test_each_epoch_is_told_once() -> None:
    before = [make_run(seed=0, epochs=5, state="running"), make_run(seed=1, epochs=0, state="running")]
    now = [make_run(seed=0, epochs=7, state="running"), make_run(seed=1, epochs=1, state="running")]
    told = watch_console.news(watch_console.done(before), now)

    assert [line.split("  ")[0] for line in told] == [
        f"{now[0].name}: epoch 6/20",
        f"{now[0].name}: epoch 7/20",
        f"{now[1].name}: epoch 1/20",
    ]
    assert f"val_acc {now[0].epochs[5].val_acc:.4f}" in told[0]
    assert watch_console.news(watch_console.done(now), now) == []


def test_programs_get_the_records() -> None:
    run = make_run(epochs=2, state="running")
    told = [json.loads(line) for line in watch_console.events({}, [run])]

    assert [one["record"] for one in told] == [record.model_dump(mode="json") for record in run.epochs]
    assert {(one["event"], one["run"], one["state"], one["budget"]) for one in told} == {
        ("epoch", run.name, "running", 20)
    }


def test_hostile_names_cannot_command_the_terminal() -> None:
    run = make_run(folder="a\x1b[31mb", epochs=1)

    assert "\x1b" not in "".join(watch_console.lines([run], planned=None, width=80, height=9))
    assert "\x1b" not in "".join(watch_console.news({}, [run]))
