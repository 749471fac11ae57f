"""What may change how sums are rounded is a doubt; what cannot is none."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
import torch

from fewepochs import runtime as runtimes
from fewepochs.nets import kernels
from fewepochs.train import checkpoint, environment, loop, replay, running


def collected(kind: str = "torch") -> dict[str, Any]:
    return environment.collect(device=torch.device("cpu"), kernels=kind, data_digest="0" * 64, data_origin="a test")


CHANGES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"command": ["another"], "cores": 99, "system": "another", "source": None}, []),
    ({"threads": 7}, ["threads 7 -> "]),
    ({"device": "cuda"}, ["device cuda -> cpu"]),
    ({"kernels": "fused", "compiler": "one 1.0"}, ["kernels fused -> torch", "compiler one 1.0 -> None"]),
    ({"cpu": "another"}, ["cpu another -> "]),
    ({"gpu": {"name": "a GPU"}}, ["gpu a GPU -> None"]),
    ({"deterministic": False}, ["CUDA without --deterministic"]),
    ({"threads": None, "packages": None}, ["threads None -> ", "torch None -> ", "fewepochs None -> "]),
]


@pytest.mark.parametrize(("changes", "expected"), CHANGES)
def test_a_doubt_names_what_changed(changes: dict[str, Any], expected: list[str]) -> None:
    now = collected()
    found = environment.doubts({**now, **changes}, now)
    assert len(found) == len(expected)
    assert all(doubt.startswith(start) for doubt, start in zip(found, expected, strict=True))


def test_a_run_on_compiled_kernels_names_their_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a++ 1.0", None):
        monkeypatch.setattr(kernels, "compiler", lambda name=name: name)
        found = [collected(kind)["compiler"] for kind in ("fused", "inductor", "torch")]
        assert found == [name, name, None]


def test_float32_is_not_rounded_to_tf32() -> None:
    places: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = True
        runtime = runtimes.Runtime(device="cpu", kernels="torch")
        running.load(tiny_runs.recipe(), runtime=runtime, say=lambda text: None)
        assert [place.allow_tf32 for place in places] == [False, False]
    finally:
        for place, value in zip(places, before, strict=True):
            place.allow_tf32 = value


FREED = """
import resource
import torch
from fewepochs import runtime as runtimes
from fewepochs.train import running
import tiny_runs

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

running.load(tiny_runs.recipe(), runtime=runtimes.Runtime(device="cpu", kernels="torch"), say=print)
found = []
for step in range(8):
    before = faults()
    activations = [torch.ones(64, 2**18) for _ in range(4)]
    del activations
    found.append((faults() - before) * resource.getpagesize() / 2**28)
print(*found)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory in its own way")
def test_memory_that_a_step_frees_is_there_for_the_next_one() -> None:
    """The first fetch their pages from the kernel, more than they need since malloc aligns; the last fetch none."""
    run = subprocess.run(
        [sys.executable, "-c", FREED], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    first, *_, last = map(float, run.stdout.split())
    assert first > 0.001
    assert last < first / 100


DETERMINISTIC = """
import os
import torch
from fewepochs.train import environment
environment.make_deterministic()
assert torch.are_deterministic_algorithms_enabled()
assert not torch.backends.cudnn.benchmark
assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
assert not torch.cuda.is_initialized()
"""


def test_determinism_is_asked_for_before_cuda_is_used() -> None:
    subprocess.run([sys.executable, "-c", DETERMINISTIC], check=True)


@pytest.mark.gpu
def test_a_gpu_that_is_deterministic_repeats_its_bits_from_any_step() -> None:
    """Not to be run beside other tests of the same process: the setting is the process's."""
    environment.make_deterministic()
    spec, device = tiny_runs.recipe("precision=bfloat16"), torch.device("cuda")

    def training() -> loop.Training:
        data = tiny_runs.data(spec, device="cuda")
        return loop.Training(spec, data=data, device=device, recorder=replay.CudaRecorder(device))

    whole = training()
    expected = list(tiny_runs.finish(whole))
    first = training()
    found = list(tiny_runs.finish(first, progress=loop.Progress(pause=True)))
    second = training()
    second.restore(first.snapshot())
    assert found + list(tiny_runs.finish(second)) == expected
    assert checkpoint.digest(second.snapshot().tensors) == checkpoint.digest(whole.snapshot().tensors)
