"""Experiment 3: which maps repeat over eight seeds."""
