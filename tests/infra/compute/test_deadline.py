"""A deadline that the spot node cannot meet, on workers of this process: the reserve comes, works, and goes again."""

import io
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq

from infra.compute.table import open_compute
from infra.stores.table import open_store
from pipeline.clock import SystemClock
from pipeline.driving.drive_policy import DrivePolicy
from pipeline.driving.run_job import World, run_job
from pipeline.job import JobState, NodeOffer, Settings
from pipeline.layout import records_prefix
from pipeline.ports import Store
from pipeline.record import record_from_json
from pipeline.status import Status
from tests.infra.compute.jobs import spec
from tests.pipeline.small_job import small_job

SPOT = NodeOffer(type="small", market="spot", max=1, gpu="cpu", usd_per_hour=Decimal("0.3"))
RESERVE = NodeOffer(type="small", market="on_demand", max=2, gpu="cpu", gpus=2, usd_per_hour=Decimal("1.8"))
IMAGES = 4_000
SLOW = {"seconds_per_batch": "0.1", "batch_size": "2"}


@dataclass
class Told:
    """What is asked of the driver, as it goes on: the deadline is put off once the reserve has worked."""

    store: Store
    job: str
    settings: Settings
    markets: set[str] = field(default_factory=set)
    ready: list[int] = field(default_factory=list)
    said: set[str] = field(default_factory=set)
    _known: set[str] = field(default_factory=set)
    _changed: Settings | None = None
    _put_off: bool = False
    _enough: bool = False

    def hear(self, status: Status) -> None:
        """A status of the driver."""
        self.ready.append(status.workers_ready)
        self.said.add(status.message)
        for info in self.store.list(records_prefix(self.job)):
            if info.key not in self._known:
                node = record_from_json(self.store.get(info.key)).node
                assert node is not None
                self._known.add(info.key)
                self.markets.add(node.market)
        if "on_demand" in self.markets and not self._put_off:
            self._put_off = True
            self._changed = replace(self.settings, deadline=datetime.now(UTC) + timedelta(days=10))
        elif self._put_off and status.workers_ready == 1 and "for the deadline" not in status.message:
            self._enough = True

    def stop(self) -> tuple[JobState, str] | None:
        """Enough was seen."""
        return (JobState.PAUSED, "enough") if self._enough else None

    def changed_settings(self) -> Settings | None:
        """The other deadline, once."""
        changed, self._changed = self._changed, None
        return changed


def test_reserve_comes_when_the_job_is_late_and_goes_when_it_is_ahead(tmp_path: Path) -> None:
    """Spot first; on-demand nodes work beside it; when the deadline is far again they are let go, and cost no more."""
    folder, place = tmp_path / "requests", tmp_path / "store"
    folder.mkdir()
    job, _, table, model = small_job(folder, prompts=IMAGES, images=1, batch=2, options=SLOW)
    settings = Settings(nodes=(RESERVE, SPOT), deadline=datetime.now(UTC) + timedelta(seconds=150))
    clock, store, numbers = SystemClock(), open_store(str(place)), itertools.count()
    compute = open_compute(
        spec(place, address="in-process", job=job.id, offers=settings.nodes, models=(model,)), clock=clock
    )
    told = Told(store=store, job=job.id, settings=settings)
    with ThreadPoolExecutor(4) as executor, ThreadPoolExecutor(1) as background:
        world = World(
            store=store,
            compute=compute,
            clock=clock,
            executor=executor,
            background=background,
            new_attempt=lambda: f"a{next(numbers)}",
            on_status=told.hear,
            policy=DrivePolicy(changeover_seconds=8.0),
        )
        status = run_job(job, settings, table, world, told)
    assert status.state is JobState.PAUSED
    assert next(count for count in told.ready if count) == 1, "the spot node alone began"
    assert any("for the deadline" in said for said in told.said)
    files = [io.BytesIO(store.get(info.key)) for info in store.list("ledger/nodes/")]
    sessions = [row for file in files for row in pq.read_table(file).to_pylist()]
    spot = [row for row in sessions if row["market"] == "spot"]
    reserve = [row for row in sessions if row["market"] == "on_demand"]
    assert (len(spot), 1 <= len(reserve) <= 2) == (1, True)
    assert sum(row["rendering_usd"] for row in reserve) > 0
    for row in reserve:
        assert row["started_at"] > spot[0]["started_at"]
        assert (row["terminated_by"], row["ended_at"] < spot[0]["ended_at"]) == ("released", True)
