"""Jobs of the stepwise world, one after the other under one store, each driven as often as a test likes."""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from infra.stores.memory import MemoryStore
from pipeline.assignment import Output
from pipeline.clock import ManualClock
from pipeline.driving.orders import StopButton
from pipeline.driving.run_job import run_job
from pipeline.job import Job, Settings
from pipeline.layout import records_prefix
from pipeline.metrics import NoMetrics
from pipeline.model import Model
from pipeline.ports import Metrics
from pipeline.pricing.overhead import HeadPrice
from pipeline.record import Outcome, Record, RecordedImage, record_from_json
from pipeline.request_table import RequestTable
from pipeline.status import Status
from tests.pipeline.history import History, check_books, ledger
from tests.pipeline.mortal_store import MortalStore
from tests.pipeline.small_job import small_job
from tests.pipeline.stepwise import StepwiseCompute, world


class WatchedCompute(StepwiseCompute):
    """One that knows whether anybody asked it for workers."""

    started = False

    def start(self) -> None:
        """Remember it, and start."""
        self.started = True
        super().start()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedJob:
    """A job and its requests."""

    job: Job
    table: RequestTable
    model: Model
    store: MemoryStore

    @property
    def ids(self) -> list[str]:
        """Image ids, in manifest order."""
        return [row.image_id for row in self.table.rows(range(len(self.table)))]

    @property
    def records(self) -> list[Record]:
        """All that the store holds, by name."""
        infos = self.store.list(records_prefix(self.job.id))
        return [record_from_json(self.store.get(info.key)) for info in infos]

    @property
    def images(self) -> list[RecordedImage]:
        """Of all records."""
        return [image for record in self.records for image in record.images]

    def ledger(self, kind: str) -> list[dict[str, Any]]:
        """All rows of one of the two ledgers."""
        return ledger(self._history(), kind)

    def spent(self, category: str) -> Decimal:
        """Dollars of all node sessions in one category."""
        return sum((row[f"{category}_usd"] for row in self.ledger("nodes")), Decimal(0))

    def check_rendered_once(self) -> None:
        """Every image is in exactly one record."""
        assert Counter(image.image_id for image in self.images) == Counter(self.ids)
        assert {image.outcome for image in self.images} == {Outcome.RENDERED}

    def check_books(self) -> None:
        """The seven categories of each node add up."""
        check_books(self._history())

    def _history(self) -> History:
        return History(store=self.store, job=self.job, table=self.table, drivers=1, deaths=0)


class Fated(dict[int, bool]):
    """Every call of a store is fatal and has no effect."""

    def get(self, key: int, default: Any = None) -> Any:
        """Always so."""
        return False


class Studio:
    """One store, one clock, and what was driven there.

    Args:
        folder: for requests files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.clock = ManualClock()
        self.store = MemoryStore(now_ns=self.clock.now_ns)
        self._attempts = itertools.count()
        self._sessions = itertools.count()
        self._compute: WatchedCompute | None = None

    def prepare(
        self,
        *,
        name: str = "small",
        prompts: int = 6,
        images: int = 1,
        prompt: Callable[[int], str] = "prompt {}".format,
        output: Output | None = None,
        models: int = 1,
        **options: str,
    ) -> PreparedJob:
        """A job of so many prompts; tasks of two images and more."""
        folder = self._folder / name
        folder.mkdir()
        job, _, table, model = small_job(
            folder, prompts=prompts, images=images, batch=2, prompt=prompt, options=options, models=models
        )
        job = replace(job, name=name, output=output or Output())
        return PreparedJob(job=job, table=table, model=model, store=self.store)

    def drive(
        self,
        prepared: PreparedJob,
        *,
        settings: Settings | None = None,
        watch: Callable[[Status, StopButton], None] = lambda _status, _button: None,
        compute: Callable[..., WatchedCompute] = WatchedCompute,
        session: str | None = None,
        store: MortalStore | None = None,
        head: HeadPrice | None = None,
        metrics: Metrics | None = None,
    ) -> Status:
        """One driver's run.

        Args:
            prepared: the job.
            settings: no limits by default.
            watch: told every status, with the button that stops the driver.
            compute: kind of workers; two of them.
            session: node session; each driver has its own by default.
            store: the driver's; by default one that is always there.
            head: what the cluster's head costs.
            metrics: for whoever watches; nobody by default.
        """
        store = store or MortalStore(self.store, {}, self.clock)
        self._compute = compute(
            workers=2,
            store=store,
            clock=self.clock,
            model=prepared.model,
            turns=itertools.cycle([0, 1]),
            session=session or f"node{next(self._sessions)}",
        )
        button = StopButton()
        around = world(store, self._compute, self.clock, self._attempts)
        around = replace(
            around, on_status=lambda status: watch(status, button), head=head, metrics=metrics or NoMetrics()
        )
        return run_job(prepared.job, settings or Settings(nodes=()), prepared.table, around, button)

    @property
    def workers_were_started(self) -> bool:
        """Whether the last driver asked for any."""
        assert self._compute is not None
        return self._compute.started

    def deadly(self) -> MortalStore:
        """The store for workers that die at whatever they write."""
        return MortalStore(self.store, Fated(), self.clock)
