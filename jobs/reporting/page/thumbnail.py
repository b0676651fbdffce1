"""A picture of the store, small: WebP of at most 96 pixels a side, as a `data:` URI."""

import base64
import io
import warnings

from PIL import Image

SIDE = 96
"""Pixels."""

_FORMATS = ("PNG", "WEBP", "JPEG")
_MOST_PIXELS = 64_000_000
_MOST_BYTES = 12_000


def thumbnail(body: bytes) -> tuple[str, int, int]:
    """The `data:` URI with its width and height. Raises: OSError, ValueError: no sound picture, or a huge one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have a bound of our own
        with Image.open(io.BytesIO(body), formats=_FORMATS) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels are too many for a thumbnail")
            picture.draft("RGB", (2 * SIDE, 2 * SIDE))
            small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE), reducing_gap=2.0)
    sink = io.BytesIO()
    small.save(sink, "WEBP", quality=60, method=4)
    if len(sink.getvalue()) > _MOST_BYTES:
        raise ValueError("the thumbnail is not small")
    return f"data:image/webp;base64,{base64.b64encode(sink.getvalue()).decode()}", small.width, small.height
