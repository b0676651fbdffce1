"""Metrics are kept in bounds, and nothing that is told wrongly reaches the job."""

import logging

import pytest

from infra.compute import metric_recorder as recording
from infra.compute.metric_recorder import MOST_OBSERVATIONS, Recorder
from pipeline.metrics import METRICS, SECONDS

TYPE = {"node_type": "g6.xlarge", "market": "spot"}


def test_counters_grow_and_never_fall() -> None:
    """By what is added, or to a total; gauges are as they were set last."""
    recorder = Recorder()
    recorder.add("attempts_total", job="a", cause="SUCCEEDED")
    recorder.add("attempts_total", 2, cause="SUCCEEDED", job="a")
    recorder.add("attempts_total", -5, job="a", cause="SUCCEEDED")
    recorder.total("retries_total", 7, job="a", cause="PREEMPTED")
    recorder.total("retries_total", 3, job="a", cause="PREEMPTED")
    recorder.set("queue_tasks", 9, job="a")
    recorder.set("queue_tasks", 4, job="a")
    assert recorder.values() == {
        ("attempts_total", (("cause", "SUCCEEDED"), ("job", "a"))): 3,
        ("retries_total", (("cause", "PREEMPTED"), ("job", "a"))): 7,
        ("queue_tasks", (("job", "a"),)): 4,
    }


def test_what_is_not_in_the_table_is_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A name, a kind or a label that nobody documented; a job never fails for it."""
    recorder = Recorder()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            recorder.add("no_such_total", job="a")
            recorder.set("attempts_total", 1, job="a", cause="X")
            recorder.observe("batch_seconds", 1, job="a")
            recorder.add("attempts_total", job="a", cause="X", image="0" * 64)
    assert recorder.values() == {}
    assert recorder.take_observed() == []
    assert len(caplog.records) == 3


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither series nor values that nobody reads can fill it; a label is cut where it is absurd."""
    monkeypatch.setattr(recording, "MOST_SERIES", 3)
    recorder = Recorder()
    for number in range(10):
        recorder.add("attempts_total", job="a", cause=str(number) * 500)
    assert len(recorder.values()) == 3
    assert max(len(value) for _, labels in recorder.values() for _, value in labels) == 120
    for _ in range(MOST_OBSERVATIONS + 5):
        recorder.observe("batch_seconds", 1.0, job="a", **TYPE)
    assert len(recorder.take_observed()) == MOST_OBSERVATIONS
    assert recorder.take_observed() == []


def test_names_follow_the_conventions() -> None:
    """Counters end in `_total`, nothing else does; units are base units; labels cannot grow with the work."""
    for name, metric in METRICS.items():
        assert name == metric.name
        assert name.endswith("_total") == (metric.kind == "counter"), name
        assert metric.help.endswith("."), name
        assert not {"image", "task", "attempt", "worker", "node"} & set(metric.labels), name
        if metric.kind == "histogram":
            assert metric.unit == "seconds", name
        for unit in ("_ms", "_mib", "_minutes", "_percent"):
            assert unit not in name
    assert list(SECONDS) == sorted(SECONDS)
