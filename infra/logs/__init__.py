"""Logs of drivers and workers, kept in the store, and what must not stand in them."""
