"""What the units of a model do on images."""
