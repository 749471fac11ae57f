"""Look through the built site for anything that a browser would load from elsewhere, and for links that lead nowhere.

usage: python tools/check_site.py docs/_build/html
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "embed": "src", "object": "data"}
"""What a browser fetches by itself, with the attribute that says from where; links count by their kind."""

OUTSIDE = re.compile(r"""(?:url\(\s*['"]?|@import\s+['"])(?:https?:)?//""")


class Page(HTMLParser):
    """Where a page points: what it loads, what it links to, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in one tag."""
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag in LOADED and LOADED[tag] in given:
            self.loads.append(given[LOADED[tag]])
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev", "author"):
            self.loads.append(given.get("href", ""))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])


def problems(site: Path) -> list[str]:
    """Return what is wrong with the site in the folder `site`, a line each."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site}: no pages"]
    for path, page in pages.items():
        name = path.relative_to(site)
        found += [f"{name}: loads {one}" for one in page.loads if _outside(one)]
        found += [f"{name}: leads nowhere: {one}" for one in page.links if not _leads(one, path, pages)]
    for path in sorted(site.rglob("*.css")):
        if OUTSIDE.search(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(site)}: loads from outside")
    return found


def _outside(address: str) -> bool:
    return address.startswith("//") or urlsplit(address).scheme in ("http", "https")


def _leads(address: str, path: Path, pages: dict[Path, Page]) -> bool:
    """Return whether a link on the page `path` has an end; those to other sites are believed."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
    if target not in {known.resolve() for known in pages}:
        return target.is_file()
    anchors = next(page.anchors for known, page in pages.items() if known.resolve() == target)
    return not parts.fragment or unquote(parts.fragment) in anchors


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    print("\n".join(wrong) or "nothing from outside, no link without an end")
    sys.exit(1 if wrong else 0)
