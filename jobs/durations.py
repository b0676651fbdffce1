"""Durations as people write them: `20s`, `2m`, `1.5h`, `500ms`."""

import re
from decimal import Decimal

from jobs.terminal_text import printable
from pipeline.errors import JobFileError

_FORM = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|min|h)?", re.ASCII)
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "min": Decimal(60), "h": Decimal(3600)}


def parse_duration(text: str, *, place: str, least_seconds: float = 0.0) -> float:
    """Seconds; a number without a unit counts as such.

    Args:
        text: as the user wrote it.
        place: what an error names, such as `--notice`.
        least_seconds: no shorter one makes sense.

    Raises:
        JobFileError: it is no duration, or too short.
    """
    found = _FORM.fullmatch(text.strip().lower())
    if found is None:
        raise JobFileError(f'{place}: must be a duration such as 20s, 2m or 1h, got "{printable(text, most=80)}"')
    seconds = float(Decimal(found[1]) * _SECONDS[found[2] or "s"])
    if seconds < least_seconds:
        raise JobFileError(f'{place}: must be at least {least_seconds:g}s, got "{printable(text, most=80)}"')
    return seconds
