"""Text for terminals: what others wrote can neither move the cursor nor turn a line around, and figures read easily."""

import unicodedata
from decimal import Decimal

_HARMFUL = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Unicode categories of controls, bidirectional overrides, surrogates and separators; U+200D joins emoji and stays."""


def printable(text: str, *, most: int = 0) -> str:
    """One line without control characters, cut to `most` characters where that is above 0."""
    safe = "".join(
        letter if letter == "\u200d" or unicodedata.category(letter) not in _HARMFUL else _stand_in(letter)
        for letter in text
    )
    return safe if not most or len(safe) <= most else f"{safe[: most - 3]}..."


def _stand_in(letter: str) -> str:
    """What is shown in place of a control character."""
    return " " if letter in "\n\r\t\u2028\u2029" else "\ufffd"


def duration(seconds: float) -> str:
    """`12.3 s`, `4 min 05 s`, `3 h 07 min`, `2 d 04 h`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def dollars(usd: Decimal) -> str:
    """Money for a person: cents where they matter, three figures below a cent."""
    if usd == 0 or usd >= Decimal("0.10"):
        return f"${usd:,.2f}"
    shown = f"{usd:.3g}" if usd >= Decimal("1e-6") else f"{usd:.9f}"
    return f"${Decimal(shown):f}"


def size(amount_bytes: int) -> str:
    """`512 B`, `1.5 MiB`, `12.0 GiB`."""
    amount = float(amount_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
