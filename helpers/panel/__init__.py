"""The interactive panel: move a control, watch the map grow."""

from helpers.panel.panel import Panel

__all__ = [
    "Panel",
]
