"""What an epoch costs: scaled as by hand, measured in turn, and nothing made up where nothing was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
import torch
from tape import TapeRecorder

import command_line
from fewepochs.errors import RecipeError
from fewepochs.probes import bench as benches
from fewepochs.probes import epoch_cost, windows
from fewepochs.report import epoch_cost as report
from fewepochs.report import table_text
from fewepochs.train import environment, replay
from fewepochs.train.step import TrainingStep

ENVIRONMENT = {"cpu": "a processor", "gpu": None, "threads": 1, "cores": 2, "kernels": "torch"}


def cells(*sizes: int) -> tuple[windows.Cell, ...]:
    return tuple(windows.Cell(size, "float32", tiny_runs.recipe(f"batch_size={size}")) for size in sizes)


@pytest.fixture
def bench() -> Iterator[benches.Bench]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield benches.Bench(tiny_runs.data(tiny_runs.recipe()), torch.device("cpu"))
    torch.set_num_threads(threads)


def measured(*seconds: float, **changes: Any) -> windows.Measured:
    """Return what was measured in windows of 4 steps of 32 images that took so long."""
    absent = {"load_reason": "no gauge", "joules_reason": "no counter", "memory_reason": "no peak"} | changes
    found = [
        windows.Window(
            steps=4, images=128, plan_seconds=0.5, step_seconds=one, evaluated=100, evaluation_seconds=0.25, **absent
        )
        for one in seconds
    ]
    return windows.Measured(cells(32)[0], 1000, 400, tuple(found))


def test_what_is_measured_is_replayed_where_a_run_is(bench: benches.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = TapeRecorder()
    monkeypatch.setattr(replay, "recorder", lambda device: tape)
    how = epoch_cost.How(rounds=1, steps=3)
    [(_, window)] = epoch_cost.measure(cells(32), how=how, bench=bench, progress=epoch_cost.Progress())
    assert isinstance(window, windows.Window)
    assert (window.steps, window.evaluated) == (3, tiny_runs.TEST)
    assert tape.replayed == 1 + 3 + 1  # the step that is not counted, those that are, and the evaluation


# --- scaled -----------------------------------------------------------------------------------------------------------


def test_an_epoch_is_its_images_at_the_pace_of_the_steps_and_one_plan() -> None:
    one = measured(2.0, 4.0)
    assert one.steps_per_epoch == 32  # the last has 8 images
    assert one.train_seconds() == [0.5 + 1000 * 2.0 / 128, 0.5 + 1000 * 4.0 / 128]
    assert one.evaluation_seconds() == [1.0, 1.0]
    assert one.images_per_second() == [1000 / 16.125, 1000 / 31.75]
    assert one.watts() == []
    assert measured(2.0, joules=90.0, joules_reason=None).watts() == [45.0]


def test_what_was_not_measured_is_absent_with_its_reason_in_every_form() -> None:
    page = report.page([measured(2.0)], environment=ENVIRONMENT, rounds=1)
    text = table_text.lines(page, form="text")
    for reason in ("load: no gauge.", "watts: no counter.", "peak memory: no peak."):
        assert f"note: {reason}" in text
    (row,) = page.as_dict()["tables"][0]["data"]
    assert (row["load_median"], row["watts_median"], row["peak_memory_bytes"]) == (None, None, None)
    assert (row["load_reason"], row["watts_reason"], row["memory_reason"]) == ("no gauge", "no counter", "no peak")
    assert page.tables[0].rows[0][-4:] == ("-", "-", "-", "4 of 32")
    json.dumps(page.as_dict(), allow_nan=False)


def test_the_spread_is_that_of_the_rounds() -> None:
    page = report.page([measured(2.0, 8.0, 4.0)], environment=ENVIRONMENT, rounds=3)
    (row,) = page.tables[0].data
    epochs = [0.5 + 1000 * seconds / 128 + 1.0 for seconds in (2.0, 4.0, 8.0)]
    assert [row[f"seconds_per_epoch_{part}"] for part in ("lowest", "median", "highest")] == epochs
    assert page.tables[0].rows[0][2] == "32.8 (17.1-64)"
    assert "scaled" in page.notes[0]


def test_a_cell_without_a_window_says_why() -> None:
    failed = windows.Measured(cells(32)[0], 1000, 400, (), failure="more memory than the device has")
    page = report.page([failed], environment=ENVIRONMENT, rounds=1)
    assert set(page.tables[0].rows[0][2:-1]) == {"-"}
    assert "batch size 32, float32: more memory than the device has." in page.notes


# --- measured ---------------------------------------------------------------------------------------------------------


def test_cells_take_turns_and_windows_hold_whole_batches(bench: benches.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    step = TrainingStep.step

    def counted(self: TrainingStep, size: int) -> None:
        sizes.append(size)
        step(self, size)

    monkeypatch.setattr(TrainingStep, "step", counted)
    how = epoch_cost.How(rounds=2, steps=5)  # of 40 an epoch has three whole batches
    found = list(epoch_cost.measure(cells(16, 40), how=how, bench=bench, progress=epoch_cost.Progress()))
    assert [number for number, _ in found] == [0, 1, 0, 1]
    assert sizes == ([16] * 6 + [40] * 6) * 2, "a step is not counted"
    for number, window in found:
        assert isinstance(window, windows.Window)
        assert (window.steps, window.images, window.evaluated) == (5, 5 * (16, 40)[number], tiny_runs.TEST)
        assert window.step_seconds > 0
        assert window.load is not None
        assert window.peak_memory_bytes is not None


def test_a_window_has_a_step_however_short_it_is(bench: benches.Bench) -> None:
    how = epoch_cost.How(rounds=1, seconds=1e-9)
    ((_, window),) = epoch_cost.measure(cells(16), how=how, bench=bench, progress=epoch_cost.Progress())
    assert isinstance(window, windows.Window)
    assert window.steps == 1


def test_a_window_that_was_stopped_is_not_told(bench: benches.Bench) -> None:
    progress, found = epoch_cost.Progress(), []
    for one in epoch_cost.measure(cells(16), how=epoch_cost.How(rounds=9, steps=1), bench=bench, progress=progress):
        found.append(one)
        progress.stop = len(found) == 2
    assert len(found) == 2


def test_a_cell_that_needs_too_much_memory_is_told_and_the_others_go_on(
    bench: benches.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def window(cell: windows.Cell, **_: Any) -> windows.Window:
        if cell.batch_size == 40:
            raise torch.OutOfMemoryError
        return measured(1.0).windows[0]

    monkeypatch.setattr(epoch_cost, "_window", window)
    how = epoch_cost.How(rounds=2)
    found = list(epoch_cost.measure(cells(40, 16), how=how, bench=bench, progress=epoch_cost.Progress()))
    assert found[0] == (0, "more memory than the device has")
    assert [number for number, _ in found] == [0, 1, 1]


def test_the_peak_of_memory_begins_anew() -> None:
    environment.keep_freed_memory()  # as a run does: a smaller cell must not be charged with what a larger one left
    device = torch.device("cpu")
    assert epoch_cost.forget_peak(device) is None
    torch.ones(50_000_000)
    high = epoch_cost.peak(device)
    assert epoch_cost.forget_peak(device) is None
    assert epoch_cost.peak(device) < high - 150_000_000


def test_a_peak_that_cannot_be_set_back_has_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(epoch_cost, "SELF", tmp_path / "none")
    assert epoch_cost.forget_peak(torch.device("cpu")) == (
        "the system does not let the peak be set back: No such file or directory"
    )


# --- asked ------------------------------------------------------------------------------------------------------------


def test_cells_are_every_batch_size_in_every_precision_or_the_recipes_own() -> None:
    found = windows.cells("digits-step", batch_sizes=(16, 64), precisions=("float32", "bfloat16"))
    assert [(one.batch_size, one.precision) for one in found] == [
        (16, "float32"), (16, "bfloat16"), (64, "float32"), (64, "bfloat16"),
    ]  # fmt: skip
    assert [(one.recipe.batch_size, one.recipe.precision) for one in found] == [
        (one.batch_size, one.precision) for one in found
    ]
    grows = ("batch_size=48", 'batch_schedule={kind="piecewise-constant", boundaries=[0.5], factors=[1.0, 2.0]}')
    (own,) = windows.cells("digits-step", overrides=grows, batch_sizes=(), precisions=())
    assert (own.batch_size, own.precision, own.recipe.batch_schedule.kind) == (48, "float32", "constant")


def test_what_is_no_cell_is_refused(bench: benches.Bench) -> None:
    with pytest.raises(RecipeError, match="precision"):
        windows.cells("digits-step", batch_sizes=(), precisions=("float12",))
    with pytest.raises(RecipeError, match="too many cells"):
        windows.cells("digits-step", batch_sizes=tuple(range(1, 66)), precisions=())
    with pytest.raises(RecipeError, match="larger than the training set"):
        list(epoch_cost.measure(cells(121), how=epoch_cost.How(), bench=bench, progress=epoch_cost.Progress()))


@pytest.mark.slow
def test_the_command_prints_a_table_and_leaves_nothing_behind(tmp_path: Path) -> None:
    command_line.tiny(tmp_path)
    before = sorted(path for path in tmp_path.rglob("*") if "cache" not in path.parts)
    command = ("cost", "tiny.toml", "--batch-size", "30,60", "--steps", "2", "--rounds", "2", *command_line.TRAINING)
    ended = command_line.run(*command, "--json", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert [row["batch_size"] for row in found["tables"][0]["data"]] == [30, 60]
    assert [row["steps_measured"] for row in found["tables"][0]["data"]] == [4, 4]
    assert found["environment"]["threads"] == 1
    assert len(ended.stderr.splitlines()) == 4, "a line for each window"
    assert sorted(path for path in tmp_path.rglob("*") if "cache" not in path.parts) == before
    wrong = command_line.run(*command[:2], "--rounds", "0", "--seconds", "0", folder=tmp_path)
    assert wrong.returncode == 2
    assert [line.split(":")[0] for line in command_line.problems(wrong)] == ["--rounds", "--seconds"]
