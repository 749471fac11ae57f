"""Compiled kernels for the CPU, where the machine has a compiler: what torch's own operators leave to be won.

`batch_norm.cpp` is batch normalisation and ReLU in one. It reads and writes each activation as few times as the formula
allows, and keeps nothing for the backward pass but its input. `weight_gradient.cpp` is the gradient of a convolution's
weights and bias in float32, on processors that have AVX2 and not AVX-512: on others oneDNN's is as fast.

They are compiled on first use (a few seconds) into the user's cache, under a name that holds the sources, the compiler
and the processor. Where there is no compiler, or the library does not load, the same layers run on torch's own
operators; the two agree within rounding, and each is deterministic by itself.

The kernels cannot be differentiated twice; who needs Hessians builds the network with kernels "torch".
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import subprocess
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from fewepochs import cache

Kernels = Literal["fused", "inductor", "torch"]
"""What layers run on: the compiled kernels of this module, what torch's inductor compiles (nets.inductor), or torch's
own operators."""

FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared", "-fopenmp", "-fno-math-errno", "-fno-trapping-math")
SOURCES = ("batch_norm.cpp", "weight_gradient.cpp")
WORTH = 2**25
"""Multiply-adds from which on a gradient of weights gains much more than a call from Python costs. The digits' networks
stay below."""
LANES = 8
"""Channels of a convolution, in and out, are a multiple of it, as in weight_gradient.cpp."""
ROWS = 256
"""Rows a piece, as in batch_norm.cpp: the size of the scratch space depends on it."""

_SUFFIXES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


def available() -> Literal["fused", "torch"]:
    """Return "fused" where the kernel can be used on this machine, compiling it if need be, else "torch"."""
    return "fused" if _library() is not None else "torch"


def supports(x: Tensor) -> bool:
    """Say whether the kernel can take `x`: on the CPU, float32 or bfloat16, and compiled."""
    return x.device.type == "cpu" and x.dtype in _SUFFIXES and _library() is not None


def normalise(
    x_NCHW: Tensor, gamma: Tensor, beta: Tensor, *, mean: Tensor, variance: Tensor, epsilon: float, relu: bool
) -> Tensor:
    """Return act(batch norm of x) with the batch's statistics, which are left in `mean` and (unbiased) `variance`."""
    out: Tensor = _Normalise.apply(x_NCHW, gamma, beta, mean, variance, epsilon, relu)  # type: ignore[no-untyped-call]
    return out


def apply(x_NCHW: Tensor, scale: Tensor, shift: Tensor, *, relu: bool) -> Tensor:
    """Return act(x * scale + shift), per channel: batch normalisation with fixed statistics. Not differentiable."""
    x = x_NCHW.contiguous(memory_format=torch.channels_last)
    y = torch.empty_like(x)
    rows, channels = _matrix(x)
    _call(f"bn_apply_{_SUFFIXES[x.dtype]}", x, y, scale.contiguous(), shift.contiguous(), rows, channels, int(relu))
    return y


def supports_convolution(x_NCHW: Tensor, weight: Tensor, *, stride: int) -> bool:
    """Say whether `convolve` takes these and is worth it: float32, a CPU with AVX2 at most, stride 1, an odd side."""
    outputs, inputs, *sides = weight.shape
    pixels = x_NCHW.numel() // inputs
    return (
        x_NCHW.device.type == "cpu"
        and x_NCHW.dtype == weight.dtype == torch.float32
        and stride == 1
        and sides[0] == sides[1]
        and sides[0] % 2 == 1
        and inputs % LANES == outputs % LANES == 0
        and pixels * weight.numel() >= WORTH
        and torch.backends.cpu.get_cpu_capability() == "AVX2"
        and _library() is not None
    )


