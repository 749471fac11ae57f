"""A page of the site that would load something from elsewhere, or leads nowhere, is noticed."""

from __future__ import annotations

from pathlib import Path

import check_site
import pytest

WHOLE = '<link rel="stylesheet" href="a.css"><a href="#here">x</a><a href="https://arxiv.org">y</a><p id="here">'


def problems(folder: Path, page: str, style: str = "body { color: red }") -> list[str]:
    (folder / "index.html").write_text(page)
    (folder / "a.css").write_text(style)
    return check_site.problems(folder)


def test_a_page_that_needs_nothing_from_outside_is_good(tmp_path: Path) -> None:
    assert problems(tmp_path, WHOLE) == []


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<img src="http://badge.example/a.svg">',
        '<link rel="stylesheet" href="//fonts.example/a.css">',
    ],
)
def test_what_is_loaded_from_outside_is_named(page: str, tmp_path: Path) -> None:
    [problem] = problems(tmp_path, page)
    assert problem.startswith("index.html: loads ")
    assert "example" in problem


@pytest.mark.parametrize("style", ['@import "https://a.example/b.css"', "@font-face { src: url(//a.example/b.woff) }"])
def test_a_style_sheet_that_loads_from_outside_is_named(style: str, tmp_path: Path) -> None:
    assert problems(tmp_path, WHOLE, style) == ["a.css: loads from outside"]


@pytest.mark.parametrize("link", ["gone.html", "index.html#gone", "#gone", "_downloads/gone.json"])
def test_a_link_without_an_end_is_named(link: str, tmp_path: Path) -> None:
    assert problems(tmp_path, f'<a href="{link}">x</a>') == [f"index.html: leads nowhere: {link}"]


def test_a_folder_without_pages_is_no_site(tmp_path: Path) -> None:
    assert check_site.problems(tmp_path) == [f"{tmp_path}: no pages"]
