"""Where a job's images go when it is done: `deliver:` of job files."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, model_validator

from jobs.durations import parse_duration
from jobs.jobfile.values import FilledText, shown
from jobs.written import Written
from pipeline.errors import JobFileError
from pipeline.manifest.name_template import NameTemplate

MOST_LINK_SECONDS = 7 * 86_400
"""What S3 allows."""

_PLACE = re.compile(r"s3://[^/]+(/.*)?|/.*")


def _names(value: Any) -> str:
    """A template of names."""
    if not isinstance(value, str):
        raise ValueError(f"must be a template such as {{custom_id}}-{{seed}}.{{ext}}, got {shown(value)}")
    NameTemplate(value)
    return value


def link_seconds(value: Any, *, place: str = "links") -> int:
    """How long links live. Raises: JobFileError: no duration, or one that S3 does not give."""
    seconds = parse_duration(str(value), place=place)
    if not 1 <= seconds <= MOST_LINK_SECONDS:
        raise JobFileError(f"{place}: a link lives for a second at least and 7d at most, as S3 has it")
    return int(seconds)


def _links(value: Any) -> int:
    """The same in a job file."""
    try:
        return link_seconds(value, place="")
    except JobFileError as error:
        raise ValueError(str(error).removeprefix(": ")) from None


Names = Annotated[str, BeforeValidator(_names)]
LinkSeconds = Annotated[int, BeforeValidator(_links)]


class DeliverEntry(Written):
    """A copy of the images outside of the store, under the user's own names, made when the job is done."""

    to: FilledText
    """`s3://bucket/prefix`, or a folder."""
    names: Names | None = None
    """Such as `{tag:campaign}/{custom_id}-{seed}.{ext}`; None: the custom id, or the number of the row."""
    links: LinkSeconds | None = None
    """Links in the index that live so long; None: no links."""

    @model_validator(mode="before")
    @classmethod
    def _a_word_is_a_place(cls, value: Any) -> Any:
        """`deliver: s3://acme/shop` is short for a mapping with nothing but the place."""
        return {"to": value} if isinstance(value, str) else value

    def values(self) -> dict[str, Any]:
        """As the settings have it."""
        return {"to": self.to, "names": self.names or "", "link_seconds": self.links}


def place_problem(store: str, to: str) -> str:
    """Why images of this store cannot be delivered there; empty when they can. Links of folders are not followed."""
    if not _PLACE.fullmatch(to):
        return f"must be s3://bucket/prefix or a folder, got {shown(to)}"
    if _lies_in(to, store) or _lies_in(store, to):
        return f"{to} lies inside the store {store}, or holds it; choose another prefix, bucket or folder"
    return ""


def _lies_in(one: str, other: str) -> bool:
    """Whether a place is another one, or below it."""
    if one.startswith("/"):
        one = str(Path(one).resolve())
    if other.startswith("/"):
        other = str(Path(other).resolve())
    return f"{one.rstrip('/')}/".startswith(f"{other.rstrip('/')}/")
