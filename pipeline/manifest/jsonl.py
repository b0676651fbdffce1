"""JSONL: one JSON object a line; blank lines are ignored."""

import json
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

from pipeline.manifest.lines import decoded, read_lines
from pipeline.manifest.problems import FieldError, Problems, shown
from pipeline.manifest.row import Row, row_of

_EXAMPLE = '{"prompt": "a red circle"}'


def read_jsonl(stream: BinaryIO, problems: Problems) -> Iterator[Row]:
    """Rows of a JSONL manifest; a line that is no JSON object is reported and left out."""
    parse = _Parser().parse
    for number, line in read_lines(stream, problems):
        body = line.strip(b" \t\r\n")
        if not body:
            continue
        try:
            values = parse(decoded(body))
        except FieldError as error:
            problems.add(number, str(error))
            continue
        yield row_of(values, number, problems)


def parse_cell(text: str) -> object:
    """A JSON value that stands in a cell of another format. Raises: FieldError."""
    return _Parser().value(text)


class _Parser:
    """Strict JSON: no NaN, no duplicate keys, no endless nesting."""

    def __init__(self) -> None:
        self._decode = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
        self._decode_pairs = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique).raw_decode

    def parse(self, text: str) -> dict[str, object]:
        """The object of one line. Raises: FieldError."""
        values = self.value(text)
        if type(values) is not dict:
            remedy = "; a JSON array is no JSONL: jq -c '.[]' makes it one" if text.startswith("[") else ""
            raise FieldError(f"a row must be a JSON object such as {_EXAMPLE}, got {shown(values)}{remedy}")
        return values

    def value(self, text: str) -> object:
        """Any value, and nothing after it. Raises: FieldError."""
        try:
            value, end = self._decode(text)
            if not _surely_unique(text, value):
                value, end = self._decode_pairs(text)
        except FieldError:
            raise
        except json.JSONDecodeError as error:
            raise FieldError(_not_json(text, error)) from None
        except RecursionError:
            raise FieldError("the JSON is nested too deeply; only tags and loras nest, one level") from None
        except ValueError:
            raise FieldError("a number has thousands of digits; write it shorter") from None
        if end != len(text):
            raise FieldError(f"text follows the object at column {end + 1}; write one object a line")
        return value


def _surely_unique(text: str, value: object) -> bool:
    """Whether no key can stand twice; False is no more than a reason for the slower look.

    A key that comes twice leaves more colons after quotes than there are keys, if no blank stands between the two.
    """
    if type(value) is not dict:
        return False
    tags = value.get("tags")
    keys = len(value) + (len(tags) if type(tags) is dict else 0)
    if text.count(":") == keys:
        return True
    return text.count('":') == keys and " :" not in text and "\t:" not in text and "\r:" not in text


def _not_json(text: str, error: json.JSONDecodeError) -> str:
    """Why a line is no JSON, and what to do."""
    if text.startswith("\ufeff"):
        return "a byte order mark stands inside the file; remove it"
    if error.msg.startswith("Invalid control character"):
        return f"a bare control character at column {error.pos + 1} inside a text; write it as \\n, \\t or \\u00XX"
    remedy = "; a JSON array over several lines is no JSONL: jq -c '.[]' makes it one" if text == "[" else ""
    return f"not JSON: {error.msg} at column {error.pos + 1}; write one object a line, such as {_EXAMPLE}{remedy}"


def _refuse_constant(name: str) -> NoReturn:
    raise FieldError(f"{name} is not JSON; write a number, or leave the field out")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise FieldError(f"key {shown(twice)} comes twice in one object; keep one of them")
    return values
