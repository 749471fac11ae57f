"""The site: `make site` builds it from these pages and from the code's docstrings, without a network."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "fewepochs"
author = "the fewepochs authors"
release = metadata.version("fewepochs")
extensions = ["myst_parser", "sphinx.ext.autodoc", "fewepochs_site"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_extensions"]
smartquotes = False  # two dashes begin an option
highlight_language = "none"

myst_heading_anchors = 4
myst_linkify_fuzzy_links = False

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries = False
# Types of other packages have no page here: this site is built, and read, without a network.
nitpick_ignore_regex = [("py:.*", r"(?!fewepochs\.).*")]

html_theme = "furo"
html_title = "fewepochs"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
