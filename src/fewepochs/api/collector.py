"""The garbage collector held back while runs are read and told of.

A thousand runs are a hundred thousand records, none of which is part of a cycle; the collector walks over them again
and again, and takes a third of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Pause the collector, and leave it as it was; a context, or a decorator."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
