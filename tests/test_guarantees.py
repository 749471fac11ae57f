"""What docs/guarantees.md promises has the tests that it names."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "guarantees.md").read_text()
KEPT = TESTS.parent / "results" / "kills-digits.json"
ROWS = range(1, 21)


def existing() -> set[str]:
    """Return the names of all tests."""
    found: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        found |= {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
    return found


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 60
    assert named - existing() == set()


def test_every_row_of_the_table_has_its_tests() -> None:
    rows = {int(row[1]): row[0] for row in re.finditer(r"^\| (\d+) \|.*$", PAGE, flags=re.M)}
    assert list(rows) == list(ROWS)
    assert [number for number, row in rows.items() if "`test_" not in row] == []


@pytest.mark.skipif(not KEPT.parent.exists(), reason="a source distribution has no results")
def test_the_figures_are_those_that_were_kept() -> None:
    kept = json.loads(KEPT.read_bytes())
    assert f"{kept['equal']} of {kept['n']} runs equal, {kept['kills']} kills" in PAGE
    assert kept["equal"] == kept["n"] == len(kept["runs"])
    assert kept["command"].partition(" python ")[0] in PAGE
