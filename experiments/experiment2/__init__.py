"""Code of experiment2."""
