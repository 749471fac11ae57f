"""Seconds, joules and memory of a stretch of work.

A window is synchronised at both ends, so that work still queued on a GPU is not counted as free. Its seconds are
monotonic, and those in which the process was suspended (SIGSTOP, a debugger, a batch system) are left out: from the
last beat before to the waking. Energy is read from a counter of the hardware at both ends: NVML's total energy of one
GPU, or RAPL's of the processor packages. What cannot be measured is None with the reason, never 0.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Reading:
    """One window: `seconds` are monotonic; `joules` is None with a `reason` where nothing was measured."""

    seconds: float
    joules: float | None
    reason: str | None


class Sensor(Protocol):
    """A counter of joules that only grows."""

    @property
    def source(self) -> str:
        """What is counted, for people."""

    def joules_since(self, start: int | None) -> tuple[int, float]:
        """Return the counter as it stands, and the joules since it stood at `start` (0 for None)."""


class Meter:
    """Measures windows on `device`. The sensor is found once; a sensor that fails later is dropped with its reason."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sensor, self._reason = open_sensor(device)
        self._beat, self._away = time.perf_counter(), 0.0

    @property
    def source(self) -> str | None:
        """What joules are read from, or None."""
        return None if self._sensor is None else self._sensor.source

    def start(self) -> Callable[[], Reading]:
        """Begin a window; calling the result ends it and returns its reading."""
        _synchronise(self._device)
        self.beat()
        count = self._count(None)
        begin, away = time.perf_counter(), self._away

        def stop() -> Reading:
            _synchronise(self._device)
            suspended = self._away - away
            seconds = time.perf_counter() - begin - suspended
            end = None if count is None else self._count(count[0])
            if end is not None and suspended:
                return Reading(seconds, None, "the process was suspended; the counter went on")
            return Reading(seconds, None if end is None else end[1], self._reason)

        return stop

    def beat(self) -> None:
        """Note that the process is at work: after each step, so that a suspension is known to within one."""
        self._beat = time.perf_counter()

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
        import pynvml

        self._nvml = pynvml
        pynvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(device).uuid)
        self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")

    def joules_since(self, start: int | None) -> tuple[int, float]:
        """Read the counter, in millijoules."""
        now = int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        return now, 0.0 if start is None else (now - start) / 1e3


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


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
