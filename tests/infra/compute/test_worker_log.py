"""A worker's log says where each line comes from, and is bounded in lines, parts and puts."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from infra.logs.job_log import MOST_CHARACTERS, PART_BYTES, JobLog, logged
from infra.stores.memory import MemoryStore
from pipeline.errors import BadRequestError
from pipeline.log_place import said_at
from pipeline.request import Request
from tests.pipeline.single_worker import JOB, Wrapped, assignment, load_synthetic, work

LOG = logging.getLogger("pipeline.test")


@pytest.fixture
def kept() -> Iterator[MemoryStore]:
    """Where the log of worker 3 goes, which is put at the end of the block or by `lines`."""
    store = MemoryStore()
    log = JobLog(
        store, JOB, stream=lambda: "worker-ab-3", environ={}, here={"node": "n1", "worker": "w"}, level=logging.DEBUG
    )
    with logged(log):
        store.put_log = log.put  # type: ignore[attr-defined]
        yield store


def lines(store: MemoryStore) -> list[dict[str, Any]]:
    """All that was said."""
    store.put_log()  # type: ignore[attr-defined]
    bodies = [store.get(info.key) for info in store.list(f"jobs/{JOB}/logs/")]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def test_every_line_of_an_attempt_says_job_node_task_and_attempt(kept: MemoryStore) -> None:
    """Whichever part of the worker says it; a batch with its stages is one line."""
    given = assignment(["one", "two", "three"])
    work(given)
    told = lines(kept)
    assert told
    assert all(line["job"] == JOB for line in told)
    of_attempt = [line for line in told if line["task"]]
    assert {(line["task"], line["attempt"]) for line in of_attempt} == {(given.task, given.attempt)}
    assert all(line["node"] and line["worker"] == "w" for line in of_attempt)
    committed = [line["message"] for line in of_attempt if "is committed" in line["message"]]
    assert committed
    assert all("denoise" in message and "upload" in message for message in committed)


def test_failed_batch_is_told_with_its_error(kept: MemoryStore) -> None:
    """At a level that is shown without being asked for."""

    def refuse(batch: Sequence[Request], _size: int) -> None:
        raise BadRequestError("too odd")

    work(assignment(["one"]), load=lambda model: Wrapped(load_synthetic(model), before=refuse))
    told = [line for line in lines(kept) if "too odd" in line["message"] and line["level"] == "INFO"]
    assert told
    assert told[0]["attempt"]


def test_long_log_keeps_warnings_and_then_nothing() -> None:
    """Two parts of anything, two of warnings, with a line that says so."""
    store, big = MemoryStore(), "x" * (MOST_CHARACTERS - 1)
    puts = 0
    log = JobLog(store, JOB, stream=lambda: "worker-ab-1", environ={}, level=logging.DEBUG, most_parts=2)
    with logged(log):
        for level in [logging.DEBUG] * 60 + [logging.WARNING] * 60:
            LOG.log(level, "%s", big)
            log.put()
            puts += 1
    bodies = [store.get(info.key) for info in store.list(f"jobs/{JOB}/logs/")]
    told = [json.loads(line) for body in bodies for line in body.splitlines()]
    assert len(bodies) == 4
    assert max(map(len, bodies)) < PART_BYTES + 3 * MOST_CHARACTERS
    assert [line["message"] for line in told if line["message"] != big] == [
        "the log is long: only warnings from here on"
    ]
    levels = [line["level"] for line in told if line["message"] == big]
    assert levels == sorted(levels)
    assert 0 < levels.count("DEBUG") < 60
    assert 0 < levels.count("WARNING") < 60


def test_nothing_new_is_no_put() -> None:
    """An idle worker costs the store nothing."""
    with ExitStack() as stack:
        store = MemoryStore()
        log = JobLog(store, JOB, stream=lambda: "worker-ab-1", environ={})
        stack.enter_context(logged(log))
        LOG.info("once")
        log.put()
        (before,) = store.list(f"jobs/{JOB}/logs/")
        log.put()
        assert list(store.list(f"jobs/{JOB}/logs/")) == [before]


def test_places_nest(kept: MemoryStore) -> None:
    """An inner place adds to the outer one, and is left with its block; a line's own word goes before."""
    with said_at(task="t1"):
        with said_at(attempt="a1"):
            LOG.info("inner")
        LOG.info("outer", extra={"task": "t2"})
    told = {line["message"]: (line["task"], line["attempt"], line["node"]) for line in lines(kept)}
    assert told == {"inner": ("t1", "a1", "n1"), "outer": ("t2", "", "n1")}
