"""Which jobs a store holds, and which of them a user means."""

import re
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from jobs.nearest import nearest
from pipeline.driving.control import latest_settings
from pipeline.errors import JobRefusedError, NotFoundError
from pipeline.job import Job, Settings, job_from_json
from pipeline.layout import is_job_id, job_key
from pipeline.ports import Store
from pipeline.status import Status, read_status

READERS = 16
"""Jobs read at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedJob:
    """One job of a store."""

    job: Job
    status: Status | None
    """None before its first driver."""
    settings: Settings | None
    """Those that hold; None for a job that was never submitted whole."""


def job_ids(store: Store) -> Iterator[str]:
    """The ids of all jobs under the store, sorted."""
    for folder in store.list_folders("jobs/"):
        if is_job_id(folder.rstrip("/")):
            yield folder.rstrip("/")


def list_jobs(store: Store) -> list[ListedJob]:
    """All jobs, the newest first; folders without a readable `job.json` (a submit that died early) are left out."""
    with ThreadPoolExecutor(READERS) as readers:
        found = list(readers.map(lambda job: _listed(store, job), job_ids(store)))
    return sorted((one for one in found if one is not None), key=lambda one: one.job.submitted_at, reverse=True)


def read_job(store: Store, job: str) -> Job:
    """A job as it was frozen.

    Raises:
        JobRefusedError: there is none of this id, or this version cannot read it.
    """
    try:
        return job_from_json(store.get(job_key(job)))
    except NotFoundError:
        raise JobRefusedError(f"{store.uri} holds no job {job}; `spotrender list` names those it holds") from None
    except (ValueError, KeyError, TypeError) as error:
        raise JobRefusedError(f"{job}: job.json cannot be read by this version of spotrender: {error}") from error


def settings_there(store: Store, job: str) -> Settings | None:
    """The settings of a job that hold, or None where there are none that this version can read."""
    try:
        return latest_settings(store, job)[1]
    except (JobRefusedError, ValueError, KeyError, TypeError):
        return None


def find_job(store: Store, text: str) -> str:
    """The id of the job that the user means: its id, its name (the newest of that name), or the beginning of an id.

    Raises:
        JobRefusedError: none, or several; the message names those that are near.
    """
    wanted = text.strip().rstrip("/").rpartition("/")[2]
    if is_job_id(wanted) and store.head(job_key(wanted)) is not None:
        return wanted
    known = list(job_ids(store))
    named = [job for job in known if _name(job) == wanted]
    if named:
        return _newest(store, named)
    begun = [job for job in known if wanted and job.startswith(wanted)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise JobRefusedError(f'"{text}" may be any of {_several(begun)}; give more of the id')
    raise JobRefusedError(f'{store.uri} holds no job "{text}"; {_hint(wanted, known)}')


def choose_job(text: str, known: Sequence[str], *, preferred: Collection[str], place: str) -> str:
    """The only one of the known ids that the user means by an id, a name or the beginning of an id.

    Args:
        text: what the user wrote.
        known: ids.
        preferred: where several would do, one of these is meant.
        place: the store, for messages.

    Raises:
        JobRefusedError: none, or several; the message names those that are near.
    """
    wanted = text.strip().rstrip("/").rpartition("/")[2]
    found = [job for job in known if job == wanted]
    found = found or [job for job in known if _name(job) == wanted]
    found = found or [job for job in known if wanted and job.startswith(wanted)]
    if len(found) > 1:
        found = [job for job in found if job in preferred] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise JobRefusedError(f'"{text}" may be any of {_several(found)}; give more of the id')
    raise JobRefusedError(f'{place} holds no job "{text}"; {_hint(wanted, list(known))}')


def _listed(store: Store, job: str) -> ListedJob | None:
    """One job, or None when it cannot be read."""
    try:
        return ListedJob(job=read_job(store, job), status=read_status(store, job), settings=settings_there(store, job))
    except JobRefusedError:
        return None


def _newest(store: Store, jobs: list[str]) -> str:
    """The job that was submitted last."""
    return jobs[0] if len(jobs) == 1 else max(jobs, key=lambda job: read_job(store, job).submitted_at)


def _name(job: str) -> str:
    """The name in a job id."""
    return re.sub(r"-[0-9a-f]{16}$", "", job)


def _several(jobs: list[str]) -> str:
    """A few ids for a message."""
    return ", ".join(jobs[:5]) + (f" and {len(jobs) - 5} more" if len(jobs) > 5 else "")


def _hint(wanted: str, known: list[str]) -> str:
    """The nearest jobs, or what to do when there is none."""
    if not known:
        return "it holds none at all; is this the right store?"
    near = set(nearest(wanted, {_name(job) for job in known}, most=3))
    close = [job for job in known if _name(job) in near] or nearest(wanted, known, most=3)
    return f"near are {_several(close)}" if close else "`spotrender list` names those it holds"
