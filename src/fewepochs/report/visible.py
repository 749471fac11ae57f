"""Text as it is safe to show: what no reader can see, or what would command a terminal, is spelt out."""

from __future__ import annotations


def shown(text: str) -> str:
    r"""Return `text` with what cannot be seen spelt out; line breaks stay.

    >>> shown("run\x1b[31m")
    'run\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
