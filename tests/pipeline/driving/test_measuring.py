"""A driver's metrics agree with its books, and nothing that goes wrong with them reaches the job."""

import logging
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.compute.metric_recorder import Recorder
from infra.stores.measured import MeasuredStore
from infra.stores.memory import MemoryStore
from pipeline.driving.measuring import Measuring
from pipeline.driving.orders import StopButton
from pipeline.errors import NotFoundError, StoreUnavailableError
from pipeline.events import BatchCommitted
from pipeline.job import JobState, Settings
from pipeline.metrics import METRICS, NoMetrics
from pipeline.record import GpuUse, Record
from pipeline.status import Status
from pipeline.store_use import AddedUse, Used, use_facts, use_from_text, use_of, use_to_text
from tests.pipeline.driven_job import Studio
from tests.pipeline.eventful import Apart, Eventful
from tests.pipeline.single_worker import node


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty store."""
    return Studio(tmp_path)


def read(recorder: Recorder, name: str, **labels: str) -> float:
    """The sum of the series that have these labels."""
    assert name in METRICS
    chosen = [
        value
        for (one, pairs), value in recorder.values().items()
        if one == name and labels.items() <= dict(pairs).items()
    ]
    assert chosen, f"{name} {labels}"
    return sum(chosen)


def with_reclaim(**values: Any) -> Apart:
    """Two nodes, one of which is announced and goes."""
    name: list[str] = []

    def announce(compute: Eventful) -> None:
        name.append(compute.names[0])
        compute.notice(name[0], seconds=30)

    return Apart(happens={4: announce, 8: lambda compute: compute.go(name[0])}, **values)


def test_metrics_agree_with_status_and_ledger(studio: Studio) -> None:
    """Images, spend, reclaims and what is left of the budget."""
    prepared, recorder = studio.prepare(prompts=40), Recorder()
    settings = Settings(nodes=(), budget_usd=Decimal(1000))
    status = studio.drive(prepared, compute=with_reclaim, metrics=recorder, settings=settings)
    assert status.state is JobState.SUCCEEDED
    assert read(recorder, "images_total", outcome="rendered") == status.rendered == 40
    assert read(recorder, "device_images_total") >= 40
    assert read(recorder, "images_missing") == 0
    assert read(recorder, "notices_total", kind="reclaim") == 1
    assert read(recorder, "preemptions_total") == 1
    assert read(recorder, "workers_lost_total", cause="PREEMPTED") == 1
    assert read(recorder, "spend_usd") == pytest.approx(float(status.usd), rel=0.01)
    left = read(recorder, "budget_usd") - read(recorder, "budget_left_usd")
    assert left == pytest.approx(float(status.usd), rel=0.01)
    assert read(recorder, "job_state", state="SUCCEEDED") == read(recorder, "job_state") == 1
    spent = sum(image["bytes"] for image in prepared.ledger("images"))
    assert read(recorder, "image_bytes_total") == spent
    observed = recorder.take_observed()
    batches = [value for (name, _), value in observed if name == "batch_seconds"]
    assert sum(batches) == pytest.approx(read(recorder, "gpu_seconds_total"))
    stages = {dict(labels)["stage"] for (name, labels), _ in observed if name == "stage_seconds"}
    assert stages == {"denoise", "decode", "encode", "upload"}


def test_counters_are_of_the_driver_and_gauges_of_the_job(studio: Studio) -> None:
    """A second driver begins its counters anew, so that rates are right, and knows what the first one spent."""
    prepared, first, second = studio.prepare(prompts=20), Recorder(), Recorder()

    def stop_early(status: Status, button: StopButton) -> None:
        if status.rendered >= 6:
            button.press(JobState.PAUSED, "for a test")

    paused = studio.drive(prepared, watch=stop_early, metrics=first)
    assert 6 <= paused.rendered < 20
    ended = studio.drive(prepared, metrics=second)
    assert read(first, "images_total") == paused.rendered
    assert read(second, "images_total") == 20 - paused.rendered
    assert read(second, "images_done") == 20
    assert read(second, "spend_usd") == pytest.approx(float(ended.usd), rel=0.01)


def test_a_job_of_any_size_has_few_series(studio: Studio) -> None:
    """Ten times the images are no more series."""
    counts = []
    for name, prompts in (("few", 10), ("many", 100)):
        recorder = Recorder()
        studio.drive(studio.prepare(name=name, prompts=prompts, prompt=f"{name} {{}}".format), metrics=recorder)
        counts.append(len(recorder.values()))
    assert counts[0] == counts[1] < 60


def test_what_gpus_drivers_tell_is_counted_by_time(studio: Studio) -> None:
    """Utilisation is a quotient of two counters, power another one; what nobody tells is absent."""
    recorder, standing = Recorder(), SimpleNamespace(store=studio.store, job=SimpleNamespace(id="j"), progress=None)
    measuring = Measuring(SimpleNamespace(**vars(standing), metrics=recorder), now_ns=0)  # type: ignore[arg-type]
    use = GpuUse(busy=0.75, watts=200.0, memory_bytes=None)
    for told in (use, use, None):
        one = Record(
            job="j",
            task="t",
            attempt="a",
            sequence=0,
            node=node(node_type="g6.xlarge", market="spot"),
            gpu_nanoseconds=2_000_000_000,
            memory_bytes=14 << 30,
            gpu_use=told,
        )
        measuring.hear(BatchCommitted(worker="w", record=one), one.node)
    where = {"node_type": "g6.xlarge", "market": "spot"}
    assert read(recorder, "gpu_seconds_total", **where) == 6
    assert read(recorder, "gpu_busy_seconds_total", **where) == 3
    assert read(recorder, "gpu_energy_joules_total", **where) == 800
    assert read(recorder, "gpu_memory_peak_bytes", **where) == 14 << 30


class Broken(NoMetrics):
    """Whose calls raise, against all promises."""

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Not today."""
        raise RuntimeError("no room")


