"""A page open in Chromium, and what it did there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LIVE = ".picture > div svg"
"""What the script puts in the place of a still picture."""


@dataclass
class Visit:
    """An open page and what it did: messages of its console, addresses it asked for, dialogs it opened."""

    tab: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def settle(self, figure: str = ".picture") -> None:
        """Wait until the first such figure is live."""
        self.tab.locator(figure).first.scroll_into_view_if_needed()
        self.tab.wait_for_selector(f"{figure} > div svg")

    def dismiss(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def style(self, selector: str, name: str) -> str:
        script = "([selector, name]) => getComputedStyle(document.querySelector(selector))[name]"
        return str(self.tab.evaluate(script, [selector, name]))


Open = Callable[..., Visit]
