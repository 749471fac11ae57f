"""Seconds, joules, load and memory of a stretch of work.

A window is synchronised at both ends, so that work still queued on a GPU is not counted as free. Its seconds are
monotonic, and those in which the process was suspended (SIGSTOP, a debugger, a batch system) are left out: from the
last beat before to the waking. Energy is read from a counter of the hardware at both ends: NVML's total energy of one
GPU, or RAPL's of the processor packages. How busy a GPU is its driver samples a few times a second, and keeps for some
seconds: the samples are fetched with the beats, between two steps, so that no thread and no wait comes beside the work.
On a CPU it is the process's time over that of its cores. What cannot be measured is None with the reason, never 0.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

POWERCAP = Path("/sys/class/powercap")


FETCH_SECONDS = 2.0
"""From one fetching of the driver's samples to the next; it keeps those of some ten seconds and more."""
SUSPENDED = "the process was suspended; the counter went on"


@dataclass(frozen=True)
class Reading:
    """One window: `seconds` are monotonic; `joules` is None with a `reason` where nothing was measured.

    `busy_seconds` are those in which the device was at work, None with `busy_reason`.
    """

    seconds: float
    joules: float | None
    reason: str | None
    busy_seconds: float | None = None
    busy_reason: str | None = None


class Sensor(Protocol):
    """A counter of joules that only grows."""

    @property
    def source(self) -> str:
        """What is counted, for people."""

    def joules_since(self, start: int | None) -> tuple[int, float]:
        """Return the counter as it stands, and the joules since it stood at `start` (0 for None)."""


class Gauge(Protocol):
    """Knows how busy a device has been: its marks are busy seconds and the seconds that these are of, so far."""

    @property
    def source(self) -> str:
        """What is looked at, for people."""

    def mark(self) -> tuple[float, float]:
        """Return the busy seconds so far, and of how many seconds they are known; both only grow."""


class Meter:
    """Measures windows on `device`. What fails later is dropped with its reason.

    Where `together` runs share the device there are no joules: a counter counts them all.
    """

    def __init__(self, device: torch.device, *, together: int = 1) -> None:
        self._device = device
        self._sensor, self._reason = open_sensor(device)
        if self._sensor is not None and together > 1:
            self._sensor, self._reason = None, f"{together} runs at a time share the energy counter"
        self._gauge, self._no_load = open_gauge(device)
        self._beat, self._away = time.perf_counter(), 0.0
        self._fetched = self._beat

    @property
    def source(self) -> str | None:
        """What joules are read from, or None."""
        return None if self._sensor is None else self._sensor.source

    @property
    def load_source(self) -> str | None:
        """What the load is read from, or None."""
        return None if self._gauge is None else self._gauge.source

    def start(self) -> Callable[[], Reading]:
        """Begin a window; calling the result ends it and returns its reading."""
        synchronise(self._device)
        self.beat()
        count, mark = self._count(None), self._mark()
        begin, away = time.perf_counter(), self._away

        def stop() -> Reading:
            synchronise(self._device)
            suspended = self._away - away
            seconds = time.perf_counter() - begin - suspended
            end = None if count is None else self._count(count[0])
            busy, no_load = self._busy(mark, seconds)
            if suspended:
                return Reading(seconds, None, self._reason or SUSPENDED, None, no_load or SUSPENDED)
            return Reading(seconds, None if end is None else end[1], self._reason, busy, no_load)

        return stop

    def beat(self) -> None:
        """Note that the process is at work: after each step, so that a suspension is known to within one."""
        self._beat = time.perf_counter()
        if self._beat - self._fetched >= FETCH_SECONDS:
            self._fetched = self._beat
            self._mark()

    def woken(self) -> None:
        """Leave out the time since the last beat: the process goes on after a suspension (SIGCONT)."""
        self._away += time.perf_counter() - self._beat
        self.beat()

    def peak_memory_bytes(self) -> int:
        """Return the peak so far: of the device's allocations on CUDA, of the process's resident memory otherwise."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts KiB

    def _count(self, start: int | None) -> tuple[int, float] | None:
        if self._sensor is None:
            return None
        try:
            return self._sensor.joules_since(start)
        except Exception as error:  # whatever a driver raises: training goes on without joules
            self._sensor, self._reason = None, f"the energy sensor failed: {error}"
            return None

    def _mark(self) -> tuple[float, float] | None:
        if self._gauge is None:
            return None
        try:
            return self._gauge.mark()
        except Exception as error:  # as above
            self._gauge, self._no_load = None, f"the load could not be read: {error}"
            return None

    def _busy(self, start: tuple[float, float] | None, seconds: float) -> tuple[float | None, str | None]:
        """Return the busy seconds of a window, or None and the reason: what is known of it stands for all of it."""
        end = self._mark()
        if start is None or end is None:
            return None, self._no_load
        known = end[1] - start[1]
        if known <= 0:
            return None, "no sample of the load fell into so short a time"
        return seconds * min(1.0, (end[0] - start[0]) / known), None


class Rapl:
    """The processor packages' energy counters (Running Average Power Limit), through Linux's powercap."""

    source = "RAPL, processor packages"

    def __init__(self, zones: tuple[Path, ...]) -> None:
        self._zones = zones
        self._ranges = [int((zone / "max_energy_range_uj").read_text()) for zone in zones]
        self._last: list[int] = self._read()
        self._total = 0

    def joules_since(self, start: int | None) -> tuple[int, float]:
        """Add up the packages, in microjoules; a counter that wrapped around has gone on by its range."""
        now = self._read()
        for before, after, span in zip(self._last, now, self._ranges, strict=True):
            self._total += after - before if after >= before else after - before + span
        self._last = now
        return self._total, 0.0 if start is None else (self._total - start) / 1e6

    def _read(self) -> list[int]:
        return [int((zone / "energy_uj").read_text()) for zone in self._zones]


class Nvml:
    """One GPU's total energy counter, through NVIDIA's management library."""

    source = "NVML, GPU board"

    def __init__(self, device: torch.device) -> None:
        self._nvml, self._handle = _nvml_handle(device)

    def joules_since(self, start: int | None) -> tuple[int, float]:
        """Read the counter, in millijoules."""
        now = int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        return now, 0.0 if start is None else (now - start) / 1e3


class Processor:
    """The time of this process on the cores that it may use."""

    def __init__(self) -> None:
        self._cores = len(os.sched_getaffinity(0))

    @property
    def source(self) -> str:
        """What is looked at, for people."""
        return f"processor time of the process over {self._cores} {'core' if self._cores == 1 else 'cores'}"

    def mark(self) -> tuple[float, float]:
        """Return the seconds that the process had a core, a core's share each, and those that have passed."""
        return time.process_time() / self._cores, time.perf_counter()


