"""Notebooks executed, turned into pages, shared; figures made again from their PNG.

Command lines: `python -m helpers.publish.notebooks`, `.share` and `.reproduce`.
"""

from helpers.publish.pages import page
from helpers.publish.sources import source_digest

__all__ = [
    "page",
    "source_digest",
]
