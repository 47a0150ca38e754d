"""Sphinx configuration of `make docs`. Needs neither TensorFlow nor the network."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from docs.generators import attacks, commands, docstrings, profiles, settings

project = "U-Net pipeline"
html_title = project

extensions = ["myst_parser", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3  # anchors of headings, as GitHub makes them
exclude_patterns = ["generators"]
nitpicky = True

html_theme = "furo"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
smartquotes = False  # commands must keep their straight quotes
pygments_style = "friendly"
pygments_dark_style = "monokai"
highlight_language = "none"

MADE = re.compile(r"<!-- made by (\w+)(?: of ([\w.]+))? -->")
MAKERS: dict[str, Callable[..., str]] = {
    "settings": settings.markdown,
    "profiles": profiles.markdown,
    "commands": commands.markdown,
    "docstrings": docstrings.markdown,
    "attacks": attacks.markdown,
}


def fill(app: Any, page: str, source: list[str]) -> None:
    """Replaces each `<!-- made by NAME of ARGUMENT -->` by generated text before a page is parsed."""
    source[0] = MADE.sub(lambda found: MAKERS[found[1]](*filter(None, [found[2]])), source[0])


def made(app: Any, env: Any, added: Any, changed: Any, removed: Any) -> list[str]:
    """Returns the pages with generated text, which are read in every build: the code may have changed."""
    return [page for page in env.found_docs if MADE.search(Path(env.doc2path(page)).read_text("utf-8"))]


def setup(app: Any) -> None:
    """Connects the functions of this file to the events of Sphinx."""
    app.connect("source-read", fill)
    app.connect("env-get-outdated", made)
