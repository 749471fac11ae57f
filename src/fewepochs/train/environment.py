"""Where a run ran: versions, device, threads, source. What cannot be found out is None; readers show it as unknown."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from fewepochs.nets import kernels as compiled

PACKAGES = ("fewepochs", "torch", "numpy", "scipy", "pydantic")
COMPARED = ("command", "packages", "source", "system", "cpu", "cpu_capability", "cores", "threads", "device", "kernels",
            "compiler", "graphs", "gpu", "deterministic", "together")  # fmt: skip
"""What is noted when a run goes on elsewhere or otherwise."""
ROUNDING = ("threads", "device", "kernels", "compiler", "cpu", "cpu_capability", "gpu")
"""What may change how sums are rounded, beside the versions of torch and of fewepochs."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""What glibc's malloc.h calls M_TRIM_THRESHOLD and M_MMAP_THRESHOLD; both take an int of bytes."""


def collect(
    *, device: torch.device, kernels: str, data_digest: str, data_origin: str, graphs: bool = False
) -> dict[str, Any]:
    """Return the environment of this process as JSON-able values; keys are fixed, unknown values are None."""
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "source": {"commit": _git("rev-parse", "HEAD"), "changed": _changed()},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "kernels": kernels,
        "compiler": compiled.compiler() if kernels != "torch" and device.type == "cpu" else None,
        "graphs": "on" if graphs else "off",
        "gpu": _gpu(device),
        "deterministic": device.type == "cpu" or torch.are_deterministic_algorithms_enabled(),
        "data": {"digest": data_digest, "origin": data_origin},
    }


def make_deterministic() -> None:
    """Let CUDA repeat its bits: only algorithms that do, or an error that names the operation that has none.

    cuBLAS reads its setting when it is first used, so this comes before anything is computed. A CPU needs none of it.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def make_exact() -> None:
    """Let float32 be float32 on CUDA, too.

    torch lets cuDNN round the inputs of convolutions to TF32's 10 bits unless it is told otherwise; precision is a
    recipe's to say.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, for the next step's activations.

    glibc hands blocks of 32 MiB and more back to the system as soon as they are free, and takes them again page by
    page, each cleared by the kernel: that costs large batches, and every evaluation. Other C libraries have their own
    ways and are left alone. See mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**30)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def give_back_memory() -> None:
    """Hand the freed memory that this process has kept back to the system, where its C library can: malloc_trim(3)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def doubts(first: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return why a run begun in the environment `first` may not repeat its bits in the environment `now`."""
    found = [f"{key} {_shown(first.get(key))} -> {_shown(now[key])}" for key in ROUNDING if first.get(key) != now[key]]
    before, after = first.get("packages"), now["packages"]
    for name in ("torch", "fewepochs"):
        was = before.get(name) if isinstance(before, dict) else None
        if was != after[name]:
            found.append(f"{name} {was} -> {after[name]}")
    if not (first.get("deterministic") and now["deterministic"]):
        found.append("CUDA without --deterministic")
    return found


def _shown(value: Any) -> str:
    return str(value.get("name", "?") if isinstance(value, dict) else value)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """Ask git about the checkout that this file lies in; None where it is not one (an installed package)."""
    here = Path(__file__).resolve().parent
    root = next((folder for folder in here.parents if (folder / ".git").exists()), None)
    if root is None or not (root / "src" / "fewepochs").is_dir():
        return None
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _changed() -> bool | None:
    status = _git("status", "--porcelain", "--untracked-files=no")
    return None if status is None else status != ""


def _cpu() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _gpu(device: torch.device) -> dict[str, Any] | None:
    if device.type != "cuda":
        return None
    properties = torch.cuda.get_device_properties(device)
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "driver": _driver(),
    }


def _driver() -> str | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except Exception:  # no driver library, or one that does not answer: unknown
        return None
