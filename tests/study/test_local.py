"""Cells as processes: how each way of ending is told, and that none outlives whoever began it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import recipe_samples
from fewepochs import runtime, store
from fewepochs.errors import StorageError
from fewepochs.study import cell as cells
from fewepochs.study import local
from study import study_files, workers

PATIENCE_SECONDS = 600.0


def job(path: Path, *, threads: int | None = 3) -> cells.Job:
    return cells.Job(recipe=recipe_samples.parse(), path=path, runtime=runtime.Runtime(threads=threads))


def place(
    folder: Path,
    script: str,
    *,
    slots: int = 1,
    gpus: Sequence[str] = (),
    pins: Sequence[frozenset[int]] = (),
    stall: float = 1e9,
    grace: float = 1e9,
) -> local.Local:
    command = workers.command(script)
    return local.Local(
        slots=slots, logs=folder, stall_seconds=stall, gpus=gpus, pins=pins, command=command, grace_seconds=grace
    )


def until(true: Callable[[], object]) -> None:
    """Return when `true` is; a test whose condition never comes fails."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def ending(of: local.Local) -> cells.Ending:
    """Return how the next cell ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := of.ended(seconds=0.05):
            return found[0][1]
    raise AssertionError("it did not end")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (workers.ENDS_WELL, cells.Ending(exit_code=0)),
        (workers.ENDS_WITH_WORDS, cells.Ending(exit_code=1, message="ended with exit code 1: the last word")),
        (workers.KILLS_ITSELF, cells.Ending(exit_code=-9, message="killed by SIGKILL")),
        ("raise SystemExit(5)", cells.Ending(exit_code=5, message="ended with exit code 5")),
        ("print('{}')", cells.Ending(exit_code=1, message="ended with exit code 0")),
        ("import no_such_module", cells.Ending(
            exit_code=1, message="ended with exit code 1: ModuleNotFoundError: No module named 'no_such_module'")),
    ],
)  # fmt: skip
def test_each_way_of_ending_is_told(tmp_path: Path, script: str, told: cells.Ending) -> None:
    where = place(tmp_path, script)
    where.begin("cell", job(tmp_path / "cell"))
    assert ending(where) == told
    where.close()


TALKATIVE = """
import os
import torch
class Descent(torch.optim.SGD):
    def __init__(self, *rest, **named):
        super().__init__(*rest, **named)
        print("said in Python")
        os.write(1, b"said beneath it\\n" * 20_000)
