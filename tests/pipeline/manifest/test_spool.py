"""A manifest becomes the requests files: in order, whole, identified, or not at all."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.manifest.problems import Problems
from pipeline.manifest.resolve import Defaults
from pipeline.manifest.row import Row
from pipeline.manifest.spool import spool
from pipeline.request import Request
from pipeline.request_table import RequestTable
from tests.pipeline.manifest.submission import model, refusal, resolver, spooled, table


def _jsonl(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_a_row_becomes_a_resolved_request(tmp_path: Path) -> None:
    """All columns of the requests files, with nothing left open."""
    result = spooled(b'\n{"prompt": "a \xf0\x9f\x94\xb4", "custom_id": "x", "seed": 7, "tags": {"k": "v"}}\n', tmp_path)
    (row,) = table(result)
    assert row == {
        "row": 0,
        "line": 2,
        "index": 0,
        "custom_id": "x",
        "image_id": Request(prompt="a 🔴", negative_prompt="", seed=7, variant=result.variants[0]).image_id,
        "prompt": "a 🔴",
        "negative_prompt": "",
        "seed": 7,
        "width": 64,
        "height": 64,
        "steps": 20,
        "guidance_scale": 3.0,
        "scheduler": "",
        "model": "shapes",
        "variant": 0,
        "tags": [("k", "v")],
    }
    assert (result.rows, result.images, result.distinct_images, result.variant_models) == (1, 1, 1, ("shapes",))


def test_the_planner_reads_what_was_written(tmp_path: Path) -> None:
    """The requests files are what the plan's table takes."""
    result = spooled(_jsonl(*({"prompt": f"p{n}", "width": 64 + n % 2 * 8} for n in range(50))), tmp_path)
    rows = RequestTable(result.files, result.variants).rows(range(50))
    assert all(row.request.image_id == row.image_id for row in rows)
    assert [row.manifest_row for row in rows] == list(range(50))


def test_several_images_of_a_row_follow_each_other(tmp_path: Path) -> None:
    """images_per_prompt gives seeds from the row's own upward, row by row."""
    result = spooled(
        _jsonl({"prompt": "a", "seed": 5, "tags": {"k": "v"}}, {"prompt": "b"}),
        tmp_path,
        by=resolver(images_per_prompt=3),
    )
    rows = table(result)
    assert [(row["row"], row["index"], row["seed"]) for row in rows] == [
        (0, 0, 5),
        (0, 1, 6),
        (0, 2, 7),
        (1, 0, 0),
        (1, 1, 1),
        (1, 2, 2),
    ]
    for row in rows:
        request = Request(prompt=row["prompt"], negative_prompt="", seed=row["seed"], variant=result.variants[0])
        assert row["image_id"] == request.image_id
    assert [row["tags"] for row in rows] == [[("k", "v")]] * 3 + [[]] * 3
    assert (result.rows, result.images) == (2, 6)


def test_variants_and_models_of_rows_are_kept(tmp_path: Path) -> None:
    """Each row's ordinal leads to its own size, steps and model."""
    by = resolver(models=[model(), model("other", steps=7)])
    result = spooled(
        _jsonl({"prompt": "a"}, {"prompt": "a", "model": "other"}, {"prompt": "a", "width": 8}), tmp_path, by=by
    )
    assert [(row["variant"], row["model"], row["steps"], row["width"]) for row in table(result)] == [
        (0, "shapes", 20, 64),
        (1, "other", 7, 64),
        (2, "shapes", 20, 8),
    ]
    assert result.variant_models == ("shapes", "other", "shapes")


def test_two_rows_of_one_image_are_counted_once(tmp_path: Path) -> None:
    """The same request under two custom ids is one image to render; 7 and 7.0 are the same guidance."""
    result = spooled(
        _jsonl(
            {"prompt": "a", "custom_id": "x", "guidance_scale": 7},
            {"prompt": "a", "custom_id": "y", "guidance_scale": 7.0, "seed": 0},
            {"prompt": "b"},
            {"prompt": "a", "guidance_scale": 7},
        ),
        tmp_path,
    )
    assert (result.images, result.distinct_images, result.repeated_images) == (4, 2, 2)


