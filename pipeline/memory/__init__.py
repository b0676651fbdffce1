"""What is learned once and kept in the store for the next worker: batch sizes and compiled code."""
