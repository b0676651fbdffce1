"""Hands a job's images over: names first, then each image in turn, then the index of what is there."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.committed import COMMITTED_COLUMNS, Wanted, fetch_requests, names_of, wanted_images
from jobs.delivery.selection import Selection, Survey, survey
from jobs.delivery.target import Arrival, Fate, Target
from jobs.jobfile.deliver import MOST_LINK_SECONDS
from jobs.parallel import in_order
from pipeline.errors import JobFileError, JobRefusedError, NotFoundError, SpotrenderError, UserError
from pipeline.job import Job
from pipeline.ports import Store

if TYPE_CHECKING:
    from jobs.delivery.index import Index

THREADS = 16
"""Images on their way at the same time."""

_MOST_BAD = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Links to the images in the store, by which anybody can fetch them for a while."""

    seconds: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is handed over, and how it is named."""

    selection: Selection = field(default_factory=Selection)
    names: str = ""
    """A template as `pipeline.manifest.name_template` has it; empty: the custom id, or the number of the row."""
    links: Links | None = None
    index_only: bool = False
    """Whether the images stay where they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """What was handed over."""

    fetched: int
    """Moved now."""
    kept: int
    """There already, and sound."""
    not_there: int
    """Asked for, but failed or not rendered yet."""
    collected: int
    """Asked for, and removed by clean-up; the same submit again renders them."""
    bytes: int
    """Of what was moved."""
    bad: tuple[str, ...]
    """Images that the store does not have as their records say, each with its name; the first thousand."""
    stopped: bool
    """Whether it was told to stop before the end."""


def hand_over(
    store: Store,
    job: Job,
    target: Target,
    order: Order,
    *,
    on_survey: Callable[[Survey], None] = lambda _survey: None,
    on_progress: Callable[[int, int | None], None] = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
) -> HandedOver:
    """Hand images over, each under its name, with `index.csv` and `index.parquet`.

    Args:
        store: where the job lies.
        job: whose images.
        target: where to.
        order: which images, and under what names.
        on_survey: told what there is before anything is written.
        on_progress: told (done, in all).
        stop: asked between images whether to end now; what is there then is whole, and in the index.

    Raises:
        UserError: the target cannot be written, the names make no sense, or the store gives no links.
        JobRefusedError: the job's requests are not in the store.
    """
    from jobs.delivery.index import Index
    from pipeline.clean_up.collected import named_collected

    links = order.links
    if links is not None and not target.gives_links:
        raise JobFileError(f"--links: {store.uri} is no bucket, and only those give links; leave --links out")
    counted, size = Counter[Fate](), 0
    bad: list[str] = []
    missing: list[tuple[str, str]] = []
    with ordered_images(store, job, order) as ordered, ThreadPoolExecutor(THREADS) as executor:
        name = ordered.name
        asked = survey(ordered.images())
        on_survey(asked)

        def move(wanted: Wanted) -> Arrival:
            if order.index_only:
                fate = "kept" if wanted.key else "not_there"
                return Arrival(name=name(wanted), wanted=wanted, fate=fate, sha256=wanted.sha256)  # type: ignore[arg-type]
            return target.receive(name(wanted), wanted)

        images = takewhile(lambda _wanted: not stop(), ordered.images())
        with explained(target.uri):
            target.prepare()
            earlier = target.earlier_index(ordered.folder)
            index = Index(ordered.folder, earlier=earlier, still_there=target.has, links=links is not None)
            with _kept(index, target):
                for number, arrival in enumerate(in_order(executor, move, images), start=1):
                    counted[arrival.fate] += 1
                    if arrival.fate == "bad" and len(bad) < _MOST_BAD:
                        bad.append(f"{arrival.name}: {arrival.message}")
                    if arrival.fate == "missing":
                        missing.append((arrival.wanted.key, f"{arrival.name}: {arrival.message}"))
                    if arrival.fate in {"fetched", "kept"}:
                        link = target.link(arrival, seconds=links.seconds) if links else ""
                        expires = links.expires_at if links else None
                        index.add(arrival.wanted, arrival.name, sha256=arrival.sha256, link=link, expires_at=expires)
                        size += arrival.wanted.bytes if arrival.fate == "fetched" else 0
                    on_progress(number, asked.images)
    collected = named_collected(store, (key for key, _ in missing))
    lost = [message for key, message in missing if key not in collected]
    return HandedOver(
        fetched=counted["fetched"],
        kept=counted["kept"],
        not_there=counted["not_there"],
        collected=len(missing) - len(lost),
        bytes=size,
        bad=tuple([*bad, *lost][:_MOST_BAD]),
        stopped=sum(counted.values()) < asked.images,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What an order comes to."""

    name: Callable[[Wanted], str]
    images: Callable[[], Iterator[Wanted]]
    """Those that are asked for, in manifest order; may be asked again."""
    folder: Path
    """For temporary files."""


@contextmanager
def ordered_images(store: Store, job: Job, order: Order) -> Iterator[Ordered]:
    """The images that are asked for, for as long as the block runs.

    Raises:
        JobFileError: the names make no sense.
        JobRefusedError: the job's requests are not in the store.
    """
    from pipeline.ledger.checkpoint import committed_table

    with tempfile.TemporaryDirectory(prefix="spotrender-") as temporary:
        with ThreadPoolExecutor(THREADS) as executor:
            files = _requests(store, job, Path(temporary), executor)
            name = names_of(files, job, order.names)
            committed = committed_table(store, job, executor, COMMITTED_COLUMNS)
        yield Ordered(
            name=name,
            images=lambda: order.selection.of(wanted_images(files, committed)),
            folder=Path(temporary),
        )


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Say of an error of the disk what can be done. Raises: UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{place}: cannot be written: {error.strerror or error}; make room, or choose another --to"
        ) from error


@contextmanager
def _kept(index: "Index", target: Target) -> Iterator[None]:
    """Write the index, and give it to the target also when the block ends in an error, which stays the one told."""
    try:
        with index:
            yield
    except BaseException:
        with suppress(SpotrenderError, OSError):
            target.keep_index(index.csv, index.parquet)
        raise
    target.keep_index(index.csv, index.parquet)


def links_for(seconds: float | None, *, now: datetime) -> Links | None:
    """Links that end after so many seconds. Raises: JobFileError: S3 gives none that live so long."""
    if seconds is None:
        return None
    if not 1 <= seconds <= MOST_LINK_SECONDS:
        raise JobFileError("--links: a link lives for a second at least and 7 days at most, as S3 has it; say 7d")
    return Links(seconds=int(seconds), expires_at=now + timedelta(seconds=int(seconds)))


def _requests(store: Store, job: Job, folder: Path, executor: ThreadPoolExecutor) -> list[Path]:
    """The requests files. Raises: JobRefusedError: they are not there."""
    try:
        return fetch_requests(store, job, folder, executor)
    except NotFoundError as error:
        raise JobRefusedError(f"{job.id}: its requests are not in the store ({error}); submit it again") from error
