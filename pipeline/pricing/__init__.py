"""Money: exact prices over time, providers' billing rules, and what the store and the head cost."""
