"""How Sphinx builds this site: ``make docs``. docs/README.md says why it is Sphinx, and how a page is written."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "kbsearch"
copyright = "kbsearch contributors, Apache-2.0"  # noqa: A001 - the name that Sphinx reads
language = "en"

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser", "pages", "two_scripts"]
exclude_patterns = ["README.md", "_build"]
nitpicky = False  # docstrings name modules that have no page; links between pages are checked all the same

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # DEFAULT_CHARS, not 160
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # which leaves "added, changed, removed" as they are
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "kbsearch"
html_static_path = ["_static"]
html_css_files = ["kbsearch.css"]
html_search_language = "en-ja"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

pygments_style = "tango"
