"""What all tests share: Keras on torch, one thread for small networks, no cache of the user's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# A deadline would be an assertion about time.
settings.register_profile("fewepochs", deadline=None)
settings.load_profile("fewepochs")
# Before anything imports keras: it reads its backend once.
os.environ["KERAS_BACKEND"] = "torch"
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as many processes as cores: a thread each
sys.path.insert(0, str(Path(__file__).parent))  # tests/oracles


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may read or write the user's cache, or Keras's."""
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
