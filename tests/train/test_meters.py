"""Seconds and joules of a window: what is left out, what wraps around, what fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
    monkeypatch.setattr(meters, "open_gauge", lambda device: (None, "no gauge"))
    return found


class Dial:
    """A gauge that stands where the test says: busy seconds, of so many; it fails once they are None."""

    source = "a test's dial"

    def __init__(self) -> None:
        self.stands: tuple[float, float] | None = (1.0, 10.0)
        self.looks = 0

    def mark(self) -> tuple[float, float]:
        self.looks += 1
        if self.stands is None:
            raise RuntimeError("gone")
        return self.stands


@pytest.fixture
def dial(monkeypatch: pytest.MonkeyPatch, counter: Counter) -> Dial:
    found = Dial()
    monkeypatch.setattr(meters, "open_gauge", lambda device: (found, None))
    return found


def test_a_window_is_the_time_between_its_ends(clock: Clock, counter: Counter) -> None:
    stop = meters.Meter(CPU).start()
    clock.now += 3.0
    counter.count = 130
    assert stop() == meters.Reading(3.0, 30.0, None, None, "no gauge")


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
    assert outer() == meters.Reading(3.0, None, meters.SUSPENDED, None, "no gauge")
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
    failed = "the energy sensor failed: gone"
    assert stop() == meters.Reading(1.0, None, failed, None, "no gauge")
    counter.count = 7
    assert meter.start()() == meters.Reading(0.0, None, failed, None, "no gauge")
    assert meter.source is None


# --- load -------------------------------------------------------------------------------------------------------------


def test_the_load_that_is_known_of_a_window_stands_for_all_of_it(clock: Clock, dial: Dial) -> None:
    """Samples come when the driver makes them: here they cover 4 of the window's 5 seconds, 3 of those busy."""
    meter = meters.Meter(CPU)
    assert meter.load_source == "a test's dial"
    stop = meter.start()
    clock.now += 5.0
    dial.stands = (4.0, 14.0)
    assert stop().busy_seconds == 3.75


def test_a_device_is_never_busier_than_all_the_time(clock: Clock, dial: Dial) -> None:
    stop = meters.Meter(CPU).start()
    clock.now += 2.0
    dial.stands = (9.0, 11.0)
    assert stop().busy_seconds == 2.0


def test_a_window_without_a_sample_has_no_load_and_says_why(clock: Clock, dial: Dial) -> None:
    reading = meters.Meter(CPU).start()()
    assert (reading.busy_seconds, reading.busy_reason) == (None, "no sample of the load fell into so short a time")


def test_a_gauge_that_fails_leaves_training_alone_and_a_reason(clock: Clock, dial: Dial) -> None:
    meter = meters.Meter(CPU)
    stop = meter.start()
    dial.stands = None
    clock.now += 9.0
    meter.beat()
    assert (stop().busy_seconds, stop().busy_reason) == (None, "the load could not be read: gone")
    assert meter.load_source is None


def test_no_load_is_told_of_a_window_with_a_suspension(clock: Clock, dial: Dial) -> None:
    meter = meters.Meter(CPU)
    stop = meter.start()
    clock.now += 60.0
    meter.woken()
    dial.stands = (2.0, 70.0)
    assert (stop().busy_seconds, stop().busy_reason) == (None, meters.SUSPENDED)


def test_samples_are_fetched_with_the_beats_and_not_with_each_of_them(clock: Clock, dial: Dial) -> None:
    meter = meters.Meter(CPU)
    for _ in range(100):
        clock.now += 0.1
        meter.beat()
    assert dial.looks == int(100 * 0.1 / meters.FETCH_SECONDS)


class Driver:
    """Stands in for NVML: samples of a GPU at 6 a second, of which it keeps the last `kept`."""

    NVML_GPU_UTILIZATION_SAMPLES = 1

    class NVMLError_NotFound(Exception):  # noqa: N801, N818
        """No sample is newer."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.samples: list[tuple[int, int]] = []

    def sample(self, percent: int, count: int) -> None:
        for _ in range(count):
            at = 1_000_000 + 500_000 * (len(self.samples) + 1)
            self.samples.append((at, percent))

    def nvmlDeviceGetSamples(self, handle: object, kind: int, last: int) -> tuple[int, list[SimpleNamespace]]:  # noqa: N802
        assert (handle, kind) == ("handle", 1)
        newer = [pair for pair in self.samples[-self.kept :] if pair[0] > last]
        if not newer:
            raise self.NVMLError_NotFound
        return 0, [SimpleNamespace(timeStamp=at, sampleValue=SimpleNamespace(uiVal=load)) for at, load in newer]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    found = Driver(kept=20)
    monkeypatch.setattr(meters, "_nvml_handle", lambda device: (found, "handle"))
    return found


def test_a_gpus_load_is_the_mean_of_its_drivers_samples_over_their_time(driver: Driver) -> None:
    driver.sample(50, 3)  # before there was a meter
    gauge = meters.Utilisation(CPU)
    start = gauge.mark()
    driver.sample(100, 4)
    driver.sample(0, 4)
    middle = gauge.mark()
    assert (middle[0] - start[0], middle[1] - start[1]) == (2.0, 4.0)
    assert gauge.mark() == middle, "no newer sample"
    driver.sample(50, 8)
    end = gauge.mark()
    assert (end[0] - start[0], end[1] - start[1]) == (4.0, 8.0)


def test_samples_that_the_driver_has_forgotten_are_stood_for_by_the_next_one(driver: Driver) -> None:
    gauge = meters.Utilisation(CPU)
    driver.sample(0, 1)
    start = gauge.mark()
    driver.sample(50, 60)  # three times what it keeps
    end = gauge.mark()
    assert (end[0] - start[0], end[1] - start[1]) == (15.0, 30.0)


def test_a_gpu_without_samples_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver(device: torch.device) -> Any:
        raise RuntimeError("NVML Shared Library Not Found")

    monkeypatch.setattr(meters, "_nvml_handle", no_driver)
    assert meters.open_gauge(torch.device("cuda")) == (None, "the load cannot be read: NVML Shared Library Not Found")


def test_a_processors_load_is_its_time_over_all_its_cores(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: two of four cores at work for three seconds."""
    spent = [7.0]
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr("time.process_time", lambda: spent[0])
    monkeypatch.setattr(meters, "open_sensor", lambda device: (None, "none"))
    stop = meters.Meter(CPU).start()
    clock.now += 3.0
    spent[0] += 2 * 3.0
    assert stop() == meters.Reading(3.0, None, "none", 1.5, None)


def test_runs_that_share_a_counter_have_no_joules_and_say_so(clock: Clock, counter: Counter) -> None:
    meter = meters.Meter(CPU, together=2)
    assert meter.source is None
    assert meter.start()() == meters.Reading(0.0, None, "2 runs at a time share the energy counter", None, "no gauge")


# --- energy -----------------------------------------------------------------------------------------------------------


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
