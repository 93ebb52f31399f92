"""How Sphinx makes the site; `make docs` runs it (docs/build.py)."""

from __future__ import annotations

from importlib.metadata import version as version_of

from sphinx.application import Sphinx

project = "firstlight"
author = "the firstlight contributors"
copyright = author  # noqa: A001 (Sphinx's name)
release = version = version_of("firstlight")

extensions = ["myst_nb"]
nitpicky = True
exclude_patterns = ["experiment.md", "plugins.md"]  # where pages were before, for links of earlier messages
source_suffix = {".md": "myst-nb"}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4  # of GitHub's form, so that links work there and here

nb_execution_mode = "force"  # what a cell gives depends on firstlight's sources, of which no cache knows
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_ipywidgets_js: dict[str, object] = {}  # would be read from the net

html_theme = "furo"
html_title = "firstlight"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False

DECISIONS = "why/decisions/README"


def _list_decisions(app: Sphinx, name: str, source: list[str]) -> None:
    """The pages of the decisions go below the page that lists them, which GitHub shows as it is."""
    if name == DECISIONS:
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n0*\n```\n"


def setup(app: Sphinx) -> None:
    app.connect("source-read", _list_decisions)
