"""The driver's log: in the store, whole, in order, bounded, and without secrets."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.logs.job_log import MOST_CHARACTERS, MOST_LINES, PART_BYTES, JobLog, logged
from infra.logs.masking import HIDDEN
from infra.stores.local import LocalStore
from infra.stores.memory import MemoryStore
from jobs.cli import run
from jobs.watching.logs import follow_log, line_text, read_log
from pipeline.clock import ManualClock
from pipeline.driving.lease import Lease
from pipeline.driving.lease_state import Owner
from pipeline.errors import LeaseLostError, StoreUnavailableError
from pipeline.layout import log_key
from pipeline.ports import PutMode
from tests.jobs.made_job import make_job

LOG = logging.getLogger("pipeline.test")


class Moody(MemoryStore):
    """A store that is away when it is told so."""

    away = False

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        if self.away and "/logs/" in key:
            raise StoreUnavailableError("no answer")
        return super().put(key, body, mode=mode, if_match=if_match)


@pytest.fixture
def store() -> Moody:
    """A store with the job `demo`."""
    made = Moody()
    make_job(made)
    return made


@pytest.fixture
def log(store: Moody) -> Iterator[JobLog]:
    """The log of driver 3."""
    job = next(folder.rstrip("/") for folder in store.list_folders("jobs/"))
    with logged(JobLog(store, job, stream=lambda: "00000003", environ={"MY_TOKEN": "swordfish-1"})) as made:
        yield made


def messages(store: MemoryStore) -> list[str]:
    """Of all lines."""
    return [str(line["message"]) for line in read_log(store, "demo")]


def test_lines_are_in_the_store_with_worker_and_task(store: Moody, log: JobLog) -> None:
    """What our loggers say at INFO and above, and nothing of other libraries."""
    LOG.info("hello %s", "you", extra={"worker": "w1", "task": "t0000001"})
    LOG.debug("too small")
    logging.getLogger("boto3").warning("not ours")
    log.put()
    (line,) = read_log(store, "demo")
    assert (line["level"], line["logger"], line["message"]) == ("INFO", "pipeline.test", "hello you")
    assert (line["worker"], line["task"], line["job"].startswith("demo-")) == ("w1", "t0000001", True)
    assert line_text(line).endswith("INFO    [w1 t0000001] hello you")


def test_line_with_an_exception_names_it_without_the_traceback(store: Moody, log: JobLog) -> None:
    """One line stays one line."""
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        LOG.exception("it failed")
    log.put()
    assert messages(store) == ["it failed: ValueError: bad\nthing"]


def test_parts_hold_every_line_once_and_stay_small(store: Moody, log: JobLog) -> None:
    """However often the log is put, and however much is said in between."""
    said = []
    for number in range(40):
        for more in range(number % 7):
            said.append(f"{number} {more} " + "x" * 500)
            LOG.warning("%s", said[-1])
        log.put()
    assert messages(store) == said
    sizes = [info.size_bytes for info in store.list("jobs/") if "/logs/" in info.key]
    assert len(sizes) > 1
    assert max(sizes) < PART_BYTES + 2 * MOST_CHARACTERS


def test_store_that_is_away_loses_nothing_until_too_much_waits(store: Moody, log: JobLog) -> None:
    """Then the oldest lines go, and the log says how many."""
    store.away = True
    LOG.info("first")
    log.put()
    LOG.info("second")
    log.put()
    store.away = False
    log.put()
    assert messages(store) == ["first", "second"]
    store.away = True
    for number in range(MOST_LINES + 10):
        LOG.info("%d", number)
    log.put()
    store.away = False
    log.put()
    kept = messages(store)[2:]
    assert kept[0] == "10 lines before this one were dropped"
    assert kept[1:] == [str(number) for number in range(10, MOST_LINES + 10)]


def test_new_fence_begins_new_parts(store: Moody) -> None:
    """A driver that goes on after a pause has another number; no line is there twice."""
    streams = iter(["00000003", "00000004", "00000004"])
    job = next(folder.rstrip("/") for folder in store.list_folders("jobs/"))
    log = JobLog(store, job, stream=lambda: next(streams), environ={})
    with logged(log):
        for text in ("a", "b", "c"):
            LOG.info(text)
            log.put()
    assert messages(store) == ["a", "b", "c"]
    names = [info.key.rpartition("/")[2] for info in store.list(log_key(job, ""))]
    assert names == ["00000003-000000.jsonl", "00000004-000000.jsonl"]


def test_driver_without_its_lease_writes_no_log(store: Moody) -> None:
    """And that ends nothing."""
    job = next(folder.rstrip("/") for folder in store.list_folders("jobs/"))

    def lost() -> str:
        raise LeaseLostError("another drives")

    with logged(JobLog(store, job, stream=lost, environ={})):
        LOG.info("late")
    assert messages(store) == []


def test_line_that_cannot_be_made_ends_nothing(
    store: Moody, log: JobLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong number of arguments is a bug in a message, not in a job."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    too_few = ("%s %s", "one")
    LOG.info(*too_few)
    LOG.info("next")
    log.put()
    assert messages(store) == ["next"]


@pytest.mark.parametrize(
    ("text", "secret"),
    [("login swordfish-1 done", "swordfish-1"), ("GET https://me:geheim@host/x failed", "geheim")],
)
def test_secrets_do_not_get_into_the_log(store: Moody, log: JobLog, text: str, secret: str) -> None:
    """Neither values of variables that are named like secrets, nor what looks like one."""
    LOG.warning("%s", text)
    log.put()
    (told,) = messages(store)
    assert secret not in told
    assert HIDDEN in told


def test_lines_of_several_drivers_come_in_the_order_of_time(store: Moody) -> None:
    """Damaged lines are left out, whoever wrote them."""
    job = next(folder.rstrip("/") for folder in store.list_folders("jobs/"))

    def part(*seconds: int) -> bytes:
        return b"".join(
            json.dumps({"time": f"2026-11-21T07:00:{at:02d}", "message": at}).encode() + b"\n" for at in seconds
        )

    store.put(log_key(job, "00000001-000000.jsonl"), part(1, 2) + b'{"half": \n[1]\n\xff\n')
    store.put(log_key(job, "00000001-000001.jsonl"), part(5, 9))
    store.put(log_key(job, "00000002-000000.jsonl"), part(3, 6, 10))
    assert [line["message"] for line in read_log(store, "demo")] == [1, 2, 3, 5, 6, 9, 10]


def test_follow_tells_each_line_once_until_the_job_is_let_go(store: Moody) -> None:
    """Parts grow while they are read; the end is the release of the lease after a last state."""
    job = next(folder.rstrip("/") for folder in store.list_folders("jobs/"))
    lease = Lease(store, job, owner=Owner(host="h", pid=1), token="t", clock=ManualClock())
    assert lease.try_take() is None
    looks = 0
    body = b""

    class Growing(ManualClock):
        """While one waits, the driver writes on."""

        def sleep(self, seconds: float) -> None:
            nonlocal looks, body
            looks += 1
            body += json.dumps({"time": str(looks), "message": f"m{looks}"}).encode() + b"\n"
            store.put(log_key(job, "00000002-000000.jsonl"), body)
            if looks == 3:
                lease.release()

    told: list[Any] = []
    follow_log(store, "demo", clock=Growing(), on_line=lambda line: told.append(line["message"]))
    assert told == ["m1", "m2", "m3"]


def test_log_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a person, as one document, and line by line; what others wrote cannot move the cursor."""
    store = LocalStore(str(tmp_path))
    job, _ = make_job(store)
    line = {"time": "2026-11-21T07:00:00+00:00", "level": "INFO", "message": "\x1b[2Jgone"}
    store.put(log_key(job.id, "00000001-000000.jsonl"), json.dumps(line).encode() + b"\n")
    assert run(["logs", "demo", "--store", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "INFO" in text
    assert "\x1b" not in text
    assert run(["logs", "demo", "--store", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [line]
    assert run(["logs", "demo", "--store", str(tmp_path), "--follow", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == line
    assert run(["logs", "none", "--store", str(tmp_path)]) == 2
