"""What the tests of nightly runs share."""

from pathlib import Path

import pytest

from tests.jobs.nightly.desk import NOON, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder in which an entry was seen for the first time at noon."""
    made = Desk(tmp_path)
    assert made.call(at=NOON) == []
    return made