def convolve(x_NCHW: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return the convolution with stride 1 and "same" padding; the gradient of weights and bias is the kernel's own."""
    out: Tensor = _Convolve.apply(x_NCHW, weight, bias)  # type: ignore[no-untyped-call]
    return out


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x_NCHW: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context.save_for_backward(x_NCHW, weight)
        return F.conv2d(x_NCHW, weight, bias, padding=weight.shape[2] // 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient_NCHW: Tensor) -> tuple[Tensor | None, ...]:
        x_NCHW, weight = context.saved_tensors
        gradient = gradient_NCHW.contiguous(memory_format=torch.channels_last)
        dx = _input_gradient(x_NCHW, weight, gradient) if context.needs_input_grad[0] else None
        dw, db = _weight_gradient(x_NCHW.contiguous(memory_format=torch.channels_last), weight, gradient)
        return dx, dw, db if context.needs_input_grad[2] else None


def _input_gradient(x: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    padding = [weight.shape[2] // 2] * 2
    dx: Tensor = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], padding, [1, 1], False, [0, 0], 1, [True, False, False]
    )[0]
    return dx


def _weight_gradient(x: Tensor, weight: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    library = _library()
    assert library is not None, "supports_convolution() is asked first"
    (images, inputs, height, width), (outputs, _, side, _) = x.shape, weight.shape
    parts = torch.empty(library.weight_gradient_parts(*map(ctypes.c_long, (inputs, outputs, side))))
    dw, db = torch.empty(weight.shape), torch.empty(outputs)
    _call("weight_gradient", x, gradient, dw, db, parts, images, height, width, inputs, outputs, side)
    return dw, db


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        x_NCHW: Tensor,
        gamma: Tensor,
        beta: Tensor,
        mean: Tensor,
        variance: Tensor,
        epsilon: float,
        relu: bool,
    ) -> Tensor:
        x = x_NCHW.contiguous(memory_format=torch.channels_last)
        y = torch.empty_like(x)
        rows, channels = _matrix(x)
        kept = torch.empty(4, channels)
        _call(
            f"bn_forward_{_SUFFIXES[x.dtype]}",
            x,
            y,
            gamma,
            beta,
            mean,
            variance,
            kept,
            _parts(rows, channels),
            rows,
            channels,
            ctypes.c_double(epsilon),
            int(relu),
        )
        context.save_for_backward(x, kept)
        context.relu = relu
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient_NCHW: Tensor) -> tuple[Tensor | None, ...]:
        x, kept = context.saved_tensors
        gradient = gradient_NCHW.contiguous(memory_format=torch.channels_last)
        rows, channels = _matrix(x)
        dx, dgamma, dbeta = torch.empty_like(x), torch.empty(channels), torch.empty(channels)
        _call(
            f"bn_backward_{_SUFFIXES[x.dtype]}",
            gradient,
            x,
            dx,
            dgamma,
            dbeta,
            kept,
            _parts(rows, channels),
            torch.empty(2, channels),
            rows,
            channels,
            int(context.relu),
        )
        return dx, dgamma, dbeta, None, None, None, None


def _matrix(x_NCHW: Tensor) -> tuple[int, int]:
    channels = x_NCHW.shape[1]
    return x_NCHW.numel() // channels, channels


def _parts(rows: int, channels: int) -> Tensor:
    return torch.empty(-(-rows // ROWS), 2, channels)


def _call(name: str, *arguments: Tensor | int | ctypes.c_double) -> None:
    library = _library()
    assert library is not None, "supports() is asked first"
    passed = [
        ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else ctypes.c_long(a) if isinstance(a, int) else a
        for a in arguments
    ]
    getattr(library, name)(*passed)


# --- compiling ----------------------------------------------------------------------------------------------------


@functools.cache
def _library() -> ctypes.CDLL | None:
    """Return the compiled library, or None where it cannot be had; found out once a process."""
    known = compiler()
    if known is None or platform.system() != "Linux":
        return None
    try:
        path = _built(known)
        library = ctypes.CDLL(str(path))
        library.weight_gradient_parts.restype = ctypes.c_long
        return library
    except (OSError, subprocess.SubprocessError):
        return None


def compiler() -> str | None:
    """Return what the C++ compiler calls itself and its release, None where there is none."""
    return _name_of(_command())


@functools.cache
def _name_of(command: str) -> str | None:
    try:
        told = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return told.partition("\n")[0].strip()


def _command() -> str:
    return os.environ.get("CXX", "c++")


def _built(compiler: str) -> Path:
    sources = {name: (resources.files("fewepochs.nets") / name).read_bytes() for name in SOURCES}
    facts = compiler.encode(), _processor(), " ".join(FLAGS).encode()
    name = hashlib.sha256(b"\0".join([*sources.values(), *facts])).hexdigest()[:16]
    folder = cache.folder() / "kernels"
    path = folder / f"{name}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            for file, source in sources.items():
                (Path(scratch) / file).write_bytes(source)
            library = Path(scratch) / "kernels.so"
            # -fopenmp makes the compiler emit calls to OpenMP; -nodefaultlibs keeps the linker from adding a second
            # OpenMP runtime beside torch's, whose threads would fight with torch's for the cores.
            command = [_command(), *FLAGS, "-nodefaultlibs", "-o", library.name, *sources]
            subprocess.run(command, cwd=scratch, capture_output=True, timeout=120, check=True)
            library.replace(path)
    return path


def _processor() -> bytes:
    """Return what `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return platform.processor().encode()
    return b"\n".join(sorted({line for line in lines if line.startswith((b"model name", b"flags"))}))
