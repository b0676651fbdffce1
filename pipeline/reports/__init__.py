"""Cost reports: figures made from the ledger alone, on any machine that can read the store."""
