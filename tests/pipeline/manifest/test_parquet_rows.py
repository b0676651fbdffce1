"""Parquet: columns of many types become rows, wrong ones are named."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.manifest.row import LoraChoice
from tests.pipeline.manifest.submission import Pipe, only_problem, read


def _parquet(columns: dict[str, Any] | pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), file, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=["string", "large_string", "string_view", "dictionary"],
)
def test_text_of_every_kind_is_text(kind: pa.DataType) -> None:
    """String columns are read whatever layout their writer chose."""
    rows, problems = read(_parquet({"prompt": pa.array(["a", "b"], kind)}), "p.parquet")
    assert problems.count == 0
    assert [(row.line, row.prompt) for row in rows] == [(1, "a"), (2, "b")]


def test_every_field_can_be_a_column() -> None:
    """Numbers of any width, nulls, maps, structs and tag columns come out typed."""
    body = _parquet(
        {
            "prompt": ["a", "b"],
            "seed": pa.array([7, None], pa.uint32()),
            "width": pa.array([512, None], pa.int16()),
            "guidance_scale": pa.array([2.5, None], pa.float32()),
            "scheduler": pa.nulls(2),
            "loras": [[{"source": "l", "scale": 0.5}], None],
            "tags": pa.array([[("b", "2")], None], pa.map_(pa.string(), pa.string())),
            "tag:a": ["1", None],
        }
    )
    rows, problems = read(body, "p.parquet")
    assert problems.count == 0
    assert (rows[0].seed, rows[0].width, rows[0].guidance_scale) == (7, 512, 2.5)
    assert (rows[0].loras, rows[0].tags) == ((LoraChoice("l", 0.5),), {"a": "1", "b": "2"})
    assert (rows[1].seed, rows[1].loras, rows[1].tags) == (None, None, {})


def test_a_struct_is_tags_too() -> None:
    """Members of a struct are tags; open ones are left out."""
    rows, _ = read(_parquet({"prompt": ["a"], "tags": [{"x": "1", "y": None}]}), "p.parquet")
    assert rows[0].tags == {"x": "1"}


REFUSED: list[tuple[str, Any, str]] = [
    ("bytes", {"prompt": [b"a"]}, "p.parquet: column prompt must hold text, it holds binary"),
    ("numbers", {"prompt": ["a"], "custom_id": [1]}, "column custom_id must hold text, it holds int64"),
    ("floats of pandas", {"prompt": ["a"], "seed": [1.0]}, "column seed must hold whole numbers (pandas makes"),
    ("booleans", {"prompt": ["a"], "seed": [True]}, "column seed must hold whole numbers, it holds bool"),
    ("text as guidance", {"prompt": ["a"], "guidance_scale": ["1"]}, "column guidance_scale must hold numbers"),
    ("a list of prompts", {"prompt": [["a"]]}, "column prompt must hold text, it holds list"),
    ("text as tags", {"prompt": ["a"], "tags": ["x"]}, "column tags must hold a map or struct of text"),
    ("numbers as tags", {"prompt": ["a"], "tags": [{"x": 1}]}, 'p.parquet:row 1: tags "x" must be text, got 1'),
    ("text as loras", {"prompt": ["a"], "loras": ["x"]}, "column loras must hold lists"),
    ("no prompt", {"seed": [1]}, "p.parquet: there is no column prompt"),
    ("an unknown column", {"prompt": ["a"], "captoin": ["x"]}, 'p.parquet: unknown field "captoin"'),
    ("a null prompt", {"prompt": ["a", None]}, "p.parquet:row 2: prompt is missing"),
    ("NaN", {"prompt": ["a"], "guidance_scale": [float("nan")]}, "p.parquet:row 1: guidance_scale must be a number"),
    ("a seed too large", {"prompt": ["a"], "seed": [2**32]}, "p.parquet:row 1: seed must be a whole number"),
    (
        "an instant",
        {"prompt": ["a"], "steps": pa.array([1], pa.timestamp("s"))},
        "column steps must hold whole numbers",
    ),
]


@pytest.mark.parametrize(("columns", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_wrong_columns_and_cells_are_named(columns: Any, message: str) -> None:
    """A column of a wrong type is a problem of the file, a wrong cell one of its row."""
    assert message in only_problem(_parquet(columns), "p.parquet")


def test_a_column_twice_is_refused() -> None:
    """Two columns of one name cannot both count."""
    two = pa.table([pa.array(["a"]), pa.array(["b"])], names=["prompt", "prompt"])
    assert 'column "prompt" comes twice' in only_problem(_parquet(two), "p.parquet")


def test_text_that_is_no_utf_8_names_its_row() -> None:
    """Latin-1 bytes in a string column are found at their row."""
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xe9")]
    )
    rows, problems = read(_parquet({"prompt": broken}), "p.parquet")
    assert "p.parquet:row 2: prompt is not UTF-8" in problems.messages()[0]
    assert rows[0].prompt == "a"


@pytest.mark.parametrize("keep", [0, 3, 10, 200])
def test_what_is_no_whole_parquet_file_is_refused(keep: int) -> None:
    """An empty or truncated file, whatever is left of it, is one problem."""
    body = _parquet({"prompt": [f"prompt {n}" for n in range(1000)]})[:keep]
    assert "p.parquet: is not a whole Parquet file" in only_problem(body, "p.parquet")


def test_a_damaged_page_is_named_by_row() -> None:
    """Bytes flipped in the data end the reading with a problem, not with a crash."""
    body = bytearray(_parquet({"prompt": [f"prompt {n}" for n in range(1000)]}, compression="zstd"))
    body[40:80] = bytes(40)
    _, problems = read(bytes(body), "p.parquet")
    assert "the Parquet file is damaged here" in problems.messages()[0]


def test_parquet_comes_compressed_and_through_a_pipe() -> None:
    """Where one cannot seek, the file goes through a temporary one."""
    body = _parquet({"prompt": ["a", "b"]})
    packed = pa.compress(body, "gzip", asbytes=True)
    for stream, name in (
        (io.BytesIO(packed), "p.parquet.gz"),
        (io.BytesIO(body), "p.parquet"),
        (Pipe(body, 99), "-"),
        (Pipe(packed, 99), "-"),
    ):
        rows, problems = read(stream, name)  # type: ignore[arg-type]
        assert problems.count == 0
        assert [row.prompt for row in rows] == ["a", "b"]
        assert not stream.closed


def test_rows_are_numbered_through_batches_and_row_groups() -> None:
    """A row's number is its place in the file."""
    body = _parquet({"prompt": [str(n + 1) for n in range(5000)]}, row_group_size=700)
    rows, _ = read(body, "p.parquet")
    assert [row.line for row in rows] == [int(row.prompt) for row in rows] == list(range(1, 5001))
