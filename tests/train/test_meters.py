"""Seconds and joules of a window: what is left out, what wraps around, what fails."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fewepochs.train import meters

CPU = torch.device("cpu")


class Clock:
    """A monotonic clock as the test says."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("time.perf_counter", found)
    return found


class Counter:
    """A sensor whose counter is as the test says; it fails once that is None."""

    source = "a test's"

    def __init__(self) -> None:
        self.count: int | None = 100

    def joules_since(self, start: int | None) -> tuple[int, float]:
        if self.count is None:
            raise RuntimeError("gone")
        return self.count, 0.0 if start is None else float(self.count - start)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    found = Counter()
    monkeypatch.setattr(meters, "open_sensor", lambda device: (found, None))
    return found


def test_a_window_is_the_time_between_its_ends(clock: Clock, counter: Counter) -> None:
    stop = meters.Meter(CPU).start()
    clock.now += 3.0
    counter.count = 130
    assert stop() == meters.Reading(3.0, 30.0, None)


def test_time_in_which_the_process_was_suspended_does_not_count(clock: Clock, counter: Counter) -> None:
    """Known to within a step: from the last beat on."""
    meter = meters.Meter(CPU)
    outer = meter.start()
    clock.now += 2.0
    meter.beat()
    clock.now += 3600.0
    meter.woken()
    inner = meter.start()
    clock.now += 1.0
    assert inner().seconds == 1.0
    assert outer() == meters.Reading(3.0, None, "the process was suspended; the counter went on")
    assert meter.start()().reason is None


def test_a_clock_on_the_wall_that_jumps_changes_no_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    def wall() -> float:
        raise AssertionError("the wall clock was asked")

    monkeypatch.setattr("time.time", wall)
    stop = meters.Meter(CPU).start()
    assert stop().seconds >= 0


def test_a_sensor_that_fails_leaves_training_alone_and_a_reason(clock: Clock, counter: Counter) -> None:
    meter = meters.Meter(CPU)
    assert meter.source == "a test's"
    stop = meter.start()
    counter.count = None
    clock.now += 1.0
    assert stop() == meters.Reading(1.0, None, "the energy sensor failed: gone")
    counter.count = 7
    assert meter.start()() == meters.Reading(0.0, None, "the energy sensor failed: gone")
    assert meter.source is None


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    """Return a RAPL zone of files, whose counter goes up to 1000 microjoules."""
    (tmp_path / "max_energy_range_uj").write_text("1000\n")
    (tmp_path / "energy_uj").write_text("900\n")
    return tmp_path


def test_a_counter_that_wraps_around_goes_on(zone: Path) -> None:
    path = zone
    sensor = meters.Rapl((path,))
    start, _ = sensor.joules_since(None)
    (path / "energy_uj").write_text("50\n")
    assert sensor.joules_since(start) == (start + 150, 150 / 1e6)
    (path / "energy_uj").write_text("60\n")
    assert sensor.joules_since(start) == (start + 160, 160 / 1e6)


def test_a_machine_without_a_counter_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(meters, "POWERCAP", tmp_path)
    sensor, reason = meters.open_sensor(CPU)
    assert sensor is None
    assert reason == "no energy counter: the system offers no RAPL zone"
