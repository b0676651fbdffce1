"""Which keys are legal: the same ones in every store, so that a job moves between stores unchanged."""

from typing import Final

MAX_KEY_BYTES: Final = 900
"""UTF-8 bytes of a key; S3 allows 1024 for the store's prefix and the key together."""

MAX_SEGMENT_BYTES: Final = 255
"""UTF-8 bytes of one path segment, as file systems allow."""

_FORBIDDEN: Final = frozenset({b"", b".", b".."})

_CONTROLS: Final = frozenset(map(chr, (*range(32), 127)))


def check_key(key: str) -> str:
    """Return `key` if it may name an object.

    Raises:
        ValueError: empty, absolute, with a `.`, `..` or empty segment, a control character or lone surrogate, or too
            long.
    """
    problem = _problem(key)
    if problem:
        raise ValueError(f"{key!r} is no store key: {problem}")
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` if keys may start with it: empty, or legal but for a last segment that may be partial.

    Raises:
        ValueError: no legal key starts so, or it tries to leave the store.
    """
    problem = _problem(f"{prefix}x")
    if problem:
        raise ValueError(f"{prefix!r} is no prefix of store keys: {problem}")
    return prefix


def check_folder(prefix: str) -> str:
    """Return `prefix` if it is empty or a legal prefix that ends with `/`.

    Raises:
        ValueError: it does not end with `/`, or is no legal prefix.
    """
    if prefix and not prefix.endswith("/"):
        raise ValueError(f"{prefix!r} is no folder: it must end with '/'")
    return check_prefix(prefix)


def _problem(key: str) -> str:
    """Why `key` is not legal; empty if it is."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return "it holds a lone surrogate"
    segments = encoded.split(b"/")
    problems = {
        "it is empty": not encoded,
        "it holds control characters": not _CONTROLS.isdisjoint(key),
        "a segment is empty, '.' or '..'": any(segment in _FORBIDDEN for segment in segments),
        f"it is longer than {MAX_KEY_BYTES} bytes": len(encoded) > MAX_KEY_BYTES,
        f"a segment is longer than {MAX_SEGMENT_BYTES} bytes": max(map(len, segments)) > MAX_SEGMENT_BYTES,
    }
    return next((problem for problem, found in problems.items() if found), "")
