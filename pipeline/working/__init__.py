"""The worker: the life of one task on one GPU, from its request to its record."""
