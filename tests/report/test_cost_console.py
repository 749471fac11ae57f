"""What runs have cost, in a terminal: the records' sums, and a reason for each dash."""

from __future__ import annotations

from dataclasses import replace

from fewepochs import store
from fewepochs.report import cost_console, summary
from report_runs import make_run


def run(*, seed: int = 0, joules: float | None = None, load: float | None = None, resumed: int = 0) -> store.StoredRun:
    """Return a run whose costs were recorded as they are now; an older one where `load` is None."""
    made = make_run(seed=seed, joules=joules)
    if load is not None:
        more = {"load": load, "load_source": "a dial"}
        costs = [
            cost.model_copy(update={**more, "compile_seconds": 2.0 if cost.epoch in (1, 5) else 0.0})
            for cost in made.costs
        ]
        made = replace(made, costs=tuple(costs))
    return replace(made, environment={**made.environment, "resumed": [{}] * resumed})


def told(*runs: store.StoredRun) -> list[str]:
    return cost_console.lines(summary.build(runs, targets=(0.97, 0.99)))


def test_phases_are_told_with_how_often_a_process_began() -> None:
    _, row, *_ = told(run(joules=151.5, load=0.75, resumed=2))
    cells = [cell.strip() for cell in row.split("  ") if cell.strip()]
    assert cells[1:] == [
        "1.8 s (3 starts)", "4.0 s", "53 s", "5.0 s", "512", "75%", "56.9", "123 MB", "3,030",
    ]  # fmt: skip


def test_what_a_target_took_is_told_where_it_was_reached() -> None:
    lines = told(run(joules=151.5, load=0.75))
    (row,) = [line.split() for line in lines if " 0.97 " in line]
    spent = sum(cost.train_seconds for cost in run().costs[:15])
    assert row[1:] == ["0.97", "15", f"{spent:.0f}", "s", f"{15 * 151.5:,.0f}"]
    assert not any(" 0.99 " in line for line in lines)


def test_each_dash_has_its_reason() -> None:
    lines = told(run(), run(seed=1, load=0.5))
    assert "note: joules and watts not measured in 2 of 2: no energy counter on this machine" in lines
    assert "note: load not measured in 1 of 2: how busy its device was is not recorded" in lines
    assert "note: load: a dial" in lines
    assert lines[1].split()[-1] == "-"


def test_runs_without_a_recorded_cost_are_left_out() -> None:
    assert told(make_run(costed=0)) == []
