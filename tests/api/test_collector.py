"""The collector is paused while runs are read, and left as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from fewepochs.api import collector


@pytest.fixture(params=[True, False], ids=["on", "off"])
def before(request: pytest.FixtureRequest) -> Iterator[bool]:
    was = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if was else gc.disable)()


def test_it_is_paused_within_and_as_before_afterwards(before: bool) -> None:
    with collector.paused(), collector.paused():
        assert not gc.isenabled()
    assert gc.isenabled() == before


def test_an_error_passes_and_leaves_it_as_before(before: bool) -> None:
    @collector.paused()
    def fails() -> None:
        raise ValueError("within")

    with pytest.raises(ValueError, match="within"):
        fails()
    assert gc.isenabled() == before
