"""What a reader of a page's source finds in it: tables, scripts, elements and texts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any


@dataclass
class Cell:
    text: str = ""
    value: str | None = None
    scope: str | None = None
    classes: str = ""


@dataclass
class Document(HTMLParser):
    """What a reader of the page's source finds: tables by id, scripts, texts by element."""

    source: str
    tables: dict[str, list[list[Cell]]] = field(default_factory=dict)
    scripts: list[tuple[dict[str, str | None], str]] = field(default_factory=list)
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._table = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        if tag == "table":
            self._table = found.get("id") or f"table-{len(self.tables)}"
            self.tables[self._table] = []
        elif tag == "tr":
            self.tables[self._table].append([])
        elif tag in ("td", "th"):
            self.tables[self._table][-1].append(Cell(scope=found.get("scope"), classes=found.get("class") or ""))
        elif tag == "data" and "td" in self._open:
            self.tables[self._table][-1][-1].value = found["value"]
        elif tag == "script":
            self.scripts.append((found, ""))
        if tag in ("li", "h1", "h3", "title", "p", "pre", "style", "figcaption"):
            self.texts.setdefault(tag, []).append("")
        if tag not in ("meta",):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "td" in self._open or "th" in self._open:
            self.tables[self._table][-1][-1].text += data
        if self._open and self._open[-1] == "script":
            attributes, text = self.scripts.pop()
            self.scripts.append((attributes, text + data))
        for tag in self.texts:
            if tag in self._open:
                self.texts[tag][-1] += data

    def rows(self, table: str) -> list[list[Cell]]:
        """Return the rows of `table` below its head."""
        return [row for row in self.tables[table] if row[0].scope == "row"]

    def block(self, name: str) -> Any:
        """Return the JSON in the data block `name`."""
        return json.loads(next(text for attributes, text in self.scripts if attributes.get("id") == name))
