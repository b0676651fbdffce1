"""JSONL: what is read, and what is said of lines that are no JSON object."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pipeline.manifest.submission import only_problem, read

GOOD = b'{"prompt": "a circle"}\n'

REFUSED: list[tuple[str, bytes, str]] = [
    ("a Latin-1 byte", b'{"prompt": "caf\xe9"}', "2: byte 0xe9 at column 16 is not UTF-8; save the file as UTF-8"),
    ("a lone surrogate", rb'{"prompt": "\ud83d"}', r"2: prompt holds half of a surrogate pair, \ud83d"),
    ("a lone surrogate in a key", rb'{"prompt": "a", "\ud83d": 1}', r'2: unknown field "\ud83d"'),
    ("raw surrogate bytes", b'{"prompt": "\xed\xa0\x80"}', "2: byte 0xed"),
    ("an escaped NUL", rb'{"prompt": "a\u0000"}', r"2: prompt holds the control character \x00"),
    ("a raw control character", b'{"prompt": "a\x01"}', "2: a bare control character at column 14"),
    ("a duplicate key", b'{"prompt": "a", "seed": 1, "seed": 2}', '2: key "seed" comes twice'),
    ("a duplicate key, escaped", rb'{"prompt": "a", "seed": 1, "\u0073eed": 2}', '2: key "seed" comes twice'),
    (
        "a duplicate key after blanks",
        b'{"prompt": "a", "seed" : 1, "seed"\t: 2, "tags": {}}',
        '2: key "seed" comes twice',
    ),
    ("a duplicate key beside colons", b'{"prompt": "a:", "seed": 1, "seed": 2}', '2: key "seed" comes twice'),
    (
        "a duplicate of the tags",
        b'{"prompt": "a", "tags": {"a": "", "b": ""}, "tags": {}}',
        '2: key "tags" comes twice',
    ),
    ("a duplicate tag", b'{"prompt": "a", "tags": {"x": "1", "x": "2"}}', '2: key "x" comes twice'),
    ("NaN", b'{"prompt": "a", "guidance_scale": NaN}', "2: NaN is not JSON"),
    ("infinity", b'{"prompt": "a", "guidance_scale": -Infinity}', "2: -Infinity is not JSON"),
    ("a float too large", b'{"prompt": "a", "guidance_scale": 1e999}', "2: guidance_scale must be a number"),
    ("a huge integer", b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}", "2: a number has thousands of digits"),
    ("a large integer", b'{"prompt": "a", "seed": ' + b"9" * 40 + b"}", "2: seed must be a whole number"),
    ("deep nesting", b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "2: the JSON is nested too deeply"),
    ("deep nesting of objects", b'{"a":' * 90_000, "2: the JSON is nested too deeply"),
    ("a list", b'["a circle"]', "2: a row must be a JSON object such as"),
    ("a number", b"7", "2: a row must be a JSON object"),
    ("null", b"null", "2: a row must be a JSON object"),
    ("text", b"a circle", "2: not JSON: Expecting value at column 1"),
    ("single quotes", b"{'prompt': 'a'}", "2: not JSON"),
    ("half an object", b'{"prompt": "a circ', "2: not JSON: Unterminated string"),
    ("two objects", b'{"prompt": "a"} {"prompt": "b"}', "2: text follows the object at column 16"),
    ("a bare carriage return", b'{"prompt": "a"}\r{"prompt": "b"}', "2: text follows the object"),
    ("the beginning of an array", b"[", "jq -c '.[]'"),
    ("a byte order mark inside", b'\xef\xbb\xbf{"prompt": "a"}', "2: a byte order mark stands inside the file"),
    ("a NUL", b"\0", "2: not JSON"),
    ("a long line", b'{"prompt": "' + b"x" * 1_000_000 + b'"}', "2: the line has more than 1,000,000 bytes"),
    ("a very long line", b"x" * 5_000_000, "2: the line has more than 1,000,000 bytes"),
]


@pytest.mark.parametrize(("line", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_line_that_is_no_row_is_named(line: bytes, message: str) -> None:
    """A broken line gives one problem, and the lines around it are read."""
    rows, problems = read(GOOD + line + b"\n" + GOOD)
    assert problems.count == 1
    assert f"prompts.jsonl:{message}" in problems.messages()[0] or message in problems.messages()[0]
    assert problems.messages()[0].isprintable()
    assert [row.line for row in rows if row.sound] == [1, 3]


def test_blank_lines_crlf_and_byte_order_mark_are_no_matter() -> None:
    """Blank lines keep their numbers, CRLF and a UTF-8 byte order mark are taken off, the last line needs no end."""
    rows, problems = read(b'\xef\xbb\xbf{"prompt": "a"}\r\n\r\n  \n\t{"prompt": "b", "seed": 7} ')
    assert problems.count == 0
    assert [(row.line, row.prompt, row.seed) for row in rows] == [(1, "a", None), (4, "b", 7)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_with_the_remedy(encoding: str) -> None:
    """UTF-16 with a byte order mark is one problem, not one for every line."""
    mark = "" if encoding == "utf-16" else "\ufeff"
    text = only_problem((mark + '{"prompt": "a"}\n' * 50).encode(encoding))
    assert "the file is UTF-16; save it as UTF-8" in text


def test_colons_in_texts_are_no_duplicate_keys() -> None:
    """The quick look for duplicates counts colons; texts that hold some are read all the same."""
    rows, problems = read(rb'{"prompt": "a: b::", "custom_id": "x:\":", "tags": {"a:b": ":"}}')
    assert problems.count == 0
    assert rows[0].tags == {"a:b": ":"}


def test_every_problem_of_every_row_is_collected() -> None:
    """Two problems of one row and one of another are three."""
    _, problems = read(b'{"prompt": "", "seed": -1}\n{"prompt": "a", "steps": 0}\n')
    assert [text.partition(" ")[0] for text in problems.messages()] == [
        "prompts.jsonl:1:",
        "prompts.jsonl:1:",
        "prompts.jsonl:2:",
    ]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: not text.isspace()))
def test_any_text_comes_back_as_it_was_written(text: str) -> None:
    """A prompt of any characters survives, escaped or not."""
    for ascii_only in (True, False):
        rows, problems = read(json.dumps({"prompt": text}, ensure_ascii=ascii_only).encode())
        assert problems.count == 0
        assert rows[0].prompt == text


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", 'c":', "tags"]), st.sampled_from(['"x"', '":"', '" :"', "{}", '{"d": ""}'])
        ),
        max_size=5,
    ),
    st.sampled_from([":", " :", "\t: ", ": "]),
)
def test_a_key_given_twice_is_never_missed(members: list[tuple[str, str]], colon: str) -> None:
    """The quick look for duplicates agrees with the members as they are written."""
    text = "{" + ",".join(json.dumps(key) + colon + value for key, value in members) + "}"
    _, problems = read(text.encode())
    twice = len({key for key, _ in members}) != len(members)
    assert any("comes twice" in message for message in problems.messages()) == twice


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    """Whatever the bytes are, they are rows or problems, never another exception."""
    for name in ("p.jsonl", "p.csv", "p.txt", "p.parquet", "-"):
        _, problems = read(body, name)
        assert all(text.isprintable() for text in problems.messages())
