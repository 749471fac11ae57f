"""A figure as a file of its own: SVG, PNG or PDF on white, an HTML page that follows light or dark, or its data.

The page needs no script and no other file; it holds the figure's numbers as text, too. Of a figure whose data sets are
its numbers, CSV has them as rows, and JSON is the Vega-Lite specification.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import vl_convert

from fewepochs import disk
from fewepochs.errors import Problem, RecipeError
from fewepochs.report import figures, table_text

FORMATS = (".svg", ".png", ".pdf", ".html")
DATA_FORMATS = (".csv", ".json")
COLUMN, LEAST, MOST = 85.0, 40.0, 1000.0
"""Widths in millimetres: of a column of two, and the least and the most that are drawn."""

PIXELS_AN_INCH, POINTS_AN_INCH, MILLIMETRES_AN_INCH = 96, 72, 25.4
PRINTED = 300
"""Dots an inch of a PNG whose width was asked."""

_SIZE = re.compile(r'\b(width|height)="([\d.]+)"')


def check(path: Path, *, option: str = "--to", data: bool = False) -> None:
    """Raise RecipeError unless `path` ends in one of the formats that can be drawn, or `data` if that is allowed."""
    formats = (*FORMATS, *DATA_FORMATS) if data else FORMATS
    if path.suffix.lower() not in formats:
        kinds = ", ".join(f"FILE{suffix}" for suffix in formats)
        raise RecipeError("command line", (Problem(option, "not a kind of picture", repr(str(path)), kinds),))


def write(
    path: Path, figure: figures.Figure, *, numbers: Sequence[str] | None = None, millimetres: float | None = None
) -> None:
    """Draw `figure` into `path`, in the format that its name ends in. Raises StorageError, and RecipeError for others.

    The lines of `numbers` stand on the HTML page; without them the figure's own rows do. `millimetres` is the width in
    print of SVG, PNG and PDF, as wide as the figure likes where it is None; letters have one size in all widths.
    """
    check(path, data=bool(figure.table))
    disk.make_folder(path.parent)
    disk.write_whole(path, _content(path.suffix.lower(), figure, numbers=numbers, millimetres=millimetres))


def _content(suffix: str, figure: figures.Figure, *, numbers: Sequence[str] | None, millimetres: float | None) -> bytes:
    spec = figures.specification(figure, ink=figures.PAGE if suffix == ".html" else figures.PAPER)
    match suffix:
        case ".csv":
            return _csv(figures.rows(spec)).encode()
        case ".json":
            return (json.dumps(spec, indent=1) + "\n").encode()
        case ".html":
            told = _csv(figures.rows(spec)).splitlines() if numbers is None else numbers
            svg = vl_convert.vegalite_to_svg(spec)
            return _page(svg, title=figure.title, alternative=figure.alternative, numbers=told).encode()
    svg = vl_convert.vegalite_to_svg(spec) if millimetres is None else _printed(spec, millimetres)
    match suffix:
        case ".png":
            # Without a width it is for screens: two dots a pixel.
            png: bytes = vl_convert.svg_to_png(svg, **({"scale": 2} if millimetres is None else {"ppi": PRINTED}))
            return png
        case ".pdf":
            pdf: bytes = vl_convert.svg_to_pdf(svg)
            return pdf
        case _:
            return str(svg).encode()


def _printed(spec: Mapping[str, Any], millimetres: float) -> str:
    """Return the picture as wide as that in print: its size is in points, as printers count, not in pixels."""
    wanted = millimetres / MILLIMETRES_AN_INCH * PIXELS_AN_INCH
    # What stands beside the plots (axes, labels) takes what it takes, which is known once it is drawn. A legend or a
    # title that stands above them may be wider than they are, and says nothing about that.
    beside = _width(vl_convert.vegalite_to_svg(_without_tops(figures.fitted(spec, wanted)))) - wanted
    svg = vl_convert.vegalite_to_svg(figures.fitted(spec, wanted - beside))
    head, rest = svg.split(">", 1)
    scale = wanted / _width(svg) * POINTS_AN_INCH / PIXELS_AN_INCH
    head = _SIZE.sub(lambda found: f'{found[1]}="{float(found[2]) * scale:g}"', head)
    return f"{head}>{rest}"


def _without_tops(part: Any) -> Any:
    """Return `part` of a specification without its titles and the legends above its plots."""
    if isinstance(part, list):
        return [_without_tops(one) for one in part]
    if not isinstance(part, dict):
        return part
    if part.get("orient") == "top":
        return None
    return {
        key: None if key == "title" else value if key == "datasets" else _without_tops(value)
        for key, value in part.items()
    }


def _width(svg: str) -> float:
    return float(next(found[2] for found in _SIZE.finditer(svg) if found[1] == "width"))


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    return table_text.csv_text([{head: _cell(value) for head, value in row.items()} for row in rows])


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _page(svg: str, *, title: str, alternative: str, numbers: Sequence[str]) -> str:
    style = (resources.files(__package__) / "page.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{html.escape(title)}</h1>\n"
        f'<figure><div class="picture" role="img" aria-label="{html.escape(alternative)}">{svg}</div></figure>\n'
        f"<h2>Numbers</h2>\n<pre>{html.escape(chr(10).join(numbers))}</pre>\n</main>\n</body>\n</html>\n"
    )
