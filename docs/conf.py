"""How Sphinx makes the site; `make docs` runs it (docs/build.py)."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

from docs import names
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

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
nb_execution_timeout = 600  # seconds a cell, of which a busy machine may need many
nb_execution_in_temp = True  # tutorials write run folders where they are run
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # their cells call `firstlight`
nb_ipywidgets_js: dict[str, object] = {}  # would be read from the net

html_theme = "furo"
html_title = "firstlight"
html_static_path = ["static"]
html_css_files = ["book.css", "derivations.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False

DECISIONS = "why/decisions/README"
LOG = logging.getLogger(__name__)


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    """Warn of names that the program does not have; decisions go below the page that lists them, as GitHub shows it."""
    if not page.startswith(names.HISTORY):
        for name in names.unknown(source[0]):
            LOG.warning("there is no %s", name, location=page)
    if page == DECISIONS:
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n0*\n```\n"


class LinkedNames(SphinxPostTransform):  # type: ignore[misc]
    """A name of the program in the text leads to where it is explained."""

    default_priority = 400

    def run(self) -> None:
        for literal in list(self.document.findall(nodes.literal)):
            place = names.place_of(literal.astext())
            if place and place[0] != self.env.docname and not isinstance(literal.parent, nodes.reference | nodes.title):
                page, heading = place
                link = make_refnode(self.app.builder, self.env.docname, page, heading, literal.deepcopy())
                literal.replace_self(link)


def setup(app: Sphinx) -> None:
    app.connect("source-read", _read)
    app.add_post_transform(LinkedNames)
