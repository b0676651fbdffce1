"""`spotrender logs` finds the lines that are meant, of drivers and workers."""

import json
from typing import Any

import pytest

from infra.stores.memory import MemoryStore
from jobs.cli import run
from jobs.watching.logs import ALL, Wanted, line_text, read_log, wanted
from pipeline.errors import JobFileError
from pipeline.layout import log_key
from tests.jobs.made_job import make_job

JOB = "demo-0123456789abcdef"


def line(second: int, level: str, message: str, **places: str) -> dict[str, Any]:
    """As a process writes it."""
    names = dict.fromkeys(("node", "worker", "task", "attempt"), "")
    return {"time": f"2026-11-21T07:00:{second:02d}", "level": level, "message": message, "job": JOB} | names | places


LINES = {
    "00000001-000000": [
        line(1, "INFO", "driver begins", node="driver"),
        line(6, "WARNING", "lost", node="node-a", worker=f"{JOB}-ab-1"),
    ],
    "worker-ab-1-000000": [
        line(2, "DEBUG", "batch", node="node-a", worker=f"{JOB}-ab-1", task="t0000001", attempt="a1")
    ],
    "worker-ab-1-000001": [line(5, "INFO", "bad", node="node-a", worker=f"{JOB}-ab-1", task="t0000002", attempt="a2")],
    "worker-ab-10-000000": [
        line(3, "DEBUG", "other batch", node="node-b", worker=f"{JOB}-ab-10", task="t0000003", attempt="a3"),
        line(4, "ERROR", "the worker ended", node="node-b", worker=f"{JOB}-ab-10"),
    ],
}


@pytest.fixture
def store() -> MemoryStore:
    """A job with a driver and two workers."""
    made = MemoryStore()
    job, _ = make_job(made)
    for name, lines in LINES.items():
        body = b"".join(json.dumps(one).encode() + b"\n" for one in lines)
        made.put(log_key(job.id, f"{name}.jsonl"), body)
    return made


@pytest.mark.parametrize(
    ("which", "messages"),
    [
        (ALL, ["driver begins", "the worker ended", "bad", "lost"]),
        (wanted(level="debug"), ["driver begins", "batch", "other batch", "the worker ended", "bad", "lost"]),
        (wanted(level="warning"), ["the worker ended", "lost"]),
        (wanted(task="t0000001"), ["batch"]),
        (wanted(attempt="a3"), ["other batch"]),
        (wanted(node="node-a"), ["batch", "bad", "lost"]),
        (wanted(node="driver"), ["driver begins"]),
        (wanted(worker="ab-1"), ["batch", "bad", "lost"]),
        (wanted(worker="ab-10", level="error"), ["the worker ended"]),
    ],
)
def test_lines_that_are_meant_in_the_order_of_time(store: MemoryStore, which: Wanted, messages: list[str]) -> None:
    """By level and place; a worker's routine is shown where a place or its level is named."""
    assert [one["message"] for one in read_log(store, "demo", which)] == messages


def test_unknown_level_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(JobFileError, match="--level: must be one of debug, info"):
        wanted(level="loud")


def test_line_names_worker_task_and_attempt_shortly() -> None:
    """Without the job's id, which all of them have."""
    (one,) = LINES["worker-ab-1-000001"]
    assert line_text(one) == "2026-11-21T07:00:05 INFO    [ab-1 t0000002 a2] bad"


def test_command_takes_the_same_words(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """And says what to mend."""
    from infra.stores.local import LocalStore

    place = LocalStore(str(tmp_path / "store"))
    job, _ = make_job(place)
    body = b"".join(json.dumps(one).encode() + b"\n" for one in LINES["worker-ab-10-000000"])
    place.put(log_key(job.id, "worker-ab-10-000000.jsonl"), body)
    assert run(["logs", "demo", "--store", place.uri, "--task", "t0000003", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["message"] == "other batch"
    assert run(["logs", "demo", "--store", place.uri, "--level", "loud"]) == 2
