"""Cluster files from a job: one module for each kind of cluster, and a table of them."""
