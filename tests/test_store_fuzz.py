"""Run folders from a stranger: whatever lies in them, reading ends in a run or in an error of the family."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import run_folders
from fewepochs import errors, logs, runtime, store
from fewepochs.api import results
from fewepochs.records import EpochRecord
from run_folders import contents, make

FILES = (store.RECIPE, store.STATUS, store.ENVIRONMENT, store.EPOCHS, store.COSTS)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of three epochs."""
    path = tmp_path_factory.mktemp("fuzz") / "run"
    make(path, epochs=3)
    return path


def told(path: Path) -> None:
    """Read and sum up; only the family may come out, and nothing may be written."""
    before = contents(path)
    with suppress(errors.FewEpochsError):
        results.summarise([store.read(path)])
    assert contents(path) == before


def spoilt(whole: Path, tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / "spoilt"
    path.mkdir(exist_ok=True)
    for each, kept in contents(whole).items():
        (path / each).write_bytes(content if each == name else kept)
    return path


@FUZZ
@given(name=st.sampled_from(FILES), content=st.binary(max_size=300))
def test_any_bytes_in_any_file(whole: Path, tmp_path: Path, name: str, content: bytes) -> None:
    told(spoilt(whole, tmp_path, name, content))


@FUZZ
@given(
    name=st.sampled_from(FILES), place=st.floats(0, 1), patch=st.binary(min_size=1, max_size=8), drop=st.integers(0, 9)
)
def test_any_patch_of_any_file(whole: Path, tmp_path: Path, name: str, place: float, patch: bytes, drop: int) -> None:
    content = (whole / name).read_bytes()
    at = int(place * len(content))
    told(spoilt(whole, tmp_path, name, content[:at] + patch + content[at + drop :]))


@FUZZ
@given(name=st.sampled_from([store.STATUS, store.ENVIRONMENT, store.EPOCHS, store.COSTS]), data=st.data())
def test_any_json_in_place_of_any_value(whole: Path, tmp_path: Path, name: str, data: st.DataObject) -> None:
    lines = (whole / name).read_text()
    first = json.loads(lines if name in (store.STATUS, store.ENVIRONMENT) else lines.splitlines()[0])
    key = data.draw(st.sampled_from(sorted(first)))
    told(spoilt(whole, tmp_path, name, json.dumps({**first, key: data.draw(JSON)}).encode() + b"\n"))


@FUZZ
@given(environment=st.dictionaries(st.sampled_from(["data", "threads", "device", "kernels", "deterministic"]), JSON))
def test_any_environment_leaves_a_runtime_that_can_be_checked(environment: dict[str, Any]) -> None:
    settled = runtime.settled(runtime.Runtime(), environment=environment)
    runtime.check(settled)
    assert settled.threads is None or 0 < settled.threads <= 4096


def test_a_deep_file_and_a_long_line_are_errors_in_little_time(whole: Path, tmp_path: Path) -> None:
    for name in FILES:
        told(spoilt(whole, tmp_path, name, b"[" * 1_000_000))
        told(spoilt(whole, tmp_path, name, b"9" * 1_000_000 + b"\n"))
        told(spoilt(whole, tmp_path, name, b'{"epoch":' + b"9" * 10_000 + b"}\n"))


@FUZZ
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                run_folders.epoch(1).model_dump_json(),
                run_folders.epoch(2).model_dump_json(),
                run_folders.epoch(3).model_dump_json(),
                "{",
                "}",
                ",",
                "\n",
                "\n",
                '"',
                '{"epoch":2',
                " ",
                "\r",
            ]
        ),
        max_size=9,
    )
)
def test_a_log_read_at_once_is_the_log_read_line_by_line(tmp_path: Path, pieces: list[str]) -> None:
    log = tmp_path / store.EPOCHS
    log.write_bytes("".join(pieces).encode())
    lines = log.read_bytes().split(b"\n")[:-1]

    def outcome(read: Callable[[], tuple[EpochRecord, ...]]) -> object:
        try:
            return read()
        except errors.CheckpointError as error:
            return str(error)

    slow = outcome(lambda: logs._line_by_line(log, lines, EpochRecord))
    assert outcome(lambda: logs.read(log, EpochRecord)) == slow


def test_a_whole_log_is_validated_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand runs are read in seconds only if their lines are not read one by one."""
    path = tmp_path / "run"
    make(path, epochs=3)
    monkeypatch.setattr(logs, "_line_by_line", None)
    assert len(store.read(path).epochs) == 3
