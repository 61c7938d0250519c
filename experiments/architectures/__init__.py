"""Experiments 4 and 5: models of other shapes, trained, measured, compared."""
