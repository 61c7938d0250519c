"""Experiment 2: probability, logit, logit minus the others."""
