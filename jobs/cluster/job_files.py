"""The job file and its manifest as texts that another machine reads: nothing in them is of this one."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from jobs.jobfile.jobfile import JobFile
from jobs.jobfile.values import shown
from pipeline.errors import JobFileError

MOST_BYTES = 900_000
"""A config map holds a mebibyte."""

_TEXTS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")


class _Dumper(yaml.SafeDumper):
    """Money as the number that was written, instants as ISO texts."""


def _number(dumper: yaml.SafeDumper, value: Decimal) -> yaml.Node:
    """All of its digits, without a tag."""
    text = f"{value:f}"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{'float' if '.' in text else 'int'}", text)


_Dumper.add_representer(Decimal, _number)
_Dumper.add_representer(
    datetime, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:str", value.isoformat())
)
_Dumper.add_representer(
    tuple, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
)


def job_files(job: JobFile) -> dict[str, str]:
    """`job.yaml`, and the manifest beside it where it is not on S3 already.

    Raises:
        JobFileError: something is on this machine alone; with where to put it.
    """
    if "://" not in job.store:
        raise JobFileError(f"store: {shown(job.store)} is a folder of this machine; pods need s3://bucket/prefix")
    for what, place in _places(job):
        if place.startswith(("/", "~")) or Path(place).exists():
            raise JobFileError(f"{what}: {shown(place)} is on this machine; put it on the hub, or into the image")
    values: dict[str, Any] = job.model_dump(exclude_unset=True)
    found = {}
    if "://" not in job.manifest:
        name = f"manifest{Path(job.manifest).suffix}"
        found[name] = _manifest(job.manifest)
        values["manifest"] = name
    return {"job.yaml": yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True), **found}


def _places(job: JobFile) -> list[tuple[str, str]]:
    """What else the job reads: where it is named, and where it lies."""
    loras = [("defaults.loras", one.source) for one in job.defaults.loras or ()]
    prices = [("prices", job.prices)] if job.prices not in {"auto", "table"} else []
    wildcards = [("wildcards", job.wildcards)] if job.wildcards and "://" not in job.wildcards else []
    return [("model", job.model), *loras, *prices, *wildcards]


def _manifest(place: str) -> str:
    """The text of a manifest. Raises: JobFileError: it is none, or too large to travel with the job file."""
    try:
        body = Path(place).read_bytes() if place != "-" and place.lower().endswith(_TEXTS) else b"\0"
        text = body.decode()
    except OSError as error:
        raise JobFileError(f"manifest: {place}: cannot be read: {error.strerror}; is the path right?") from error
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or len(body) > MOST_BYTES:
        raise JobFileError(
            f"manifest: {shown(place)}: only plain text below {MOST_BYTES:,} bytes travels with the job file; "
            "put it on S3 and name it s3://..."
        )
    return text
