"""Experiment 3: which maps repeat over twenty seeds."""
