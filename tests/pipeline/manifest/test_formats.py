"""The reader is chosen by name, by content or by the user; archives are opened or refused by name."""

import gc
import gzip
import io

import pytest
import zstandard

from pipeline.errors import ManifestError
from tests.pipeline.manifest.submission import Pipe, only_problem, read

JSONL = b"".join(b'{"prompt": "circle %d"}\n' % n for n in range(2000))
PACKERS = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor(write_checksum=True).compress}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("p.jsonl", b'{"prompt": "a"}\n'),
        ("folder.d/P.NDJSON", b'{"prompt": "a"}\n'),
        ("s3://bucket/p.csv", b"prompt\na\n"),
        ("p.txt", b"a\n"),
    ],
)
@pytest.mark.parametrize("packed", ["", "gz", "zst"])
def test_the_suffix_names_the_format(name: str, body: bytes, packed: str) -> None:
    """Each format is read plain and in both archives."""
    content = PACKERS[packed](body) if packed else body
    rows, problems = read(content, f"{name}.{packed}" if packed else name)
    assert problems.count == 0
    assert [row.prompt for row in rows] == ["a"]


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_an_archive_is_known_by_its_content(packed: str) -> None:
    """A compressed file whose name does not say so is read, and so are archives put end to end."""
    half = PACKERS[packed](JSONL)
    rows, problems = read(half + half, "p.jsonl")
    assert problems.count == 0
    assert len(rows) == 4000


@pytest.mark.parametrize("packed", ["gz", "zst"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("name", ["p.jsonl", "p.csv", "p.txt"])
def test_a_truncated_archive_is_refused(packed: str, keep: float, name: str) -> None:
    """Wherever a download broke off, the archive is not taken for a shorter manifest."""
    body = PACKERS[packed](
        b"prompt\n" + b"".join(b"circle %d\n" % n for n in range(2000)) if "jsonl" not in name else JSONL
    )
    _, problems = read(body[: int(len(body) * keep)], f"{name}.{packed}")
    assert any("archive is cut off here; copy the file again" in text for text in problems.messages())


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_garbage_in_an_archive_is_refused(packed: str) -> None:
    """Damage in an archive, or after it, is a problem with the line at which it was met."""
    body = bytearray(PACKERS[packed](JSONL))
    for broken in (body[:60] + bytes(40) + body[100:], body + b"garbage"):
        _, problems = read(bytes(broken), f"p.jsonl.{packed}")
        assert any("archive is damaged here" in text or "archive is cut off" in text for text in problems.messages())


@pytest.mark.parametrize("name", ["p.jsonl.gz", "p.csv.zst"])
@pytest.mark.parametrize(("body", "found"), [(b"", "the file is empty"), (b"prompt\na\n", "the content is not")])
def test_a_name_that_promises_an_archive_is_held_to_it(name: str, body: bytes, found: str) -> None:
    """A plain or empty file with an archive's name is refused with the remedy."""
    assert found in only_problem(body, name)


@pytest.mark.parametrize("name", ["prompts", "p.xlsx", "p.json", "p.tar.gz", ".gz", "p.jsonl.bz2"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(name: str) -> None:
    """A name that says nothing of the format is no guess."""
    with pytest.raises(ManifestError, match=r"jsonl"):
        read(b"a\n" if not name.endswith(".gz") else gzip.compress(b"a\n"), name)


def test_the_user_can_name_the_format() -> None:
    """An explicit format wins over the suffix, and must be a known one."""
    assert [row.prompt for row in read(b"a\n", "prompts.dat", format="txt")[0]] == ["a"]
    with pytest.raises(ManifestError, match="format must be one of jsonl, csv, parquet, txt, got xml"):
        read(b"a\n", "prompts.dat", format="xml")


@pytest.mark.parametrize(
    ("body", "prompts"),
    [
        (b'\xef\xbb\xbf\n {"prompt": "a"}\n', ["a"]),
        (b"custom_id,prompt,tag:x\n1,a,\n", ["a"]),
        (b'"prompt"\r\na\r\n', ["a"]),
        (b"a red circle, large\n", ["a red circle, large"]),
        (b"prompt, with a comma\n", ["prompt, with a comma"]),
    ],
)
def test_standard_input_is_told_by_its_content(body: bytes, prompts: list[str]) -> None:
    """JSONL, CSV and text through a pipe that brings three bytes at a time, plain and compressed."""
    for content in (body, gzip.compress(body)):
        rows, problems = read(Pipe(content), "-")  # type: ignore[arg-type]
        assert problems.count == 0
        assert [row.prompt for row in rows] == prompts


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"PK\x03\x04rest", "Excel workbook"), (b"PAR1rest", "a Parquet file"), (b"\x89PNG\r\n", "a picture")],
)
def test_another_kind_of_file_is_named(body: bytes, message: str) -> None:
    """A workbook named .csv is one problem, not one for every line."""
    assert message in only_problem(body, "p.csv")


def test_the_stream_stays_the_callers() -> None:
    """Reading does not close what the caller opened."""
    for stream in (io.BytesIO(gzip.compress(JSONL)), io.BytesIO(JSONL), Pipe(JSONL, 1000)):
        rows, _ = read(stream, "p.jsonl")  # type: ignore[arg-type]
        assert len(rows) == 2000
        gc.collect()
        assert not stream.closed


def test_a_failing_disk_is_not_called_a_damaged_archive() -> None:
    """An error of the stream underneath comes through as it is."""

    class Failing(Pipe):
        def readinto(self, buffer: object) -> int:
            size = super().readinto(buffer)
            if not size:
                raise OSError(5, "Input/output error")
            return size

    with pytest.raises(OSError, match="Input/output error"):
        read(Failing(gzip.compress(JSONL)[:100], 10), "p.jsonl.gz")  # type: ignore[arg-type]
