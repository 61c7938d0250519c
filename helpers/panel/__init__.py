"""The interactive panel: move a control, watch the map grow."""

from helpers.panel.panel import Panel
from helpers.panel.sources import Models

__all__ = [
    "Models",
    "Panel",
]
