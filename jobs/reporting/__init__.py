"""After a run: what it cost, as a table, a page, or a file for others."""
