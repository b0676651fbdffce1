"""What is known of an entry's runs: one object in the store, replaced only under its ETag.

So of two callers that want to start the same run one finds it started. Where a store has no conditional writes both
may start it, and the job's own lease sees to it that one of them drives.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipeline.driving.lease_state import Owner
from pipeline.errors import AlreadyExistsError, JobRefusedError, NotFoundError
from pipeline.layout import nightly_key
from pipeline.ports import Store

if TYPE_CHECKING:
    from jobs.submit import SubmitResult
    from pipeline.status import Status

SCHEMA = 1
"""Version of the object."""

KEPT = 100
"""Runs that have ended, of each entry; jobs and ledger hold the rest."""

NOBODY = Owner(host="", pid=0)
"""Who drives a run that a cluster drives."""

_MONTHS = 3
"""Of which it is kept what forgotten runs cost."""

_TRIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of an entry."""

    due: datetime
    """When it was due, UTC: its name."""
    started_at: datetime
    """When somebody began it, or decided to leave it out, by that one's clock."""
    owner: Owner
    """The process that sees to it, or did."""
    missed: int = 0
    """Runs before it that were left out for it."""
    job: str = ""
    """Id of its job, once that is known."""
    store: str = ""
    """Where that job lies."""
    state: str = "STARTING"
    """STARTING, RUNNING, a job's state, SKIPPED, REFUSED (something must be mended) or FAILED (unexpected)."""
    message: str = ""
    images: int = 0
    """Rendered and reused."""
    usd: Decimal = Decimal(0)
    """Accrued by its job, in all runs of that job."""
    usd_before: Decimal = Decimal(0)
    """What of it that job had accrued before this run."""
    ended_at: datetime | None = None
    """None while it goes on."""

    @property
    def live(self) -> bool:
        """Whether it goes on."""
        return self.ended_at is None

    @property
    def cost_usd(self) -> Decimal:
        """What this run alone cost; nothing while it goes on."""
        return Decimal(0) if self.live else max(self.usd - self.usd_before, Decimal(0))

    @property
    def month(self) -> str:
        """In which it began, `2026-11`, UTC: what it costs is counted there."""
        return month_of(self.started_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestState:
    """What was told of an entry's runs, once a day."""

    sent: datetime | None = None
    """When; None before the first one."""
    until: datetime | None = None
    """When the last run ended that was told of."""
    tried: datetime | None = None
    """When somebody tried last, and nobody has taken it yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryState:
    """One entry."""

    since: datetime
    """When it was first seen: what was due before that is nobody's."""
    runs: tuple[Run, ...] = ()
    """By when they were due, the oldest first."""
    forgotten_usd: tuple[tuple[str, Decimal], ...] = ()
    """Month, and what those of its runs cost that are kept no more; the last months alone."""
    digest: DigestState = DigestState()

    def spent_in(self, month: str) -> Decimal:
        """What the runs that began in a month have cost, as far as it is known; `2026-11`."""
        known = sum((run.cost_usd for run in self.runs if run.month == month), Decimal(0))
        return known + dict(self.forgotten_usd).get(month, Decimal(0))

    @property
    def live(self) -> tuple[Run, ...]:
        """Those that go on."""
        return tuple(run for run in self.runs if run.live)

    def run(self, due: datetime) -> Run | None:
        """The run that was due then."""
        return next((run for run in self.runs if run.due == due), None)

    def having(self, run: Run) -> "EntryState":
        """The state with this run, in place of the one that was due then."""
        others = [one for one in self.runs if one.due != run.due]
        runs = sorted([*others, run], key=lambda one: one.due)
        ended = [one for one in runs if not one.live]
        forgotten = dict(self.forgotten_usd)
        for one in ended[:-KEPT]:
            forgotten[one.month] = forgotten.get(one.month, Decimal(0)) + one.cost_usd
        return replace(
            self,
            runs=tuple(one for one in runs if one.live or one in ended[-KEPT:]),
            forgotten_usd=tuple(sorted(forgotten.items())[-_MONTHS:]),
        )


class EntryBook:
    """The state of one entry in the store.

    Args:
        store: where.
        name: of the entry.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._key = store, nightly_key(name)

    def read(self) -> EntryState | None:
        """What stands there; None before the first look. Raises: JobRefusedError: it cannot be read."""
        try:
            return _from_json(self._store.get(self._key))
        except NotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise JobRefusedError(
                f"{self._store.uri}/{self._key}: cannot be read ({error}); remove it to begin anew"
            ) from None

    def change(self, make: Callable[[EntryState | None], EntryState | None]) -> EntryState | None:
        """Replace the state by what `make` gives for it; nothing is written where that is None.

        Raises:
            JobRefusedError: others keep changing it.
        """
        for _ in range(_TRIES):
            info = self._store.head(self._key)
            before = self.read() if info is not None else None
            after = make(before)
            if after is None or after == before:
                return before
            try:
                if info is None:
                    self._store.put(self._key, _to_json(after), mode="create")
                else:
                    self._store.put(self._key, _to_json(after), if_match=info.etag)
            except AlreadyExistsError:
                continue
            return after
        raise JobRefusedError(f"{self._store.uri}/{self._key}: others keep changing it; try again")

    def note(self, due: datetime, **changes: Any) -> None:
        """Change some fields of one run, if it is there and goes on."""

        def make(state: EntryState | None) -> EntryState | None:
            run = None if state is None else state.run(due)
            return None if state is None or run is None or not run.live else state.having(replace(run, **changes))

        self.change(make)

    def end(self, due: datetime, job: "Status | SubmitResult", *, now: datetime) -> None:
        """Note how a run ended. A job that somebody paused is in that one's hands now."""
        self.note(
            due,
            job=job.job,
            state=job.state.value,
            message=job.message,
            images=job.rendered + job.reused,
            usd=job.usd,
            ended_at=now,
        )


def _to_json(state: EntryState) -> bytes:
    return json.dumps({"schema": SCHEMA} | asdict(state), default=str, indent=1).encode()


def _from_json(body: bytes) -> EntryState:
    """Read the object. Raises: ValueError, KeyError or TypeError: it is none."""
    values = json.loads(body)
    if values["schema"] != SCHEMA:
        raise ValueError(f"this version reads schema {SCHEMA}")
    runs = tuple(
        Run(
            **run
            | {
                "due": _instant(run["due"]),
                "started_at": _instant(run["started_at"]),
                "ended_at": run["ended_at"] and _instant(run["ended_at"]),
                "usd": Decimal(run["usd"]),
                "usd_before": Decimal(run.get("usd_before", "0")),
                "owner": Owner(**run["owner"]),
            }
        )
        for run in values["runs"]
    )
    forgotten = tuple((str(month), Decimal(usd)) for month, usd in values.get("forgotten_usd", ()))
    digest = {name: at and _instant(at) for name, at in values.get("digest", {}).items()}
    return EntryState(since=_instant(values["since"]), runs=runs, forgotten_usd=forgotten, digest=DigestState(**digest))


def month_of(instant: datetime) -> str:
    """`2026-11`, UTC."""
    return f"{instant.astimezone(UTC):%Y-%m}"


def _instant(text: str) -> datetime:
    """An aware instant. Raises: ValueError."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return instant
