"""Where images, jobs and the ledger live: one object store behind one URI."""

from infra.stores.table import STORES, open_store

__all__ = ["STORES", "open_store"]
