"""How the documentation is built: ``sphinx-build -n -W docs docs/_build``."""

from __future__ import annotations

import importlib.metadata

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import workerkit
from workerkit.records import Record

project = "workerkit"
copyright = "the workerkit developers"
version = release = importlib.metadata.version("workerkit")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "workerkit"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_typehints_description_target = "documented_params"

# Types that stand in signatures and have no page of their own: Python's, and ours that are not public.
nitpick_ignore_regex = [
    ("py:.*", r"(collections|contextlib|enum|logging|pathlib|socket|typing|abc)\..*|ABC|IntEnum|Enum|Row"),
    ("py:.*", r"workerkit\.[a-z_]+\..*"),
    # What the fields of records are of: their hints have short names only.
    ("py:class", "ListenerOptions|Listener|Nudge|Handover|TlsSource|Source"),
]


def resolve_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Link ``workerkit.net.stream.Stream``, as signatures say it, to ``workerkit.Stream``, as the pages do."""
    name = str(node.get("reftarget", "")).rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in workerkit.__all__:
        return None
    domain = env.domains.python_domain
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"workerkit.{name}", node, content)


def keep_colons(_app: Sphinx, what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Keep napoleon from taking what precedes a colon in an attribute's description for its type."""
    if what in {"attribute", "property"}:
        lines[:0] = ["..", ""]


def show_fields(
    _app: Sphinx, what: str, _name: str, obj: object, _options: object, _signature: str, returns: str
) -> tuple[str, str] | None:
    """Show what a record is made of; its constructor is written once for all of them."""
    if what == "class" and isinstance(obj, type) and issubclass(obj, Record):
        return f"({', '.join(obj.__match_args__)})", returns
    return None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", keep_colons, priority=100)
    app.connect("autodoc-process-signature", show_fields)
    app.connect("missing-reference", resolve_public_name)
    # Diagrams stay text: readable as such, and drawn by sites that know Mermaid.
    app.add_lexer("mermaid", TextLexer)
