"""Model weights on a node's own disk: fetched from the store once, and read by all of its workers."""
