"""Every store gives parts of its objects."""

import pytest

from pipeline.errors import NotFoundError, SpotrenderError
from pipeline.ports import Ranged, Store

BODY = bytes(range(256)) * 2_000


def test_parts_are_the_bytes_that_were_asked_for(store: Store) -> None:
    """From the start, from the middle, to the end; too much is refused, and so is an object that is not there."""
    assert isinstance(store, Ranged)
    store.put("models/blobs/a", BODY)
    for start, size in ((0, 10), (1_000, 300_000), (len(BODY) - 7, 7), (0, len(BODY))):
        buffer = bytearray(size)
        store.read_part("models/blobs/a", start, memoryview(buffer))
        assert bytes(buffer) == BODY[start : start + size]
    with pytest.raises(SpotrenderError):
        store.read_part("models/blobs/a", len(BODY) - 7, memoryview(bytearray(8)))
    with pytest.raises(NotFoundError):
        store.read_part("models/blobs/none", 0, memoryview(bytearray(1)))
