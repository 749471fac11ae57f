"""The plotting library is put together once; what its cache holds is used only if it is what was written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import vl_convert

from fewepochs.report import library


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the snippets that a library was put together with, so far."""
    snippets: list[str] = []

    def bundle(snippet: str) -> str:
        snippets.append(snippet)
        return "let a = '</script><!--'; window.vegaEmbed = vegaEmbed;"

    monkeypatch.setattr(vl_convert, "javascript_bundle", bundle)
    return snippets


def again() -> str:
    library.script.cache_clear()
    try:
        return library.script()
    finally:
        library.script.cache_clear()


def entry() -> Path:
    (found,) = Path(os.environ["FEWEPOCHS_CACHE"]).glob("vega-*.js")
    return found


def test_the_second_time_it_comes_from_the_cache(made: list[str]) -> None:
    assert again() == again()
    assert len(made) == 1


def test_nothing_in_it_ends_the_element_that_holds_it(made: list[str]) -> None:
    assert made == []
    for text in (again(), again()):
        assert "</script" not in text
        assert "<!--" not in text


@pytest.mark.parametrize("damage", [b"", b"\n", b"no digest", b"0" * 64 + b"\nalert(1)"])
def test_what_was_damaged_or_put_there_is_made_again(made: list[str], damage: bytes) -> None:
    whole = again()
    entry().write_bytes(damage)
    assert again() == whole
    assert again() == whole
    assert len(made) == 2


def test_a_torn_entry_is_made_again(made: list[str]) -> None:
    whole = again()
    entry().write_bytes(entry().read_bytes()[:-1])
    assert again() == whole
    assert len(made) == 2


def test_without_a_place_to_keep_it_it_is_made_every_time(
    made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path / "file" / "cache"))
    assert again() == again()
    assert len(made) == 2
