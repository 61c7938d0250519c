"""What maps look like, and how far to trust them."""