def test_broken_metrics_stop_nothing(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once."""
    with caplog.at_level(logging.WARNING, "pipeline.driving.measuring"):
        status = studio.drive(studio.prepare(), metrics=Broken())
    assert status.state is JobState.SUCCEEDED
    assert [record.getMessage() for record in caplog.records] == ["no more metrics: RuntimeError: no room"]


class Silent(MemoryStore):
    """Does not answer."""

    def get(self, key: str) -> bytes:
        """Nothing."""
        raise StoreUnavailableError("down")


def test_store_calls_are_counted_by_operation() -> None:
    """'There is none' is an answer; silence is an error; both take time."""
    store = MeasuredStore(MemoryStore())
    store.put("a/1", b"x")
    store.put_batch({"a/2": b"y", "a/3": b"z"})
    assert [info.key for info in store.list("a/")] == ["a/1", "a/2", "a/3"]
    assert list(store.list("b/")) == []
    with pytest.raises(NotFoundError):
        store.get("a/9")
    silent = MeasuredStore(Silent())
    with pytest.raises(StoreUnavailableError):
        silent.get("a/1")
    assert {name: (one.requests, one.errors) for name, one in use_of(store).items()} == {
        "put": (1, 0),
        "put_batch": (1, 0),
        "list": (2, 0),
        "get": (1, 0),
    }
    assert (use_of(silent)["get"].requests, use_of(silent)["get"].errors) == (1, 1)


def test_what_workers_tell_of_the_store_is_added_up() -> None:
    """Each tells its totals again and again; what makes no sense changes nothing."""
    use = {"put": Used(3, 1, 500), "get": Used(1, 0, 7)}
    assert use_from_text(use_to_text(use)) == use
    assert use_from_text("put 1 0, get x y z,rm 1 1 1,put -1 0 0,," + "9" * 99) == {}
    assert use_facts(MemoryStore()) == {}
    added = AddedUse()
    added.told("w1", {"put": Used(1, 0, 10)})
    added.told("w1", use)
    added.told("w2", use)
    added.told("w3", {})
    assert added.total() == {"put": Used(6, 2, 1000), "get": Used(2, 0, 14)}
