"""Cells as threads: the bits of cells alone, how each way of ending is told, and that all are saved when asked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.errors import RecipeError
from fewepochs.report import study_console
from fewepochs.study import cell as cells
from fewepochs.study import conduct, execute, local, packing, streams
from fewepochs.train import running
from study import study_files

HOW = runtimes.Runtime(device="cpu", kernels="torch", threads=1)
SHORT = "budget.epochs=2"


def job(folder: Path, recipe: recipes.Recipe) -> tuple[str, cells.Job]:
    name = store.run_name(recipe)
    return name, cells.Job(recipe=recipe, path=folder / name, runtime=HOW)


def endings(place: streams.Streams, count: int) -> dict[str, cells.Ending]:
    """Return how the next cells end."""
    found: dict[str, cells.Ending] = {}
    while len(found) < count:
        found |= place.ended(seconds=1.0)
    return found


def alone(folder: Path, *wanted: recipes.Recipe, how: runtimes.Runtime = HOW) -> Mapping[str, bytes]:
    for recipe in wanted:
        running.train(folder / store.run_name(recipe), recipe, runtime=how, view=cells.Quiet())
    return study_files.logs(folder)


def test_cells_side_by_side_have_the_bits_of_cells_alone(tmp_path: Path) -> None:
    runs, place = study_files.seeds_of_tiny(tmp_path, SHORT), streams.Streams(slots=3, logs=tmp_path)
    for recipe in runs:
        place.begin(*job(tmp_path / "runs", recipe))
    assert place.free == 0
    assert set(endings(place, 3).values()) == {cells.Ending(exit_code=0)}
    assert place.free == place.together == 3
    place.close()
    assert len(study_files.logs(tmp_path / "runs")) == 3
    assert study_files.logs(tmp_path / "runs") == alone(tmp_path / "alone", *runs)


@pytest.mark.gpu
def test_cells_on_streams_of_a_gpu_have_the_bits_of_cells_alone(tmp_path: Path) -> None:
    """Not to be run beside other tests of the same process: that a GPU repeats its bits is the process's setting."""
    how, runs = runtimes.Runtime(device="cuda", deterministic=True), study_files.seeds_of_tiny(tmp_path, SHORT)
    packing.train(runs, out=tmp_path / "runs", runtime=how, asked=3, view=study_console.View())
    assert len(study_files.logs(tmp_path / "runs")) == 3
    assert study_files.logs(tmp_path / "runs") == alone(tmp_path / "alone", *runs, how=how)


def test_a_cell_that_cannot_be_trained_says_why_and_leaves_the_others_alone(tmp_path: Path) -> None:
    [good, *_], [bad, *_] = (
        study_files.seeds_of_tiny(tmp_path, SHORT),
        study_files.seeds_of_tiny(tmp_path, "batch_size=100000"),
    )
    place = streams.Streams(slots=2, logs=tmp_path)
    for recipe in (bad, good):
        place.begin(*job(tmp_path / "runs", recipe))
    found = endings(place, 2)
    assert found[store.run_name(good)].exit_code == 0
    assert found[store.run_name(bad)].exit_code == RecipeError.exit_code
    assert "batch_size" in found[store.run_name(bad)].message


def test_what_nobody_expected_is_a_crash_with_its_traceback_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the device is gone\nand much more")

    monkeypatch.setattr(running, "train", broken)
    name, asked = job(tmp_path / "runs", study_files.seeds_of_tiny(tmp_path)[0])
    place = streams.Streams(slots=1, logs=tmp_path)
    place.begin(name, asked)
    assert endings(place, 1) == {name: cells.Ending(exit_code=1, message="RuntimeError: the device is gone")}
    log = (tmp_path / f"{name}.log").read_text()
    assert log.startswith("Traceback")
    assert "and much more" in log
    place.begin(name, asked)
    assert endings(place, 1)[name].exit_code == cells.CRASHED, "and the next one begins, whatever the last one held"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), OSError("full")])
def test_however_a_cell_ends_it_says_so_even_if_its_log_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(running, "train", broken)
    place = streams.Streams(slots=1, logs=tmp_path / "nowhere")
    name, asked = job(tmp_path / "runs", study_files.seeds_of_tiny(tmp_path)[0])
    place.begin(name, asked)
    ending = endings(place, 1)[name]
    assert ending.exit_code == cells.CRASHED
    assert ending.message.startswith(type(error).__name__)


