"""Make docs/report.png: the head of a study's report, as Chromium shows it. `make picture` trains the study first.

usage: python tools/make_readme_picture.py PAGE        (PAGE: the report's HTML file)
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright import sync_api

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "report.png"
WIDTH, HEIGHT = 1000, 1130


def main() -> None:
    """Open the page, wait for its first live figure, and keep what a reader sees first."""
    page = Path(sys.argv[1]).resolve()
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        sys.exit("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        tab.goto(page.as_uri())
        tab.wait_for_selector(".picture > div svg")
        tab.screenshot(path=PICTURE)
        browser.close()
    print(PICTURE)


if __name__ == "__main__":
    main()
