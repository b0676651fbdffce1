"""Guesses what a mistyped name was meant to be."""

import difflib
from collections.abc import Iterable


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """`, did you mean "width"?` for the nearest known name, or nothing when none is near."""
    near = nearest(wrong, known)
    return f', did you mean "{near[0]}"?' if near else ""


def nearest(wrong: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """At most `most` of the known names, the nearest first; those that are far off are left out."""
    by_lower = {name.lower(): name for name in sorted(known, reverse=True)}
    return [by_lower[name] for name in difflib.get_close_matches(wrong.lower(), list(by_lower), n=most, cutoff=0.5)]
