"""Plain text: a prompt a line."""

from tests.pipeline.manifest.submission import only_problem, read


def test_every_line_that_is_not_blank_is_a_prompt() -> None:
    """Line ends go, all else stays, blank lines keep their numbers."""
    rows, problems = read(b'\xef\xbb\xbfa circle\r\n\n   \n  two, "squares" \t\nlast', "p.txt")
    assert problems.count == 0
    assert [(row.line, row.prompt) for row in rows] == [(1, "a circle"), (4, '  two, "squares" \t'), (5, "last")]


def test_a_bare_carriage_return_is_refused() -> None:
    """A file with the line ends of old Macs is not taken for one long prompt."""
    assert "p.txt:1: a bare carriage return" in only_problem(b"a circle\ra square\r", "p.txt")


def test_latin_1_names_the_line() -> None:
    """A byte that is no UTF-8 is named with its line."""
    assert "p.txt:2: byte 0xe9 at column 4 is not UTF-8" in only_problem(b"a\ncaf\xe9\n", "p.txt")


def test_control_characters_are_refused() -> None:
    """A NUL in a text file is a problem of the prompt."""
    assert r"p.txt:1: prompt holds the control character \x00" in only_problem(b"a\x00b\n", "p.txt")
