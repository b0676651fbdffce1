"""How busy a GPU is: told where its driver tells it, left out elsewhere, and never a reason to fail."""

import os
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.compute.gpu_gauge import NvmlGauge, mean_between, open_gauge
from infra.stores.memory import MemoryStore
from pipeline.events import BatchCommitted
from pipeline.record import GpuUse, Record, record_from_json, record_to_json
from pipeline.working.stages import InlineStages
from pipeline.working.worker import Worker
from tests.pipeline.single_worker import TickingClock, assignment, load_synthetic, node, synthetic_model

SECOND_NS = 10**9


class NvmlError(Exception):
    """As the binding raises it."""


@dataclass
class Driver:
    """A stand-in for NVIDIA's library, the functions that are called, and their answers."""

    samples: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Kind -> microseconds and value; a kind that is not there is not supported."""
    fails: bool = False
    NVMLError = NvmlError
    NVML_TOTAL_POWER_SAMPLES = 0
    NVML_GPU_UTILIZATION_SAMPLES = 1

    def nvmlDeviceGetSamples(self, _device: Any, kind: int, since: int) -> tuple[int, list[Any]]:  # noqa: N802 - its name
        """Those after an instant."""
        if kind not in self.samples:
            raise NvmlError("Not Supported")
        found = [(at, value) for at, value in self.samples[kind] if at > since]
        return 1, [SimpleNamespace(timeStamp=at, sampleValue=SimpleNamespace(uiVal=value)) for at, value in found]

    def nvmlDeviceGetUtilizationRates(self, _device: Any) -> Any:  # noqa: N802 - its name
        """Of the last moment."""
        return SimpleNamespace(gpu=70)

    def nvmlDeviceGetMemoryInfo(self, _device: Any) -> Any:  # noqa: N802 - its name
        """Bytes."""
        if self.fails:
            raise NvmlError("GPU is lost")
        return SimpleNamespace(used=5 << 30)


def test_use_is_the_mean_of_what_the_driver_saw_in_the_batch_s_time() -> None:
    """Samples before and after it say nothing of it."""
    driver = Driver({1: [(900_000, 0), (1_500_000, 90), (2_000_000, 100), (2_000_001, 0)], 0: [(1_600_000, 250_000)]})
    use = NvmlGauge(driver, "gpu").between(1 * SECOND_NS, 2 * SECOND_NS)
    assert use == GpuUse(busy=0.95, watts=250.0, memory_bytes=5 << 30)


def test_what_a_driver_does_not_sample_is_asked_for_or_left_out() -> None:
    """Power is not known then; it is not zero."""
    use = NvmlGauge(Driver(), "gpu").between(1 * SECOND_NS, 2 * SECOND_NS)
    assert use == GpuUse(busy=0.7, watts=None, memory_bytes=5 << 30)


def test_driver_that_fails_is_not_asked_again() -> None:
    """A GPU that is lost fails its batch by itself; its counters fail nothing."""
    driver = Driver(fails=True)
    gauge = NvmlGauge(driver, "gpu")
    assert gauge.between(0, SECOND_NS) is None
    driver.fails = False
    assert gauge.between(0, SECOND_NS) is None


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100))), st.integers(0, 100), st.integers(0, 100))
def test_mean_lies_among_the_values_and_is_none_without_any(
    samples: list[tuple[int, int]], started: int, ended: int
) -> None:
    """For every set of samples and every interval."""
    inside = [value for at, value in samples if started < at <= ended]
    mean = mean_between(samples, started, ended)
    assert (mean is None) == (not inside)
    assert mean is None or min(inside) <= mean <= max(inside)


@pytest.mark.parametrize("named", ["7", "GPU-aaaa", "MIG-bbbb", "no such thing"])
def test_gpu_that_is_not_there_has_no_gauge(named: str) -> None:
    """Whatever the environment says of GPUs, and without NVML at all; nothing is raised."""
    assert open_gauge({"CUDA_VISIBLE_DEVICES": named}) is None


class Steady:
    """A gauge that always tells the same, or nothing."""

    def __init__(self, use: GpuUse | None) -> None:
        self._use = use

    def between(self, started_ns: int, ended_ns: int) -> GpuUse | None:
        """The same."""
        assert started_ns < ended_ns
        return self._use


def record_of(use: GpuUse | None) -> Record:
    """What a worker with such a gauge commits."""
    one = Worker(
        name="w",
        node=node(),
        gpu_index=0,
        load=load_synthetic,
        model=synthetic_model(),
        store=MemoryStore(),
        clock=TickingClock(),
        stages=InlineStages(),
        gauge=Steady(use),
    )
    assert one.start()
    one.work(assignment(["a prompt"]))
    (record,) = [event.record for event in one.poll(0) if isinstance(event, BatchCommitted)]
    return record


def test_record_of_a_batch_keeps_how_busy_the_gpu_was() -> None:
    """And gives it back as it was."""
    use = GpuUse(busy=0.97, watts=None, memory_bytes=5)
    record = record_of(use)
    assert record.gpu_use == use
    assert record_from_json(record_to_json(record)) == record


def test_record_of_a_batch_without_such_knowledge_does_not_name_it() -> None:
    """Absent, not zero: so older records read the same."""
    body = record_to_json(record_of(None))
    assert b"gpu_use" not in body
    assert record_from_json(body).gpu_use is None


@pytest.mark.gpu
def test_gpu_tells_how_busy_it_is() -> None:
    """On a machine that has one: after a second of arithmetic it was busy, drew power and held memory."""
    import time

    import torch

    gauge = open_gauge(os.environ)
    assert gauge is not None
    matrix = torch.ones((4096, 4096), device="cuda")
    started_ns = time.time_ns()
    while time.time_ns() - started_ns < 2 * SECOND_NS:
        matrix = (matrix @ matrix).clamp(max=1)
        torch.cuda.synchronize()
    use = gauge.between(started_ns, time.time_ns())
    assert use is not None
    assert use.busy is not None
    assert use.busy > 0.3
    assert use.memory_bytes is not None
    assert use.memory_bytes > 1 << 20
