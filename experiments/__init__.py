"""The experiments: a study's own code stands beside its notebook."""
