"""How many numbers a safetensors file holds, read from its header alone; the file may be anybody's."""

import json
import math
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError

_MOST_BYTES = 100 << 20
"""A header of more is none: the format's own limit."""


def count_numbers(path: Path) -> int:
    """The numbers in all tensors of the file.

    Raises:
        ModelError: it cannot be read, or is no safetensors file.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            size_bytes = path.stat().st_size
            if not 2 <= length <= min(_MOST_BYTES, size_bytes - 8):
                raise _damaged(path, "its header is longer than the file")
            header = stream.read(length)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error
    try:
        tensors = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is not JSON") from error
    if not isinstance(tensors, dict):
        raise _damaged(path, "its header is no table")
    return sum(_numbers(path, name, entry) for name, entry in tensors.items() if name != "__metadata__")


def _numbers(path: Path, name: str, entry: Any) -> int:
    """The numbers of one tensor."""
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if not isinstance(shape, list) or not all(isinstance(side, int) and 0 <= side < 2**40 for side in shape):
        raise _damaged(path, f"tensor {name[:60]} has no shape")
    return math.prod(shape)


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(f"{path}: is no safetensors file: {why}; fetch the model again")
