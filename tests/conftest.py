"""What holds for every test: no settings of the person who runs them, and no clock and no dice in Hypothesis.

The same commit always tries the same examples, so that a red build is the commit's doing. `make soak` looks for new
ones, many times as many.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("repeatable", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("soak", deadline=None, print_blob=True, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# Torch's threads sleep while they wait for one another: processes that spin on two cores slow each other tenfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

PERSONAL = ("SPOTRENDER_STORE", "AWS_PROFILE", "RAY_ADDRESS", "COLUMNS", "NO_COLOR", "FORCE_COLOR")
"""Variables by which somebody's shell would change what the tests see."""


@pytest.fixture(scope="session", autouse=True)
def _plain_environment() -> Iterator[None]:
    """The whole run stands apart from the personal settings of whoever started it."""
    with pytest.MonkeyPatch.context() as environment:
        for name in PERSONAL:
            environment.delenv(name, raising=False)
        yield


LONGEST = (
    "tests/pipeline/test_recovery.py",
    "tests/infra/compute/",
    "tests/faults/",
    "tests/test_package.py",
    "tests/shapes/",
    "tests/pipeline/renderers/",
    "tests/infra/stores/",
)
"""Files that take longest, which are begun first: several processes then end together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; the order within a file stays."""

    def rank(item: pytest.Item) -> int:
        return next((number for number, start in enumerate(LONGEST) if item.nodeid.startswith(start)), len(LONGEST))

    items.sort(key=rank)
