"""How the pages become a site: `sphinx-build docs public`. It needs no network."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

DOCS = Path(__file__).parent

project = "xnat-watchd"
author = "the authors of xnat-watchd"
release = version = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["project"]["version"]

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 4  # as GitHub has them, so that a link is right in both places
nitpicky = True

html_theme = "furo"
html_title = f"xnat-watchd {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_copyright = html_show_sphinx = False
html_copy_source = False


def setup(app: Sphinx) -> None:
    """Show tables, and diagrams in Mermaid's words, as their text: nothing here draws them."""
    for name in ("csv", "mermaid"):
        app.add_lexer(name, TextLexer)