class Halting:
    """Lets each run wait at the end of an epoch until all are asked to stop."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def __call__(self, *_: object) -> None:
        self.asked.wait()


def test_whoever_is_asked_to_stop_is_saved_and_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    runs, halting = study_files.seeds_of_tiny(tmp_path, SHORT)[:2], Halting()
    place = streams.Streams(slots=2, logs=tmp_path, tell=halting)
    for recipe in runs:
        place.begin(*job(tmp_path / "runs", recipe))
    place.stop()
    halting.asked.set()
    assert {ending.exit_code for ending in endings(place, 2).values()} == {143}
    assert not any(store.read(path).status.state == "finished" for path in (tmp_path / "runs").glob("*/"))
    place = streams.Streams(slots=2, logs=tmp_path)
    for recipe in runs:
        place.begin(*job(tmp_path / "runs", recipe))
    assert set(endings(place, 2).values()) == {cells.Ending(exit_code=0)}
    assert study_files.logs(tmp_path / "runs") == alone(tmp_path / "alone", *runs)


def test_one_begins_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, both = [0], [0], threading.Barrier(2)
    load = running.load

    def counted(*given: Any, **more: Any) -> running.Loaded:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        loaded = load(*given, **more)
        inside[0] -= 1
        return loaded

    monkeypatch.setattr(running, "load", counted)
    place = streams.Streams(slots=2, logs=tmp_path, tell=lambda *_: both.wait())  # neither ends without the other
    for recipe in study_files.seeds_of_tiny(tmp_path, SHORT)[:2]:
        place.begin(*job(tmp_path / "runs", recipe))
    endings(place, 2)
    assert most == [1]


def test_whoever_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CLOSING_SECONDS", 0.0)
    halting = Halting()
    place = streams.Streams(slots=1, logs=tmp_path, tell=halting)
    place.begin(*job(tmp_path / "runs", study_files.seeds_of_tiny(tmp_path, SHORT)[0]))
    place.close()
    assert place.ended(seconds=0.0) == []
    halting.asked.set()
    endings(place, 1)


# --- packed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "asked", "gpus", "expected"),
    [
        ("cuda", 2, ("0",), True),
        ("cuda:1", 2, ("0", "1"), True),
        ("auto", 4, ("0",), True),
        ("cuda", None, ("0",), False),
        ("cuda", 4, ("0", "1"), False),
        ("cpu", 2, ("0",), False),
        ("auto", 2, (), False),
    ],
)
def test_several_runs_that_are_asked_for_on_one_gpu_share_its_process(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    asked: int | None,
    gpus: tuple[str, ...],
    expected: bool,
) -> None:
    seen: list[tuple[execute.Place, runtimes.Runtime]] = []

    def carry_out(execution: execute.Execution, *_: object, **__: object) -> None:
        seen.append((execution.place, execution.runtime))

    monkeypatch.setattr(local, "gpus", lambda: gpus)
    monkeypatch.setattr(conduct, "carry_out", carry_out)
    how = runtimes.Runtime(device=device)
    packing.train(
        study_files.seeds_of_tiny(tmp_path), out=tmp_path / "runs", runtime=how, asked=asked, view=study_console.View()
    )
    [(place, told)] = seen
    assert isinstance(place, streams.Streams) is expected
    if expected:
        assert (told.device, told.together, told.threads) == (device, min(asked or 1, 3), None)


def test_a_run_that_is_trained_alone_shares_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for three and one run that is missing: what it takes is what a run alone takes."""
    seen: list[int] = []
    monkeypatch.setattr(conduct, "carry_out", lambda execution, *_, **__: seen.append(execution.runtime.together))
    runs = study_files.seeds_of_tiny(tmp_path)
    for chosen in (runs, runs[:1]):
        packing.train(chosen, out=tmp_path / "runs", runtime=runtimes.Runtime(), asked=3, view=study_console.View())
    study, how = study_files.study(tmp_path), conduct.How(runtime=runtimes.Runtime(), jobs=3)
    for only in (None, [2]):
        conduct.conduct(study, out=tmp_path, how=how, view=study_console.View(), only=only)

    assert seen == [3, 1, 3, 1]


def test_packed_runs_in_threads_are_carried_out_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with a GPU, which `auto` then does not find: on the CPU, to the bits of runs alone."""
    monkeypatch.setattr(local, "gpus", lambda: ("0",))
    runs = study_files.seeds_of_tiny(tmp_path, SHORT)
    how = runtimes.Runtime(kernels="torch", threads=1)
    done = packing.train(runs, out=tmp_path / "runs", runtime=how, asked=2, view=study_console.View())
    assert [one.state for one in done.plan.standings] == ["done"] * 3
    assert study_files.logs(tmp_path / "runs") == alone(tmp_path / "alone", *runs)
    assert store.read(tmp_path / "runs" / store.run_name(runs[0])).environment["together"] == 2
