"""A job on a cluster of this machine while its nodes are reclaimed, and what came of it."""
