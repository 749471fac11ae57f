"""Where fewepochs keeps what it can make again: unpacked archives, compiled kernels, scripts of figures."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

VARIABLE = "FEWEPOCHS_CACHE"


def folder() -> Path:
    """Return the cache folder: $FEWEPOCHS_CACHE, or else the platform's place for caches."""
    own = os.environ.get(VARIABLE)
    return Path(os.path.expanduser(own)) if own else platformdirs.user_cache_path("fewepochs")  # noqa: PTH111
