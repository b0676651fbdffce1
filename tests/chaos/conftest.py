"""The seed of these tests: `CHAOS_SEED=7 make chaos` does other things to the jobs, and the same ones each time."""

import os

import pytest


@pytest.fixture(scope="session")
def seed() -> int:
    """From the environment, or 1."""
    return int(os.environ.get("CHAOS_SEED", "1"))