class Utilisation:
    """The driver's own samples of one GPU: which part of the time before each of them it was computing."""

    source = "NVML, part of the time in which the GPU computed"

    def __init__(self, device: torch.device) -> None:
        self._nvml, self._handle = _nvml_handle(device)
        self._last, self._busy, self._known = 0, 0.0, 0.0
        self.mark()

    def mark(self) -> tuple[float, float]:
        """Add what was sampled since the last time; a sample stands for the time since the one before it."""
        for at, percent in self._samples():
            if self._last:
                seconds = (at - self._last) / 1e6
                self._busy += percent / 100 * seconds
                self._known += seconds
            self._last = at
        return self._busy, self._known

    def _samples(self) -> list[tuple[int, int]]:
        """Return the samples since the last one, as microseconds and percent; the driver says if there are none."""
        try:
            _, found = self._nvml.nvmlDeviceGetSamples(
                self._handle, self._nvml.NVML_GPU_UTILIZATION_SAMPLES, self._last
            )
        except self._nvml.NVMLError_NotFound:
            return []
        pairs = ((int(one.timeStamp), int(one.sampleValue.uiVal)) for one in found)
        return sorted(pair for pair in pairs if pair[0] > self._last)


def open_sensor(device: torch.device) -> tuple[Sensor | None, str | None]:
    """Return the energy sensor of `device`, or None and the reason."""
    try:
        if device.type == "cuda":
            return Nvml(device), None
        zones = tuple(sorted(POWERCAP.glob("intel-rapl:[0-9]")))
        if not zones:
            return None, "no energy counter: the system offers no RAPL zone"
        return Rapl(zones), None
    except PermissionError:
        return None, "no energy counter: RAPL may be read by root alone on this system"
    except Exception as error:  # no driver, no counter on this model, ...: each has its own exception type
        return None, f"no energy counter: {error}"


def open_gauge(device: torch.device) -> tuple[Gauge | None, str | None]:
    """Return what knows the load of `device`, or None and the reason."""
    try:
        return (Utilisation(device) if device.type == "cuda" else Processor()), None
    except Exception as error:  # no driver, no samples on this model, ...
        return None, f"the load cannot be read: {error}"


def _nvml_handle(device: torch.device) -> tuple[Any, Any]:
    """Return NVIDIA's management library, begun, and its handle of `device`."""
    import pynvml

    pynvml.nvmlInit()
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")


def synchronise(device: torch.device) -> None:
    """Wait until `device` has done what this thread told it; other threads may have streams of their own."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
