"""Functions of tensors compiled by torch's inductor: Triton on CUDA, C++ on a CPU.

    normalise = inductor.compiled(normalise)      # the same function; compiled when it is called, once for each shape

A shape is compiled as it stands, never generalised, and nothing is timed in order to choose between two ways: how sums
are rounded must depend neither on which shape came first nor on a clock. What was compiled is kept in the cache folder,
for the next process.

Compiled functions cannot be differentiated twice; who needs Hessians builds the network with kernels "torch".
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import torch
from torch import Tensor

from fewepochs import cache
from fewepochs.errors import Problem, RecipeError, StorageError

P = ParamSpec("P")

SHAPES = 2**12
"""So many may be compiled of one function. A network has about ten, for each size of a batch, in training and
evaluation, and a schedule of batch sizes has many; torch's own limits, 8 and 256 in all, would end such a run."""


@functools.cache
def compiled(work: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Return `work` compiled; a call raises RecipeError where this machine cannot compile it.

    Raises StorageError where nothing can be kept.
    """
    # Before inductor is imported: it reads these once. One thread compiles, since a function is a kernel or two, and
    # a process that is stopped leaves no others behind.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    folder = os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache.folder() / "inductor"))
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        del os.environ["TORCHINDUCTOR_CACHE_DIR"]
        why = error.strerror or error
        raise StorageError(f"{folder} cannot be made: {why}. Another ${cache.VARIABLE}, or --kernels torch.") from None
    import torch._dynamo as dynamo
    from torch._inductor import config

    for limit in ("cache_size_limit", "accumulated_cache_size_limit"):
        setattr(dynamo.config, limit, max(getattr(dynamo.config, limit), SHAPES))
    # Releases of torch before this option had no way to say so.
    options: dict[str, Any] = {"deterministic": True} if hasattr(config, "deterministic") else {}
    fast = torch.compile(work, fullgraph=True, dynamic=False, options=options)

    @functools.wraps(work)
    def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        try:
            return fast(*args, **kwargs)
        except dynamo.exc.TorchDynamoException as error:
            raise _cannot(error) from error

    return call


def _cannot(error: BaseException) -> RecipeError:
    """Return the error for what torch could not compile, with the reason that came first."""
    while (before := getattr(error, "inner_exception", None) or error.__cause__) is not None:
        error = before
    lines = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return RecipeError("command line", (Problem("--kernels", f"cannot compile here: {reason}", "'inductor'", "torch"),))
