"""How the page becomes HTML: a template that escapes all text, a policy that knows every script, numbers as read.

Text from runs is text: escaped, with invisible characters spelt out. A number stands beside itself as recorded.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from fewepochs.report import visible


@functools.cache
def asset(name: str) -> str:
    """Return a file of this folder as text."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def policy(*, scripts: Sequence[str], style: str, live: bool = False) -> str:
    """Return the policy of a page that has these scripts and this style; a `live` one may ask its own server."""
    known = " ".join(map(_source, scripts)) or "'none'"
    asks = "; connect-src 'self'" if live else ""
    own = f"script-src {known}; style-src {_source(style)}{asks}"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def json_block(content: object) -> Markup:
    """Return `content` as JSON that no text in it can end: what HTML reads as markup is written as an escape."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))  # beyond ASCII it escapes by itself
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


@functools.cache
def template() -> jinja2.Template:
    """Return the page's template."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=_visible)
    environment.filters.update(_FORMATS, numbers=_numbers, sentence=lambda text: text[:1].upper() + text[1:])
    environment.globals |= {"cell": _cell, "told": _told}
    return environment.from_string(asset("page.html.jinja"))


def _visible(value: Any) -> Any:
    return visible.shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _cell(value: float | None, form: str, reason: str) -> Markup:
    """Return a table's cell: the number in one of `_FORMATS`, or the reason why there is none."""
    if value is None:
        return Markup(f'<td class="absent reason">{escape(visible.shown(reason))}</td>')
    number = "" if form == "joules" else ' class="number"'
    return Markup(f"<td{number}>{_FORMATS[form](value)}</td>")


def _told(value: float | None, text: str) -> Markup:
    """Return a table's cell that tells a number in words of its own, or what is known where there is none."""
    told = escape(visible.shown(text))
    return Markup(f'<td class="absent">{told}</td>' if value is None else f"<td>{_data(value, told)}</td>")


def _numbers(row: Sequence[str]) -> Markup:
    """Return a row's cells, the first of them its head: a page has tens of thousands, too many for a template."""
    first, *rest = (escape(visible.shown(text)) for text in row)
    return Markup(f'<th scope="row">{first}</th>{"".join(f"<td>{text}</td>" for text in rest)}')


def _data(value: float, text: str) -> Markup:
    """Return a number as read, with the number as recorded beside it for whoever reads the page by program."""
    return Markup(f'<data value="{escape(repr(value))}">{escape(text)}</data>')


def _duration(seconds: float) -> str:
    """Return seconds as people say them: "0.52 s", "12.3 s", "3 min 5 s", "1 h 8 min".

    >>> _duration(4095.0)
    '1 h 8 min'
    """
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min"


def _scaled(value: float, step: int, units: Sequence[str]) -> str:
    """Return `value` with three digits and the unit that keeps it short; units grow by `step`."""
    power = 0
    while value >= 999.5 and power < len(units) - 1:
        value, power = value / step, power + 1
    return f"{value:.3g} {units[power]}" if value < 999.5 else f"{value:,.0f} {units[power]}"


_FORMATS: Mapping[str, Callable[[Any], Markup]] = {
    "exact": lambda value: _data(value, f"{value:g}" if isinstance(value, float) else str(value)),
    "accuracy": lambda value: _data(value, f"{value:.4f}"),
    "rate": lambda value: _data(value, f"{value:,.0f}" if value >= 100 else f"{value:.3g}"),
    "seconds": lambda value: _data(value, _duration(value)),
    "joules": lambda value: _data(value, _scaled(value, 1000, ("J", "kJ", "MJ", "GJ"))),
    "percent": lambda value: _data(value, f"{100 * value:.3g}%"),
    "watts": lambda value: _data(value, f"{value:.3g} W"),
    "memory": lambda value: _data(value, _scaled(value, 1024, ("B", "KiB", "MiB", "GiB"))),
}
"""How the page writes numbers, each with the number as recorded beside it."""
