"""Logs that are kept in the store."""
