"""What all tests share: Keras on torch, one thread for small networks, no cache of the user's; Chromium for some."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from fewepochs import store
    from fewepochs.report.findings import Finding
    from visits import Open

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


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile the kernels once for all tests of a module, into a cache of their own."""
    from fewepochs.nets import kernels

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEWEPOCHS_CACHE", str(tmp_path_factory.mktemp("kernels")))
        kernels._library.cache_clear()
        assert kernels.available() == "fused"


# --- the browser -----------------------------------------------------------------------------------------------------

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
    from fewepochs.report import page
    from visits import Visit

    contexts = []

    def opened(
        *runs: store.StoredRun,
        width: int = 1100,
        probes: Sequence[Finding] = (),
        found: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Visit:
        path = tmp_path / "report.html"
        path.write_text(page.render(runs, targets=(0.9, 0.97), probes=probes, found=found), encoding="utf-8")
        context = chromium.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        seen = Visit(context.new_page())
        seen.tab.on("console", lambda message: seen.messages.append(message.text))
        seen.tab.on("pageerror", lambda error: seen.messages.append(str(error)))
        seen.tab.on("request", lambda request: seen.requests.append(request.url))
        seen.tab.on("dialog", seen.dismiss)
        seen.tab.goto(path.as_uri())
        return seen

    yield opened
    for context in contexts:
        context.close()
