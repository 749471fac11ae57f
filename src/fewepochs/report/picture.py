"""A figure as a file of its own: SVG, PNG or PDF on white, or an HTML page that follows the reader's light or dark.

The page needs no script and no other file; it holds the figure's numbers as text, too.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import altair as alt
import vl_convert

from fewepochs import store
from fewepochs.errors import Problem, RecipeError, StorageError
from fewepochs.report import figures

FORMATS = (".svg", ".png", ".pdf", ".html")


def check(path: Path) -> None:
    """Raise RecipeError unless `path` ends in one of the formats that can be drawn."""
    if path.suffix.lower() not in FORMATS:
        kinds = ", ".join(f"FILE{suffix}" for suffix in FORMATS)
        raise RecipeError("command line", (Problem("--to", "not a kind of picture", repr(str(path)), kinds),))


def write(
    path: Path,
    chart: Callable[[figures.Ink], alt.VConcatChart],
    *,
    title: str,
    alternative: str,
    numbers: Sequence[str],
) -> None:
    """Draw `chart`, given its colours, into `path`, in the format that its name ends in. Raises StorageError.

    `title`, the `alternative` to the picture in words and the lines of `numbers` are the page's.
    """
    check(path)
    suffix = path.suffix.lower()
    specification = chart(figures.PAGE if suffix == ".html" else figures.PAPER).to_dict()
    match suffix:
        case ".png":
            content = vl_convert.vegalite_to_png(specification, scale=2)
        case ".pdf":
            content = vl_convert.vegalite_to_pdf(specification)
        case ".html":
            svg = vl_convert.vegalite_to_svg(specification)
            content = _page(svg, title=title, alternative=alternative, numbers=numbers).encode()
        case _:
            content = vl_convert.vegalite_to_svg(specification).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path.parent}: cannot be made: {error.strerror or error}") from None
    store.write_whole(path, content)


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