"""


def test_what_a_cell_prints_goes_to_its_log_and_neither_hangs_it_nor_hides_its_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text(TALKATIVE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    own = ("optimizer={kind='python', target='theirs.Descent', lr=0.1}", "budget.epochs=1")
    recipe = study_files.seeds_of_tiny(tmp_path, *own)[0]
    how = runtime.Runtime(device="cpu", kernels="torch", threads=1, allow_code=("theirs",))
    where = local.Local(slots=1, logs=tmp_path, stall_seconds=1e9)
    where.begin("cell", cells.Job(recipe=recipe, path=tmp_path / "cell", runtime=how))
    assert ending(where) == cells.Ending(exit_code=0)
    where.close()
    assert {"said in Python", "said beneath it"} <= set((tmp_path / "cell.log").read_text().splitlines())


def test_last_words_are_those_of_this_attempt_and_few(tmp_path: Path) -> None:
    (tmp_path / "cell.log").write_text("words of an earlier attempt\n")
    where = place(tmp_path, workers.KILLS_ITSELF)
    where.begin("cell", job(tmp_path / "cell"))
    assert ending(where).message == "killed by SIGKILL"
    where.close()
    where = place(tmp_path, workers.SAYS_TOO_MUCH)
    where.begin("cell", job(tmp_path / "cell"))
    assert len(ending(where).message) < local.MOST_WORDS + 100
    where.close()


def test_a_log_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "cell.log").mkdir()
    where = place(tmp_path, workers.ENDS_WELL)
    with pytest.raises(StorageError, match=r"cell\.log: cannot be written: Is a directory; choose another place"):
        where.begin("cell", job(tmp_path / "cell"))
    assert where.free == 1
    where.close()


def test_there_are_as_many_at_a_time_as_slots(tmp_path: Path) -> None:
    where = place(tmp_path, workers.HEEDS_NOTHING, slots=2)
    assert where.free == 2
    where.begin("a", job(tmp_path / "a"))
    where.begin("b", job(tmp_path / "b"))
    assert where.free == 0
    where.close()
    assert where.free == 2


@pytest.mark.parametrize(
    ("slots", "gpus", "together"), [(1, "", 1), (3, "", 3), (2, "01", 1), (3, "01", 2), (1, "01", 1), (8, "0", 8)]
)
def test_it_tells_how_many_cells_share_a_device(slots: int, gpus: str, together: int, tmp_path: Path) -> None:
    assert local.Local(slots=slots, logs=tmp_path, stall_seconds=1.0, gpus=tuple(gpus)).together == together


def test_each_slot_has_its_gpu_and_each_cell_its_threads(tmp_path: Path) -> None:
    where = place(tmp_path, workers.TELLS_ITS_ENVIRONMENT, slots=3, gpus=("0", "GPU-abc"))
    for name in "abc":
        where.begin(name, job(tmp_path / name))
    endings: list[tuple[str, cells.Ending]] = []

    def all_ended() -> bool:
        endings.extend(where.ended(seconds=0.0))
        return len(endings) == len("abc")

    until(all_ended)
    where.close()
    assert [(tmp_path / f"{name}.log").read_text() for name in "abc"] == ["0 3\n", "GPU-abc 3\n", "0 3\n"]


def test_a_cell_that_is_asked_to_stop_saves_and_says_so(tmp_path: Path) -> None:
    where = place(tmp_path, workers.WAITS_FOR_TERM)
    where.begin("cell", job(tmp_path / "cell"))
    until((tmp_path / "cell.log").read_text)
    where.stop()
    assert ending(where) == cells.Ending(exit_code=143, message="saved")
    where.close()


def test_a_cell_that_heeds_nothing_is_killed_after_its_time_of_grace(tmp_path: Path) -> None:
    where = place(tmp_path, workers.HEEDS_NOTHING, grace=0.0)
    where.begin("cell", job(tmp_path / "cell"))
    until((tmp_path / "cell.log").read_text)
    where.stop()
    assert ending(where).exit_code == -signal.SIGKILL
    where.close()


def test_a_cell_without_a_sign_of_life_is_ended_and_it_is_said_why(tmp_path: Path) -> None:
    where = place(tmp_path, workers.WAITS_FOR_TERM, stall=0.0)
    where.begin("cell", job(tmp_path / "cell"))
    until((tmp_path / "cell.log").read_text)
    found = ending(where)
    assert found.exit_code == -signal.SIGKILL
    assert "no sign of life" in found.message
    where.close()


def test_whatever_grows_in_the_folder_is_a_sign_of_life(tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert local._pulse(path) == 0
    (path / store.CHECKPOINTS).mkdir(parents=True)
    seen = [local._pulse(path)]
    for k, name in enumerate((store.EPOCHS, store.STATUS), start=1):
        (path / name).write_text("")
        os.utime(path / name, ns=(0, seen[0] + k))
        seen.append(local._pulse(path))
    assert seen == sorted(set(seen))


def test_closing_ends_all_at_once(tmp_path: Path) -> None:
    where = place(tmp_path, workers.HEEDS_NOTHING, slots=2)
    where.begin("a", job(tmp_path / "a"))
    where.begin("b", job(tmp_path / "b"))
    pids = [child.process.pid for child in where._children.values()]
    where.close()
    assert not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


DRIVER = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from study.test_local import job, place
from study import study_files, workers
where = place(Path({folder!r}), workers.WAITS_FOR_THE_END_OF_STDIN, slots=2)
where.begin("a", job(Path({folder!r}) / "a"))
where.begin("b", job(Path({folder!r}) / "b"))
print("begun", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_no_cell_outlives_whoever_began_it(tmp_path: Path, number: signal.Signals) -> None:
    script = DRIVER.format(paths=[str(Path(__file__).parents[1])], folder=str(tmp_path))
    driver = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"begun\n"
    until(lambda: all((tmp_path / f"{name}.log").read_text() for name in "ab"))
    pids = [int(re.findall(r"\d+", (tmp_path / f"{name}.log").read_text())[0]) for name in "ab"]
    driver.send_signal(number)
    driver.communicate()
    until(lambda: not any(map(alive, pids)))
    assert all("gone with its parent" in (tmp_path / f"{name}.log").read_text() for name in "ab")


def test_gpus_are_those_that_the_process_may_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, GPU-abc,")
    assert local.gpus() == ("1", "GPU-abc")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert local.gpus() == ()
