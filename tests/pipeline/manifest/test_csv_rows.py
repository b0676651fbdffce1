"""CSV: cells become typed values, and what does not fit the header is named."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.manifest.row import LoraChoice
from tests.pipeline.manifest.submission import only_problem, read

REFUSED: list[tuple[str, bytes, str]] = [
    ("too few cells", b"prompt,seed\na\n", "p.csv:2: has 1 cells where the header names 2 columns"),
    ("too many cells", b"prompt\na, b\n", "p.csv:2: has 2 cells where the header names 1 columns"),
    ("an open quote", b'prompt,seed\na,1\n"b,2\nc,3\n', "p.csv:3: a double quote opened here is never closed"),
    ("a quote inside", b'prompt\n"a" b\n', "p.csv:2: not CSV"),
    ("an open quote in a long file", b'prompt\n"a\n' + b"x\n" * 100_000, "p.csv:2: a double quote opened here"),
    ("a column twice", b"prompt,seed,seed\na,1,2\n", 'p.csv:1: column "seed" comes twice'),
    ("a tag twice", b"prompt,tag:a,tag:a\na,1,2\n", 'p.csv:1: column "tag:a" comes twice'),
    ("semicolons", b"prompt;seed\na;1\n", "p.csv:1: the columns are parted by semicolons; save the file with commas"),
    ("tabs", b"prompt\tseed\na\t1\n", "p.csv:1: the columns are parted by tabs"),
    ("no header", b"a red circle\na blue square\n", 'unknown field "a red circle"'),
    ("an unknown column", b"prompt,sed\na,1\n", 'p.csv:1: unknown field "sed": did you mean seed?'),
    ("a free column", b"prompt,campaign\na,x\n", "is written tag:campaign"),
    ("a column without name", b"prompt,\na,\n", "p.csv:1: a column has no name"),
    (
        "a float as seed",
        b"prompt,seed\na,3.0\n",
        'p.csv:2: seed must be a whole number from 0 to 4294967295, got "3.0"',
    ),
    ("a word as seed", b"prompt,seed\na,x\n", 'p.csv:2: seed must be a whole number from 0 to 4294967295, got "x"'),
    ("a boolean as seed", b"prompt,seed\na,true\n", 'got "true"'),
    ("digits of other scripts", "prompt,seed\na,٣\n".encode(), 'got "٣"'),
    ("underscores", b"prompt,seed\na,1_0\n", 'got "1_0"'),
    ("nan", b"prompt,guidance_scale\na,nan\n", 'p.csv:2: guidance_scale must be a number from 0 to 100, got "nan"'),
    ("inf", b"prompt,guidance_scale\na,1e999\n", "guidance_scale must be a number from 0 to 100, got inf"),
    ("an empty prompt", b"prompt,seed\n,1\n", "p.csv:2: prompt is empty"),
    ("tags as text", b"prompt,tags\na,x\n", 'p.csv:2: tags must be an object of at most 64 names and texts, got "x"'),
    ("broken loras", b"prompt,loras\na,[\n", "p.csv:2: loras not JSON"),
    ("Latin-1", b"prompt\ncaf\xe9\n", "p.csv:2: byte 0xe9"),
    ("line ends of old Macs", b"prompt\ra\rb\r", "p.csv:1: a bare carriage return"),
    ("a NUL", b"prompt\na\0b\n", r"p.csv:2: prompt holds the control character \x00"),
    ("UTF-16", "prompt\na\n".encode("utf-16"), "p.csv:1: the file is UTF-16"),
    ("a long line", b"prompt\n" + b"x" * 1_000_001 + b"\n", "p.csv:2: the line has more than 1,000,000 bytes"),
]


@pytest.mark.parametrize(("body", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_does_not_fit_is_named(body: bytes, message: str) -> None:
    """A wrong header, record or cell is named with its line and the remedy."""
    _, problems = read(body, "p.csv")
    assert any(message in text for text in problems.messages()), problems.messages()
    assert all(text.isprintable() for text in problems.messages())


def test_cells_become_typed_values() -> None:
    """Numbers are parsed, tag columns gathered, empty cells left open, quoted line ends kept."""
    body = (
        "\ufeffcustom_id,prompt,seed,guidance_scale,width,loras,tag:campaign,tag:b\r\n"
        'x,"a ""red"" circle,\r\non blue", 7 ,2.5,512,"[{""source"": ""l"", ""scale"": 0.5}]",autumn,\r\n'
        "\r\n,,,,,,,\r\n"
        "y,b,,,,folder/l,,\r\n"
    )
    rows, problems = read(body.encode(), "p.csv")
    assert problems.count == 0
    first, second = rows
    assert (first.line, first.prompt, first.seed) == (2, 'a "red" circle,\r\non blue', 7)
    assert (first.guidance_scale, first.width, first.loras) == (2.5, 512, (LoraChoice("l", 0.5),))
    assert first.tags == {"campaign": "autumn"}
    assert (second.line, second.seed, second.guidance_scale, second.tags) == (6, None, None, {})
    assert second.loras == (LoraChoice("folder/l"),)


def test_the_line_of_a_record_is_where_it_begins() -> None:
    """A problem of a record over several lines is named by its first line."""
    assert only_problem(b'prompt,seed\n"a\nb\nc",x\n', "p.csv").startswith("p.csv:2: seed")


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: not text.isspace()),
        min_size=1,
    )
)
def test_any_text_comes_back_as_it_was_written(prompts: list[str]) -> None:
    """What a CSV writer wrote is what is read."""
    file = io.StringIO()
    csv.writer(file).writerows([["prompt"], *([prompt] for prompt in prompts)])
    rows, problems = read(file.getvalue().encode(), "p.csv")
    assert problems.count == 0
    assert [row.prompt for row in rows] == prompts
