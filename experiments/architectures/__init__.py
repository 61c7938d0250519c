"""Code of architectures."""
