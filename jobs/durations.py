"""Durations as people write them: `20s`, `2m`, `1.5h`, `500ms`, `30d`, `8w`."""

import re
from decimal import Decimal

from jobs.terminal_text import printable
from pipeline.errors import JobFileError

_FORM = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|min|h|d|w)?", re.ASCII)
_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
    "w": Decimal(604_800),
}


def seconds_in(text: str) -> Decimal | None:
    """Seconds; a number without a unit counts as such. None for what is no duration."""
    found = _FORM.fullmatch(text.strip().lower())
    return None if found is None else Decimal(found[1]) * _SECONDS[found[2] or "s"]


def parse_duration(text: str, *, place: str, least_seconds: float = 0.0) -> float:
    """Seconds; a number without a unit counts as such.

    Args:
        text: as the user wrote it.
        place: what an error names, such as `--notice`.
        least_seconds: no shorter one makes sense.

    Raises:
        JobFileError: it is no duration, or too short.
    """
    found = seconds_in(text)
    if found is None:
        raise JobFileError(f'{place}: must be a duration such as 20s, 2m or 1h, got "{printable(text, most=80)}"')
    seconds = float(found)
    if seconds < least_seconds:
        raise JobFileError(f'{place}: must be at least {least_seconds:g}s, got "{printable(text, most=80)}"')
    return seconds
