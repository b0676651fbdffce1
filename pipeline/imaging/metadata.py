"""What an image file says of its origin: the request alone (no node, no time), so that equal pixels are equal files.

Two texts: `parameters` for other tools, and our own JSON under `spotrender`::

    {"image_id": "<64 hex digits>", "request": {<canonical JSON of the request>}, "schema": 1}

The image id is the hash of `request`, so a text that was edited is recognised. A JPEG's EXIF block holds at most 64 kB:
what does not fit leaves `parameters` out first, then `request`; such a file still names its image id.
"""

import hashlib
import json
from dataclasses import dataclass

from pipeline.errors import ImageFileError
from pipeline.imaging import containers
from pipeline.imaging.documents import request_of
from pipeline.request import Request

METADATA_SCHEMA = 1
"""Version of our JSON; readers refuse a higher one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What goes into one file."""

    request: Request
    """What was rendered."""
    image_id: str
    """Its id, which the caller has already."""

    def full_json(self) -> str:
        """Our JSON, with the request."""
        request = self.request.canonical().decode("utf-8")
        return f'{{"image_id":"{self.image_id}","request":{request},"schema":{METADATA_SCHEMA}}}'

    def short_json(self) -> str:
        """Our JSON for a file that cannot hold the request."""
        return f'{{"image_id":"{self.image_id}","schema":{METADATA_SCHEMA}}}'


def read_request(body: bytes) -> tuple[Request, str]:
    """The request that an image file of ours was rendered from, and its image id; looks at no pixels.

    Where workers load a LoRA from is no part of a request's identity, so it comes back empty.

    Raises:
        ImageFileError: no PNG, WebP or JPEG; damaged; without our JSON; edited; written by a newer version; or a JPEG
            that names only its image id, because the request did not fit.
    """
    text = containers.our_text(body)
    try:
        values = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ImageFileError("the image's Spotrender text is damaged: it is no JSON") from error
    if not isinstance(values, dict) or not isinstance(values.get("image_id"), str):
        raise ImageFileError("the image's Spotrender text names no image id: another program has written it")
    if values.get("schema") != METADATA_SCHEMA:
        raise ImageFileError(
            f"the image's Spotrender text has schema {_short(values.get('schema'))}, this version reads "
            f"{METADATA_SCHEMA}: read it with a newer spotrender"
        )
    image_id = values["image_id"]
    if "request" not in values:
        raise ImageFileError(
            f"the request did not fit into this JPEG, which names only its image id {_short(image_id)}: "
            "look that up in the job's requests"
        )
    return _checked(values["request"], image_id), image_id


def _checked(values: object, image_id: str) -> Request:
    """The request, if it is one and hashes to `image_id`."""
    try:
        request = request_of(values)
        canonical = request.canonical()
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ImageFileError(f"the image's Spotrender text holds no request: {_short(str(error))}") from error
    if hashlib.sha256(canonical).hexdigest() != image_id:
        raise ImageFileError("the image's Spotrender text was edited: its request does not hash to its image id")
    return request


def _refuse_constant(name: str) -> object:
    """NaN and Infinity are no JSON."""
    raise ValueError(f"{name} is no JSON")


def _short(value: object) -> str:
    """At most 80 characters of what a hostile file holds, quoted."""
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."
