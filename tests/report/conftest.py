"""Chromium for the tests that need a browser; without one they are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from visits import Open, Visit

from fewepochs import store
from fewepochs.report import page

SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """Return a function that writes a page of runs, opens the file and records what happens."""
    contexts = []

    def opened(*runs: store.StoredRun, width: int = 1100, **settings: Any) -> Visit:
        path = tmp_path / "report.html"
        page.write(path, runs, targets=(0.9, 0.97))
        context = chromium.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        found = Visit(context.new_page())
        found.tab.on("console", lambda message: found.messages.append(message.text))
        found.tab.on("pageerror", lambda error: found.messages.append(str(error)))
        found.tab.on("request", lambda request: found.requests.append(request.url))
        found.tab.on("dialog", found.dismiss)
        found.tab.goto(path.as_uri())
        return found

    yield opened
    for context in contexts:
        context.close()
