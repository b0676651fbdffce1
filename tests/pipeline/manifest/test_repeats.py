"""Duplicates are found exactly, and in bounded memory."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.manifest.problems import Problems
from pipeline.manifest.repeats import ImageIds
from pipeline.manifest.row import Row
from pipeline.manifest.spool import spool
from tests.pipeline.manifest.submission import resolver, spooled


def _spool(ids: list[str | None], folder: Path, images: int = 1, unit: str = "") -> None:
    rows = (Row(n + 1, "p", custom_id=custom_id) for n, custom_id in enumerate(ids))
    spool(rows, resolver(images_per_prompt=images), folder, Problems("p", unit=unit))


def test_a_custom_id_given_twice_names_both_lines(tmp_path: Path) -> None:
    """Every later row of an id points to the first one; rows without an id are no duplicates."""
    with pytest.raises(ManifestError) as caught:
        _spool(["a", None, "b", None, "a", "b", "a"], tmp_path, images=2)
    assert caught.value.count == 3
    assert [text.partition(";")[0] for text in caught.value.problems] == [
        'p:5: custom_id "a" was given at line 1 already',
        'p:6: custom_id "b" was given at line 3 already',
        'p:7: custom_id "a" was given at line 1 already',
    ]


def test_in_parquet_the_rows_are_named(tmp_path: Path) -> None:
    """A Parquet manifest has rows, not lines."""
    with pytest.raises(ManifestError, match='p:row 2: custom_id "a" was given at row 1 already'):
        _spool(["a", "a"], tmp_path, unit="row ")


def test_custom_ids_are_compared_exactly(tmp_path: Path) -> None:
    """Case, composition and blanks tell ids apart; their file names are another matter."""
    body = '{"prompt": "p", "custom_id": "%s"}\n'
    ids = ["a", "A", "a ", "é", "e\u0301", "ａ"]
    assert spooled("".join(body % one for one in ids).encode(), tmp_path).rows == 6


def test_a_manifest_given_twice_counts_every_repeat(tmp_path: Path) -> None:
    """Of many thousand repeats the first twenty are named and all are counted."""
    ids: list[str | None] = [f"id{n}" for n in range(30_000)]
    with pytest.raises(ManifestError) as caught:
        _spool(ids * 2, tmp_path)
    assert caught.value.count == 30_000
    assert caught.value.problems[0].startswith('p:30001: custom_id "id0" was given at line 1 already')
    assert len(caught.value.problems) == 20


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8)))
def test_distinct_images_are_counted_exactly(parts: list[list[tuple[int, int]]]) -> None:
    """Ids that agree in their first eight bytes only are two images."""
    ids = ImageIds()
    for part in parts:
        ids.add(np.array(part, dtype=np.uint64).reshape(-1, 2))
    assert ids.distinct() == len({pair for part in parts for pair in part})
