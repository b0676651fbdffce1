"""Delivers a finished job's images to where its job file says; again does only what is missing."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.delivery.bucket import BucketTarget
from jobs.delivery.folder import FolderTarget
from jobs.delivery.handing_over import HandedOver, Order, hand_over, links_for
from jobs.delivery.selection import Selection, Survey
from jobs.delivery.target import Target
from jobs.jobfile.deliver import link_seconds, place_problem
from jobs.terminal_text import size
from pipeline.driving.control import latest_settings
from pipeline.errors import JobFileError, NotFoundError, SpotrenderError
from pipeline.job import Job, JobState, Settings
from pipeline.layout import delivered_key
from pipeline.ports import Store
from pipeline.status import Status

DELIVERED_SCHEMA = 1
"""Version of `delivered.json`."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered(HandedOver):
    """What was delivered."""

    job: str
    to: str


def deliver(
    store: Store,
    job: Job,
    wanted: Mapping[str, Any],
    *,
    selection: Selection | None = None,
    on_survey: Callable[[Survey], None] = lambda _survey: None,
    on_progress: Callable[[int, int | None], None] = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Delivered:
    """Copy a job's images to a prefix of a bucket, or a folder, with `index.csv` and `index.parquet`.

    Args:
        store: where the job lies.
        job: whose images.
        wanted: as the settings have it: `to`, `names`, `link_seconds`.
        selection: which images; all when not given.
        on_survey: told what there is before anything is written.
        on_progress: told (done, in all).
        stop: asked between images whether to end now.

    Raises:
        UserError: the place cannot be written, lies in the store, or the names make no sense.
        JobRefusedError: the job's requests are not in the store.
        StoreUnavailableError: store or place does not answer; the same call goes on.
    """
    to, names = str(wanted["to"]), str(wanted.get("names") or "")
    links = links_for(wanted.get("link_seconds"), now=datetime.now(UTC))
    done = hand_over(
        store,
        job,
        target_of(store, to),
        Order(selection=selection or Selection(), names=names, links=links),
        on_survey=on_survey,
        on_progress=on_progress,
        stop=stop,
    )
    return Delivered(job=job.id, to=to, **asdict(done))


def wanted_of(
    store: Store, job: Job, *, to: str | None, names: str | None, links: str | None
) -> tuple[dict[str, Any], bool]:
    """What the options say, and where they say nothing the job file; and whether that is just what the job file says.

    Raises:
        JobFileError: neither names a place; links that S3 does not give.
    """
    said = latest_settings(store, job.id)[1].deliver
    if to is None and said is None:
        raise JobFileError("--to: the job file has no deliver:, so say where to: --to s3://bucket/prefix, or a folder")
    wanted: dict[str, Any] = {"names": "", "link_seconds": None} | (said or {})
    if to is not None:
        wanted["to"] = to if "://" in to else str(Path(to).expanduser().absolute())
    if names is not None:
        wanted["names"] = names
    if links is not None:
        wanted["link_seconds"] = link_seconds(links, place="--links")
    return wanted, wanted == said


def target_of(store: Store, to: str) -> Target:
    """What stands at a place. Raises: JobFileError: it is none, or lies in the store."""
    if problem := place_problem(store.uri, to):
        raise JobFileError(f"--to: {problem}")
    return BucketTarget(store, to) if "://" in to else FolderTarget(store, Path(to))


def deliver_at_end(
    store: Store,
    job: Job,
    settings: Settings,
    status: Status,
    *,
    say: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
) -> Delivered | None:
    """Deliver a job that has just ended, if it is to be; whatever becomes of that, the job stays what it is.

    Args:
        store: where the job lies.
        job: which one.
        settings: that hold now.
        status: how it ended.
        say: told how that goes, with the remedy where it does not.
        stop: asked whether to end now.
    """
    if settings.deliver is None or status.state not in {JobState.SUCCEEDED, JobState.COMPLETED_WITH_FAILURES}:
        return None
    to = settings.deliver.get("to", "")
    again = f"`spotrender deliver {job.id} --store {store.uri}` does the rest"
    try:
        say(f"delivering to {to}")
        done = deliver(store, job, settings.deliver, stop=stop)
        if done.stopped or done.bad:
            why = "it was interrupted" if done.stopped else f"{len(done.bad)} images are not as their records say"
            raise SpotrenderError(why)
        remember(store, job, settings.deliver, done)
    except Exception as error:  # noqa: BLE001 - the images are rendered and safe, whatever happens here
        reason = str(error) if isinstance(error, SpotrenderError) else f"{type(error).__name__}: {error}"
        _LOG.warning("%s was not delivered whole to %s: %s; %s", job.id, to, reason, again)
        say(f"not delivered whole to {to}: {reason}; {again}")
        return None
    text = f"delivered {done.fetched + done.kept:,} images to {to}: {done.fetched:,} copied, {size(done.bytes)}"
    _LOG.info("%s", text)
    say(text)
    return done


def remember(store: Store, job: Job, wanted: Mapping[str, Any], done: Delivered) -> None:
    """Note in the store that this is done."""
    body = {
        "schema": DELIVERED_SCHEMA,
        "job": job.id,
        "deliver": dict(wanted),
        "images": done.fetched + done.kept,
        "at": datetime.now(UTC).isoformat(),
    }
    store.put(delivered_key(job.id), json.dumps(body, indent=1, sort_keys=True).encode())


def is_delivered(store: Store, job: Job, wanted: Mapping[str, Any]) -> bool:
    """Whether that was noted; a driver at its end does it again all the same."""
    try:
        body = json.loads(store.get(delivered_key(job.id)))
        return bool(body["deliver"] == dict(wanted))
    except (NotFoundError, ValueError, KeyError, TypeError):
        return False
