"""A store of the stepwise world that is cleaned up, at any call of anybody."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from infra.stores.memory import MemoryStore
from pipeline.clean_up.finding import Found, find
from pipeline.clean_up.standing import Rules
from pipeline.clean_up.sweeping import Cleaned, Sweeper
from pipeline.clock import ManualClock
from pipeline.driving.lease import Lease
from pipeline.driving.lease_state import Owner
from pipeline.job import job_to_json
from pipeline.layout import SWEEPER, job_key, requests_key
from pipeline.ledger.buckets import nanoseconds
from pipeline.ledger.checkpoint import committed_table
from pipeline.ports import Store
from tests.pipeline.driven_job import PreparedJob, Studio
from tests.pipeline.mortal_store import MortalStore
from tests.pipeline.stepwise import InlineExecutor


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A store at some time."""

    now_ns: int
    objects: list[tuple[str, bytes, datetime]]
    """Key, body, and when it was written."""


MONTH = Rules(older_than=timedelta(days=30))


class CleanedStudio(Studio):
    """One whose store is looked after.

    Args:
        folder: for requests files.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._tokens: Iterator[int] = iter(range(10**6))

    def enter(self, prepared: PreparedJob) -> None:
        """Put a job into the store as `submit` does."""
        job = prepared.job
        self.store.upload(requests_key(job.id, 0), str(self._folder / job.name / "00000.parquet"))
        self.store.put(job_key(job.id), job_to_json(job))

    def made(self, *, name: str = "small", prompts: int = 6) -> PreparedJob:
        """A job that was submitted and driven to its end."""
        prepared = self.prepare(name=name, prompts=prompts)
        self.enter(prepared)
        assert self.drive(prepared).state == "SUCCEEDED"
        return prepared

    def pass_days(self, days: float) -> None:
        """Nothing happens for so long."""
        self.clock.advance(days * 86_400)

    def now(self) -> datetime:
        """By the store's clock."""
        return datetime.fromtimestamp(self.clock.now_ns() / 1e9, UTC)

    def find(self, rules: Rules = MONTH) -> Found:
        """What may go; leases that were not released are taken for held."""
        return find(
            self.store, rules=rules, now=self.now(), is_free=lambda _job, _lease: False, executor=InlineExecutor()
        )

    def clean(self, rules: Rules = MONTH, *, store: Store | None = None) -> Cleaned:
        """One clean-up, to its end or its death."""
        place = store or MortalStore(self.store, {}, self.clock)
        lease = self._lease(place, SWEEPER)
        while lease.try_take() is not None:
            self.clock.sleep(2)
        sweeper = Sweeper(
            place,
            rules=rules,
            lease=lease,
            lease_of=lambda job: self._lease(place, job),
            clock=self.clock,
            executor=InlineExecutor(),
        )
        done = sweeper.clean(
            find(
                place,
                rules=rules,
                now=sweeper.now(),
                is_free=lambda _job, _lease: False,
                executor=InlineExecutor(),
            )
        )
        lease.release()
        return done

    def _lease(self, store: Store, job: str) -> Lease:
        token = f"cleaner{next(self._tokens)}"
        return Lease(store, job, owner=Owner(host="cleaner", pid=1), token=token, clock=self.clock)

    def image_keys(self) -> set[str]:
        """All image files that are there."""
        return {info.key for info in self.store.list("images/")}

    def check_whole(self, prepared: PreparedJob) -> None:
        """Every image counts by a record and is there, under the key that readers are told."""
        table = committed_table(self.store, prepared.job, InlineExecutor())
        assert sorted(table["image_id"].to_pylist()) == sorted(prepared.ids)
        assert set(table["key"].to_pylist()) <= self.image_keys()

    def snapshot(self) -> "Snapshot":
        """The store as it is, and when that is."""
        infos = sorted(self.store.list(""), key=lambda info: info.modified_at)
        objects = [(info.key, self.store.get(info.key), info.modified_at) for info in infos]
        return Snapshot(now_ns=self.clock.now_ns(), objects=objects)

    def go_back(self, before: "Snapshot") -> None:
        """Have a store like that one, at that time."""
        clock, then = ManualClock(before.now_ns), [before.now_ns]
        self.clock, self.store = clock, MemoryStore(now_ns=lambda: then[0] if then else clock.now_ns())
        for key, body, at in before.objects:
            then[0] = nanoseconds(at)
            self.store.put(key, body)
        then.clear()
