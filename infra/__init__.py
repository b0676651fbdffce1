"""The world behind the domain's ports: stores, compute, providers, notifiers, cluster files."""
