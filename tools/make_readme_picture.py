"""Make docs/report.png: the head of a study's report, as Chromium shows it. `make picture` trains the study first.

usage: python tools/make_readme_picture.py PAGE        (PAGE: the report's HTML file)
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright import sync_api

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "report.png"
WIDTH = 1000
LAST = "#figure-survival > .picture"
"""What the picture ends with."""


def main() -> None:
    """Open the page, wait for its first live figure, and keep what a reader sees first."""
    page = Path(sys.argv[1]).resolve()
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        sys.exit("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": WIDTH}, color_scheme="light")
        tab.goto(page.as_uri())
        tab.locator(LAST).scroll_into_view_if_needed()
        tab.wait_for_selector(f"{LAST} > div svg")
        bottom = tab.evaluate("(last) => document.querySelector(last).getBoundingClientRect().bottom + scrollY", LAST)
        tab.screenshot(path=PICTURE, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": bottom + 20})
        browser.close()
    print(PICTURE)


if __name__ == "__main__":
    main()
