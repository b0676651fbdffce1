"""Renders an image again from what its file says of itself, and compares the two."""
