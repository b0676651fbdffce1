"""Reads one YAML document safely: plain values, money as `Decimal`, and the line on which each value stands.

Plain scalars are read as YAML 1.2 reads them (`yes` and `12:30` are words, `1e3` is a number). Tags, second documents,
duplicate keys, bombs of anchors and absurd depth are refused, each with its line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

from pipeline.errors import JobFileError

MAX_BYTES = 1024 * 1024
"""A job file is settings, not data; manifests have no such limit."""

MAX_DEPTH = 16
"""Mappings and lists within each other."""

MAX_VALUES = 10_000
"""Values in all, each use of an anchor counted."""

_INTEGER = re.compile(r"[-+]?[0-9]{1,40}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}

Place = tuple[str | int, ...]
"""The way to a value: keys and list positions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document and where its values stand."""

    name: str
    """The file, as messages name it."""
    values: Any
    """dict, list, str, int, bool, None, and Decimal for numbers with a fraction or exponent."""
    lines: dict[Place, int]
    """Line of each value's key, from 1."""

    def place(self, way: Place) -> str:
        """`file:line` of the value, or of the nearest thing around it that the file holds."""
        while way not in self.lines and way:
            way = way[:-1]
        return f"{self.name}:{self.lines.get(way, 1)}"


def read_document(text: bytes, *, name: str) -> Document:
    """Read the one document in `text`.

    Raises:
        JobFileError: not UTF-8, not YAML, too large, or something of YAML that is refused here.
    """
    if len(text) > MAX_BYTES:
        raise JobFileError(f"{name}: is larger than {MAX_BYTES} bytes; give a manifest with the option --model instead")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise JobFileError(f"{name}:{line}: is not UTF-8; save the file as UTF-8") from error
    lines: dict[Place, int] = {}
    try:
        _refuse_odd_events(decoded, name)
        node = yaml.compose(decoded, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise JobFileError(f"{name}:{line}: is not valid YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        line = decoded.count("\n", 0, error.position) + 1
        raise JobFileError(f"{name}:{line}: holds the control character U+{error.character:04X}; remove it") from error
    if node is None:
        raise JobFileError(f"{name}: is empty; a job file holds at least `manifest:`, `store:` and `model:`")
    lines[()] = 1
    values = _value(node, (), lines, name, iter(range(MAX_VALUES)))
    return Document(name=name, values=values, lines=lines)


def _refuse_odd_events(text: str, name: str) -> None:
    """Refuse what no job file needs, before anything is built from it."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        place = f"{name}:{event.start_mark.line + 1 if event.start_mark else 1}"
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise JobFileError(f"{place}: starts a second document; a job file holds one")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise JobFileError(f"{place}: is nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent) and event.tag is not None:
            raise JobFileError(f"{place}: has the tag {event.tag!r}; write the plain value instead")


def _value(node: yaml.Node, way: Place, lines: dict[Place, int], name: str, quota: Iterator[int]) -> Any:
    """The node as a plain value; notes the line of everything in it."""
    if next(quota, None) is None or len(way) > MAX_DEPTH:
        raise JobFileError(f"{name}:{node.start_mark.line + 1}: holds too many values; write them without anchors")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, way, lines, name, quota)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for position, item in enumerate(node.value):
            lines[(*way, position)] = item.start_mark.line + 1
            items.append(_value(item, (*way, position), lines, name, quota))
        return items
    try:
        return _scalar(node)
    except UnicodeError as error:
        raise JobFileError(f"{name}:{node.start_mark.line + 1}: holds half of a surrogate pair; remove it") from error


def _mapping(
    node: yaml.MappingNode, way: Place, lines: dict[Place, int], name: str, quota: Iterator[int]
) -> dict[str, Any]:
    """A mapping, whose keys are words, each once."""
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise JobFileError(f"{name}:{line}: a key must be a word")
        key = str(key_node.value)
        if key in values:
            raise JobFileError(f"{name}:{line}: {key}: is there twice (first on line {lines[(*way, key)]}); keep one")
        lines[(*way, key)] = line
        values[key] = _value(value_node, (*way, key), lines, name, quota)
    return values


def _scalar(node: yaml.Node) -> Any:
    """A scalar; quoted ones and blocks are always text. Raises: UnicodeError: half of a surrogate pair."""
    # JSON writes letters beyond U+FFFF as two escapes, which YAML takes for two letters.
    text = str(node.value).encode("utf-16", "surrogatepass").decode("utf-16")
    return text if getattr(node, "style", None) is not None else plain(text)


def plain(text: str) -> Any:
    """An unquoted scalar as YAML 1.2 reads it; numbers with a fraction or exponent as `Decimal`."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return Decimal(text) if _NUMBER.fullmatch(text) else text
