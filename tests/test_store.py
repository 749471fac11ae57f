"""Run folders: what was written is read again, and damage is told apart from a torn end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewepochs import store
from fewepochs.errors import CheckpointError, StorageError
from fewepochs.records import RunStatus
from recipe_samples import FULL, parse
from run_folders import ENVIRONMENT, contents, cost, epoch, make, status

FILES = {"recipe.toml", "environment.json", "status.json", "checkpoints"}


# --- where a run stands -----------------------------------------------------------------------------------------


def standing(**said: object) -> str:
    return store.standing(RunStatus.model_validate(status(epochs=1).model_dump() | said))


def test_a_run_whose_process_is_gone_has_crashed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    host = socket.gethostname()
    assert standing(host=host, pid=child.pid) == "crashed"
    assert standing(host=host, pid=os.getpid()) == "running"
    assert standing(host="elsewhere", pid=child.pid) == "running"
    assert standing() == "running"
    assert standing(state="finished", host=host, pid=child.pid) == "finished"
    make(tmp_path).write_status(status().model_copy(update={"host": host, "pid": child.pid}))
    assert (store.read(tmp_path).state, store.read(tmp_path).status.state) == ("crashed", "running")


# --- there and back ---------------------------------------------------------------------------------------------


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "runs" / store.run_name(parse())
    make(path, epochs=3)
    run = store.read(path)
    assert run.recipe == parse()
    assert run.epochs == tuple(epoch(k) for k in (1, 2, 3))
    assert run.costs == tuple(cost(k) for k in (1, 2, 3))
    assert run.environment == ENVIRONMENT
    assert run.status.state == "running"
    assert {entry.name for entry in path.iterdir()} == FILES | {"epochs.jsonl", "costs.jsonl"}
    assert len((path / "epochs.jsonl").read_text().splitlines()) == 3
    assert json.loads((path / "epochs.jsonl").read_text().splitlines()[1])["epoch"] == 2


def test_a_folder_is_named_after_recipe_seed_and_digest() -> None:
    recipe = parse(FULL, "seed=-12")
    assert store.run_name(recipe).startswith("full-s-12-")
    assert len(store.run_name(parse(f"{FULL}", "name=" + "n" * 80, f"seed=-{2**63}"))) < 120


def test_a_new_run_has_no_epochs(tmp_path: Path) -> None:
    make(tmp_path)
    assert (store.read(tmp_path).epochs, store.read(tmp_path).costs) == ((), ())
    assert {entry.name for entry in tmp_path.iterdir()} == FILES


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_every_bit_of_a_number_survives(tmp_path_factory: pytest.TempPathFactory, losses: list[float]) -> None:
    path = tmp_path_factory.mktemp("run")
    folder = make(path)
    for number, loss in enumerate(losses, start=1):
        folder.append(epoch(number).model_copy(update={"loss": loss, "val_loss": -loss}), cost(number))
    assert [record.loss.hex() for record in store.read(path).own_epochs] == [loss.hex() for loss in losses]


def test_status_and_environment_are_replaced_whole(tmp_path: Path) -> None:
    folder = make(tmp_path, epochs=1)
    folder.write_status(status("interrupted", epochs=1))
    folder.write_environment({**ENVIRONMENT, "resumed": [{"after_epoch": 1}]})
    run = store.read(tmp_path)
    assert (run.status.state, run.status.epochs) == ("interrupted", 1)
    assert run.environment["resumed"] == [{"after_epoch": 1}]
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("kept", [0, 1, 2, 3, 9])
def test_keep_cuts_both_logs_back(tmp_path: Path, kept: int) -> None:
    folder = make(tmp_path, epochs=3)
    before = (tmp_path / "epochs.jsonl").read_bytes()
    folder.keep(kept)
    run = store.read(tmp_path)
    assert len(run.epochs) == len(run.costs) == min(kept, 3)
    assert before.startswith((tmp_path / "epochs.jsonl").read_bytes())
    for number in range(len(run.epochs) + 1, 4):
        folder.append(epoch(number), cost(number))
    assert (tmp_path / "epochs.jsonl").read_bytes() == before


def test_a_cost_without_its_epoch_does_not_count(tmp_path: Path) -> None:
    """The cost goes first: a process killed between the two has logged one cost too many."""
    make(tmp_path, epochs=2)
    with (tmp_path / "costs.jsonl").open("a") as file:
        file.write(cost(3).model_dump_json() + "\n")
    assert len(store.read(tmp_path).costs) == 2
    store.RunFolder(tmp_path).keep(2)
    assert len((tmp_path / "costs.jsonl").read_text().splitlines()) == 2


# --- damage -----------------------------------------------------------------------------------------------------

LINE = epoch(3).model_dump_json().encode()


@pytest.mark.parametrize("tail", [LINE[:1], LINE[:40], LINE, b"\0\0\0", b"{}\n", b"\xff\n", LINE[:40] + b"\n"])
def test_a_torn_last_line_does_not_count_and_is_written_again(tmp_path: Path, tail: bytes) -> None:
    folder = make(tmp_path, epochs=2)
    whole = (tmp_path / "epochs.jsonl").read_bytes()
    with (tmp_path / "epochs.jsonl").open("ab") as file:
        file.write(tail)
    assert len(store.read(tmp_path).epochs) == 2
    folder.keep(2)
    assert (tmp_path / "epochs.jsonl").read_bytes() == whole
    folder.append(epoch(3), cost(3))
    assert (tmp_path / "epochs.jsonl").read_bytes() == whole + LINE + b"\n"


@pytest.mark.parametrize("log", ["epochs.jsonl", "costs.jsonl"])
@pytest.mark.parametrize("damage", ["torn", "flipped", "empty", "missing", "twice", "nan"])
def test_a_damaged_middle_line_is_an_error_and_nothing_is_changed(tmp_path: Path, log: str, damage: str) -> None:
    make(tmp_path, epochs=3)
    one, two, three, _ = (tmp_path / log).read_bytes().split(b"\n")
    lines = {
        "torn": [one, two[:30], three],
        "flipped": [one, two.replace(b'"epoch"', b'"dpoch"'), three],
        "empty": [one, b"", three],
        "missing": [one, three, three],
        "twice": [one, two, two, three],
        "nan": [one, two.replace(b"0.", b"NaN", 1), three],
    }[damage]
    (tmp_path / log).write_bytes(b"\n".join([*lines, b""]))
    before = contents(tmp_path)
    with pytest.raises(CheckpointError, match=rf"{log}, line [23]: damaged\. Nothing was changed") as caught:
        store.read(tmp_path)
    assert caught.value.exit_code == 6
    with pytest.raises(CheckpointError):
        store.RunFolder(tmp_path).keep(3)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", [store.EPOCHS, store.COSTS, store.EVALUATIONS, store.STATUS, store.ENVIRONMENT])
@pytest.mark.parametrize("kind", ["device", "pipe", "sparse file"])
def test_what_has_no_end_is_not_read(name: str, kind: str, tmp_path: Path) -> None:
    make(tmp_path, epochs=1)
    (tmp_path / name).unlink(missing_ok=True)
    match kind:
        case "device":
            (tmp_path / name).symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(tmp_path / name)
        case _:
            (tmp_path / name).touch()
            os.truncate(tmp_path / name, 64 << 30)
    with pytest.raises(StorageError, match=f"damaged or incomplete: .*(not a plain file|has more than).*{name}"):
        store.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("status.json", b""),
        ("status.json", b'{"state": "happy"}'),
        ("status.json", b"\xff"),
        ("environment.json", b"{"),
        ("environment.json", b"[]"),
        ("environment.json", b"\xff\xfe"),
        ("environment.json", b"[" * 100_000),
        ("recipe.toml", b"name = "),
        ("recipe.toml", b"\xff"),
    ],
)
def test_a_damaged_run_folder_is_a_storage_error(tmp_path: Path, name: str, content: bytes) -> None:
    make(tmp_path, epochs=1)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StorageError, match="the run folder is damaged or incomplete") as caught:
        store.read(tmp_path)
    assert caught.value.exit_code == 5
    told = str(caught.value)
    assert name in told
    assert "pydantic" not in told
    assert told.endswith("Restore the file; or move the folder away to look at the others")


@pytest.mark.parametrize("name", ["status.json", "environment.json"])
def test_an_incomplete_run_folder_is_a_storage_error(tmp_path: Path, name: str) -> None:
    make(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(StorageError, match="damaged or incomplete"):
        store.read(tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(StorageError, match="damaged or incomplete"):
        store.read(tmp_path)


def test_what_is_no_run_folder_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file", tmp_path / "absent", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match=r"not a run folder \(no recipe.toml\)"):
            store.read(path)
    with pytest.raises(StorageError, match="cannot be read: File name too long"):
        store.read(tmp_path / ("x" * 300))


# --- finding ----------------------------------------------------------------------------------------------------


def test_runs_are_found_in_the_order_asked_for_and_by_name_within_a_folder(tmp_path: Path) -> None:
    for name in ("b", "a", "c-2", "c-10", "c", "Z"):
        make(tmp_path / "runs" / name)
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "runs" / "file").touch()
    make(tmp_path / "runs" / "c" / "inside")
    runs = tmp_path / "runs"
    assert [path.name for path in store.find([runs])] == ["Z", "a", "b", "c", "c-10", "c-2"]
    assert [path.name for path in store.find([runs / "c", runs / "a"])] == ["c", "a"]
    assert [path.name for path in store.find([runs / "c", runs])] == ["c", "Z", "a", "b", "c-10", "c-2"]
    assert store.find([runs / "a", runs / ".." / "runs" / "a"]) == ((runs / "a").resolve(),)


def test_a_link_to_a_run_is_that_run(tmp_path: Path) -> None:
    make(tmp_path / "runs" / "a")
    (tmp_path / "link").symlink_to(tmp_path / "runs" / "a")
    assert store.find([tmp_path / "link", tmp_path / "runs"]) == ((tmp_path / "runs" / "a").resolve(),)


def test_nothing_found_is_an_error_that_says_where(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"no run folders in {tmp_path}"):
        store.find([tmp_path])
    with pytest.raises(StorageError, match="absent: no such run folder"):
        store.find([tmp_path, tmp_path / "absent"])
    (tmp_path / "study.toml").touch()
    with pytest.raises(StorageError, match=r"study\.toml: a file, not a run folder; a study's runs lie in a folder"):
        store.find([tmp_path / "study.toml"])
    with pytest.raises(StorageError, match="cannot be read: File name too long"):
        store.find([tmp_path / ("x" * 300)])


HOSTILE = [
    "<script>",
    "=cmd()",
    "\x1b[31mred",
    "a\nb",
    "..x",
    "-rf",
    "x" * 255,
    "\u202ecod",
    "na\udcffme",
    "*",
    "[a]",
    " ",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    make(tmp_path / name, epochs=1)
    (found,) = store.find([tmp_path])
    assert found.name == name
    assert len(store.read(found).epochs) == 1
    assert store.find([tmp_path / name]) == (found,)
    with store.hold(found):
        pass
