"""What groups of a report may have in common, and the SQL expression that says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pipeline.errors import JobFileError

NODE_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "node_type": "concat_ws(' ', node_type, nullif(market, node_type))",
        "market": "market",
        "zone": "coalesce(nullif(zone, ''), region)",
        "job": "job",
        "day": "strftime(date, '%Y-%m-%d')",
    }
)
"""Keys that every node session has as a whole."""

IMAGE_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {"model": "model", "size": "CASE WHEN width > 0 THEN concat(width, 'x', height) END", "cause": "cause"}
)
"""Keys that only images have; beside them there is `tag:NAME`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """One way to group."""

    text: str
    """As the user wrote it."""
    of_nodes: bool
    """Whether a whole node session has the key."""
    expression: str
    """SQL over the columns of the images ledger, and where `of_nodes` over those of the nodes ledger too."""
    tag: str = ""
    """Name of the tag, for `tag:NAME`; the expression reads it from the variable `tag`."""


def parse_by(text: str) -> By:
    """What the user asks for. Raises: JobFileError: nothing that is known."""
    if text in NODE_KEYS:
        return By(text=text, of_nodes=True, expression=NODE_KEYS[text])
    if text in IMAGE_KEYS:
        return By(text=text, of_nodes=False, expression=IMAGE_KEYS[text])
    if text.startswith("tag:") and len(text) > len("tag:"):
        return By(text=text, of_nodes=False, expression="tags[getvariable('tag')]", tag=text.removeprefix("tag:"))
    known = ", ".join([*NODE_KEYS, *IMAGE_KEYS])
    raise JobFileError(f'--by: must be one of {known} or tag:NAME, got "{text}"')
