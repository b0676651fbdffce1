"""Is every image that a job's records name there, and is it sound? And the record that has bad ones rendered again."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from jobs.committed import expected_hash
from jobs.parallel import in_order
from jobs.undriven import tell, undriven
from jobs.watching.status import JobView
from pipeline.errors import JobRefusedError, NotFoundError
from pipeline.job import Job, JobState
from pipeline.layout import record_key, record_task
from pipeline.ports import Store
from pipeline.record import Outcome, Record, record_to_json

if TYPE_CHECKING:
    import pyarrow as pa

THREADS = 16
"""Images looked at at the same time."""

_REMEDY = "cancel it or wait for its end, then repair it"

Problem = Literal["missing", "size", "damaged", "unreadable"]
"""No object; another size than its record says; another hash; no image that can be decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One image that is not as its record says."""

    image_id: str
    key: str
    record: str
    """Name of the record that counts for it."""
    problem: Problem
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was looked at and what was found."""

    job: str
    checked: int
    """Images that records name."""
    bytes: int
    """Size of them all, as the records say."""
    failed: int
    """Images that were given up; there is nothing to look at."""
    total: int
    """Images of the job, each counted once, as far as its status tells."""
    findings: tuple[Finding, ...]
    collected: int
    """Images that clean-up removed: neither sound nor lost."""

    @property
    def sound(self) -> bool:
        """Whether everything that should be there is there."""
        return not self.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """One image as its record names it."""

    image_id: str
    key: str
    sha256: str
    bytes: int
    record: str


def verify(
    store: Store,
    seen: JobView,
    *,
    quick: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verified:
    """Look at every image that a record of the job names.

    Args:
        store: where the job lies.
        seen: the job as it stands.
        quick: look at existence and size only, read no image.
        on_progress: told (looked at, in all) now and then.

    Raises:
        StoreUnavailableError: the store does not answer; nothing is said of any image then.
    """
    import pyarrow.compute as pc

    from pipeline.clean_up.collected import named_collected
    from pipeline.ledger.checkpoint import committed_table

    look = _look_quickly if quick else _look
    findings: list[Finding] = []
    with ThreadPoolExecutor(THREADS) as executor:
        table = committed_table(store, seen.job, executor)
        named = _named(table)
        failed = pc.sum(pc.equal(table["outcome"], Outcome.FAILED.value)).as_py() or 0
        checked = len(table) - failed
        for number, finding in enumerate(in_order(executor, lambda image: look(store, image), named), start=1):
            if finding is not None:
                findings.append(finding)
            if on_progress is not None and (number % 64 == 0 or number == checked):
                on_progress(number, checked)
    collected = named_collected(store, (finding.key for finding in findings if finding.problem == "missing"))
    return Verified(
        job=seen.job.id,
        collected=sum(finding.key in collected for finding in findings),
        checked=checked,
        bytes=pc.sum(table["bytes"]).as_py() or 0,
        failed=failed,
        total=seen.status.total if seen.status else len(table),
        findings=tuple(finding for finding in findings if finding.key not in collected),
    )


def void(store: Store, seen: JobView, findings: Sequence[Finding], *, attempt: str, now: datetime) -> tuple[str, ...]:
    """Take back what the findings' records said, so that the next `submit` renders their images again.

    A record is taken back whole: the sound images of its batch are reused or rendered again too. The job becomes
    STOPPED first, so that `submit` does not take it for finished; damaged objects are removed before their
    records are, so that no job takes them for good and reuses them. Dying in between, it can be done again.

    Args:
        store: where the job lies.
        seen: the job as it stands; it must not be running.
        findings: what to mend.
        attempt: a unique id without `-`; names the voiding records.
        now: the instant, for the status.

    Returns:
        The names of the records that count no longer.

    Raises:
        JobRefusedError: a driver is at work on the job.
    """
    if seen.state in {JobState.RUNNING, JobState.RECOVERING} and seen.silent_since is None:
        raise JobRefusedError(f"{seen.job.id} is running; {_REMEDY}")
    if not findings:
        return ()
    names = sorted({finding.record for finding in findings})
    with undriven(store, seen.job.id, remedy=_REMEDY) as lease:
        if seen.status is not None:
            tell(
                store,
                lease,
                seen.status,
                now,
                state=JobState.STOPPED,
                phase="repair",
                rendered=max(0, seen.status.rendered - len(findings)),
                message=f"bad images taken back: {len(findings)}; the same submit again renders them",
            )
        for finding in findings:
            if finding.problem != "missing":
                store.delete(finding.key)
        for task in sorted({record_task(name) for name in names}):
            bad = tuple(name for name in names if record_task(name) == task)
            record = voiding_record(seen.job, task=task, attempt=attempt, voids=bad)
            lease.confirm()
            store.put(record_key(seen.job.id, record.name), record_to_json(record), mode="create")
    return tuple(names)


def voiding_record(job: Job, *, task: str, attempt: str, voids: tuple[str, ...]) -> Record:
    """The record that takes other records of one task back; it names no image and costs nothing."""
    return Record(job=job.id, task=task, attempt=attempt, sequence=0, node=None, voids=voids)


def _named(table: "pa.Table") -> Iterator[_Named]:
    """The images of a table of committed ones, a few at a time."""
    columns = ["image_id", "key", "sha256", "bytes", "record", "outcome"]
    for batch in table.select(columns).to_batches(max_chunksize=1024):
        for row in batch.to_pylist():
            if row.pop("outcome") != Outcome.FAILED:
                yield _Named(**row)


def _look_quickly(store: Store, image: _Named) -> Finding | None:
    """Existence and size."""
    info = store.head(image.key)
    if info is None:
        return _finding(image, "missing", "there is no such object")
    if info.size_bytes != image.bytes:
        return _finding(image, "size", f"{info.size_bytes} bytes, its record says {image.bytes}")
    return None


def _look(store: Store, image: _Named) -> Finding | None:
    """Existence, size, hash, and whether it decodes."""
    try:
        body = store.get(image.key)
    except NotFoundError:
        return _finding(image, "missing", "there is no such object")
    if len(body) != image.bytes:
        return _finding(image, "size", f"{len(body)} bytes, its record says {image.bytes}")
    if not hashlib.sha256(body).hexdigest().startswith(expected_hash(image.key, image.sha256)):
        return _finding(image, "damaged", "its bytes have another hash than its record says")
    problem = decode_problem(body)
    return _finding(image, "unreadable", problem) if problem else None


def decode_problem(body: bytes) -> str:
    """Why these bytes are no whole image; empty when they are one."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(body)) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"it does not decode: {error}"
    return ""


def _finding(image: _Named, problem: Problem, message: str) -> Finding:
    """What is wrong with one image."""
    return Finding(image_id=image.image_id, key=image.key, record=image.record, problem=problem, message=message)
