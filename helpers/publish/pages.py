"""HTML pages that load nothing from a network: style, script and images are inside."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import nbformat
from jinja2 import DictLoader, Environment, FileSystemLoader
from nbconvert import HTMLExporter

TEMPLATES = Path(__file__).parent / "templates"
MARK = '<meta name="generator" content="HappyMaps workbook">'
"""In every page: by it a folder of shared pages is known."""

Link = tuple[str, str]
"""Text and address."""


def page(title: str, body: str, links: Sequence[Link] = (), scripts: Sequence[str] = ()) -> str:
    """Put `body` (HTML) into a whole page, light and dark.

    Args:
        title: of the page, plain text.
        body: HTML.
        links: shown above, the first as the way home.
        scripts: names of further files in `helpers/publish/templates`, run at the end of the page.
    """
    return fill(
        "page",
        mark=MARK,
        title=title,
        body=body,
        links=links,
        has_code='<details class="code">' in body,
        style=_text("style.css"),
        script="\n".join(_text(name) for name in ("page.js", *scripts)),
    )


def cells(notebook: nbformat.NotebookNode) -> str:
    """HTML of a notebook's cells: text, folded code, outputs, images with their alternatives."""
    exporter = HTMLExporter(
        template_file="cells.html.j2",
        extra_loaders=[DictLoader({"cells.html.j2": _text("cells.html.j2")})],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    return exporter.from_notebook_node(notebook)[0]


def fill(template: str, **values) -> str:
    """Fill `helpers/publish/templates/TEMPLATE.html.j2`."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), trim_blocks=True)
    return environment.get_template(f"{template}.html.j2").render(values)


@cache
def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
