"""The mark by which our own files are known."""

MARK = "Written by `spotrender cluster render`"
"""Stands in the first line of each file; a file without it is somebody else's, and stays."""