def test_large_manifests_are_cut_into_files_and_row_groups(tmp_path: Path) -> None:
    """Some 200,000 images stand in a file, some 10,000 in a row group, and the order goes on."""
    rows = (Row(n + 1, f"p{n // 3}") for n in range(210_000))
    result = spool(rows, resolver(), tmp_path, Problems("p"))
    assert [file.name for file in result.files] == ["00000.parquet", "00001.parquet"]
    assert pq.ParquetFile(result.files[0]).metadata.num_rows == 200_000
    assert pq.ParquetFile(result.files[0]).metadata.num_row_groups == 20
    assert pq.read_table(result.files[1], columns=["row"])["row"].to_pylist() == list(range(200_000, 210_000))
    assert result.distinct_images == 70_000


def test_huge_prompts_make_small_row_groups(tmp_path: Path) -> None:
    """Memory is bounded by the words of a chunk, not only by its rows."""
    rows = (Row(n + 1, f"{n}" + "x" * 99_000) for n in range(90))
    result = spool(rows, resolver(images_per_prompt=10), tmp_path, Problems("p"))
    metadata = pq.ParquetFile(result.files[0]).metadata
    assert metadata.num_rows == 900
    assert max(metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)) <= 90


@pytest.mark.parametrize("body", [b"", b"\n \n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["p.jsonl", "p.csv", "p.txt"])
def test_an_empty_manifest_is_refused(body: bytes, name: str, tmp_path: Path) -> None:
    """A manifest without a row is a slip, not a job of no images."""
    assert "there is no prompt in it" in str(refusal(body, tmp_path, name))


def test_a_header_alone_is_refused(tmp_path: Path) -> None:
    """A CSV file of a header only holds no prompt."""
    assert (
        str(refusal(b"prompt,seed\n", tmp_path, "p.csv")) == "p.csv: there is no prompt in it; write at least one row"
    )


def test_problems_of_reading_resolving_and_of_the_whole_are_collected(tmp_path: Path) -> None:
    """One pass finds wrong values, what the model refuses, and duplicates, also among rows that have problems."""
    error = refusal(
        _jsonl(
            {"prompt": "a", "custom_id": "x"},
            {"prompt": "", "custom_id": "x", "width": 65},
            {"prompt": "c", "seed": -1, "custom_id": "y"},
            {"prompt": "d", "height": 7, "custom_id": "y"},
        )
        + b"{",
        tmp_path,
    )
    assert [text.removeprefix("prompts.jsonl:")[:14] for text in error.problems] == [
        "2: prompt is e",
        "2: width must ",
        '2: custom_id "',
        "3: seed must b",
        "4: height must",
        '4: custom_id "',
        "5: not JSON: E",
    ]


def test_a_thousand_problems_are_twenty_and_a_count(tmp_path: Path) -> None:
    """The first twenty are shown, all are counted."""
    error = refusal(_jsonl(*({"prompt": "a", "seed": "x"} for _ in range(1000))), tmp_path)
    assert error.count == 1000
    assert len(error.problems) == 20
    assert error.problems[0] == 'prompts.jsonl:1: seed must be a whole number from 0 to 4294967295, got "x"'


def test_a_crash_of_the_reader_leaves_nothing(tmp_path: Path) -> None:
    """Whatever ends the pass, files that were begun are removed."""

    def rows() -> Any:
        yield from (Row(n + 1, "p") for n in range(25_000))
        raise ConnectionError

    with pytest.raises(ConnectionError):
        spool(rows(), resolver(), tmp_path, Problems("p"))
    assert list(tmp_path.iterdir()) == []


def test_the_digest_follows_what_is_rendered_and_how_it_is_called(tmp_path: Path) -> None:
    """The same resolved manifest has one digest in every format; another prompt, id, tag or order another one."""

    def digest(*rows: dict[str, Any], **defaults: Any) -> str:
        return spooled(_jsonl(*rows), tmp_path, by=resolver(defaults=Defaults(**defaults))).digest

    base = digest({"prompt": "a", "custom_id": "x", "tags": {"k": "v", "l": "w"}}, {"prompt": "b"})
    assert base == digest(
        {"tags": {"l": "w", "k": "v"}, "custom_id": "x", "prompt": "a", "seed": 0}, {"prompt": "b"}, steps=20
    )
    csv = b"prompt,custom_id,tag:k,tag:l\r\na,x,v,w\r\nb,,,\r\n"
    assert base == spooled(csv, tmp_path, "p.csv").digest
    others = {
        digest({"prompt": "a", "custom_id": "x", "tags": {"k": "v"}}, {"prompt": "b"}),
        digest({"prompt": "a", "custom_id": "y", "tags": {"k": "v", "l": "w"}}, {"prompt": "b"}),
        digest({"prompt": "b"}, {"prompt": "a", "custom_id": "x", "tags": {"k": "v", "l": "w"}}),
        digest({"prompt": "a", "custom_id": "x", "tags": {"k": "v", "l": "w"}}, {"prompt": "b"}, steps=21),
        digest({"prompt": "a", "custom_id": "x", "tags": {"k": "v", "l": "w"}}, {"prompt": "b"}, tags={"m": ""}),
        digest({"prompt": "a", "custom_id": "x", "tags": {"kv": "", "l": "w"}}, {"prompt": "b"}),
    }
    assert len(others | {base}) == 7


def test_a_prompt_that_the_encoder_cuts_off_is_a_warning(tmp_path: Path) -> None:
    """Only prompts long enough are counted; those too long are warned of with their line."""
    asked: list[str] = []

    def count(_model: object, prompt: str) -> int | None:
        asked.append(prompt)
        return len(prompt.split()) + 2

    long = "word " * 90
    result = spooled(
        _jsonl({"prompt": "x" * 75}, {"prompt": "x" * 76}, {"prompt": "🔴" * 19}, {"prompt": long}, {"prompt": "a"}),
        tmp_path,
        count_tokens=count,
    )
    assert asked == ["x" * 76, "🔴" * 19, long]
    assert result.warning_count == 1
    assert result.warnings == (
        "prompts.jsonl:4: prompt has 92 tokens, the text encoder reads 77: the end is cut off; shorten it",
    )


def test_a_model_without_a_known_limit_is_not_asked(tmp_path: Path) -> None:
    """No limit, no count; a count that is not known, no warning."""
    by = resolver(models=[model(max_prompt_tokens=None)])
    assert spooled(_jsonl({"prompt": "x" * 500}), tmp_path, by=by, count_tokens=lambda _m, _p: 500).warning_count == 0
    assert spooled(_jsonl({"prompt": "x" * 500}), tmp_path, count_tokens=lambda _m, _p: None).warning_count == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "prompt": st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(
                    lambda t: not t.isspace()
                )
            },
            optional={
                "seed": st.integers(0, 2**32 - 3),
                "negative_prompt": st.text(st.characters(exclude_categories=["Cs", "Cc"])),
                "guidance_scale": st.floats(0, 100),
                "width": st.sampled_from([8, 64, 128]),
            },
        ),
        min_size=1,
        max_size=20,
    ),
    st.integers(1, 3),
)
def test_every_row_of_the_table_is_the_request_it_says(tmp_path: Path, rows: list[dict[str, Any]], images: int) -> None:
    """Whatever the manifest, the words and numbers in the table hash to the image id beside them."""
    result = spooled(_jsonl(*rows), tmp_path, by=resolver(images_per_prompt=images))
    written = table(result)
    assert [row["prompt"] for row in written] == [row["prompt"] for row in rows for _ in range(images)]
    for row in written:
        variant = result.variants[row["variant"]]
        request = Request(
            prompt=row["prompt"], negative_prompt=row["negative_prompt"], seed=row["seed"], variant=variant
        )
        assert request.image_id == row["image_id"]
        assert (variant.width, variant.guidance_scale) == (row["width"], row["guidance_scale"])
    assert result.distinct_images == len({row["image_id"] for row in written})
