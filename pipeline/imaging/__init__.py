"""Finished pictures as files: the output gate, the encoders, and what a file says of the request behind it."""
