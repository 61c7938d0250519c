"""Code of experiment3."""
