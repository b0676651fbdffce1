"""The same prompts under several performance profiles: speed, price, difference."""
