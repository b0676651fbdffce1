"""Retry: failed images are rendered once more, and only those."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.stores.local import LocalStore
from infra.stores.memory import MemoryStore
from jobs.cli import run
from jobs.retrying import forgive
from pipeline.clock import ManualClock, SystemClock
from pipeline.driving.control import put_settings
from pipeline.driving.lease import Lease
from pipeline.driving.lease_state import Owner
from pipeline.errors import JobRefusedError
from pipeline.job import NodeOffer, Settings
from pipeline.ledger.tally import StoredRecord, tally
from pipeline.record import record_from_json
from pipeline.status import read_status
from tests.jobs.made_job import NOW, make_job

LOCAL = Settings(nodes=(NodeOffer(type="local", market="local", max=1, provider="local", gpu="cpu"),))


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """The JSON document that a command prints."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_failed_images_are_rendered_and_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault that has passed: only what failed is made, its record's sound images stay as they are."""
    store = LocalStore(str(tmp_path))
    job, before = make_job(store, ("cat", "dog", "sun", "moon"), failed=("dog",))
    put_settings(store, job.id, LOCAL)
    arguments = ("retry", "demo", "--store", str(tmp_path), "--address", "in-process")
    none = told(capsys, *arguments, "--cause", "BAD_REQUEST")
    assert "nothing to retry: no failed image of BAD_REQUEST" in none["message"]
    done = told(capsys, *arguments, "--cause", "BAD_OUTPUT")
    assert (done["state"], done["rendered"], done["failed"], done["rendered_now"]) == ("SUCCEEDED", 4, 0, 1)
    assert {image.key for image in before} <= {info.key for info in store.list("images/")}
    assert "no failed image" in told(capsys, *arguments)["message"]


def test_what_fails_again_is_failed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad prompt stays one: the job ends as before, what its neighbours cost is paid once, every attempt is shown."""
    monkeypatch.setenv("SPOTRENDER_STORE", str(tmp_path / "out"))
    lines = [json.dumps({"prompt": prompt}) for prompt in ("a", "b [[black]]", "c [[bad-request]]", "d")]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines))
    submit = ("submit", str(tmp_path / "prompts.jsonl"), "--model", "synthetic", "--address", "in-process")
    first = told(capsys, *submit, code=3)
    assert (first["rendered"], first["failed"]) == (2, 2)
    again = told(capsys, "retry", "prompts", "--cause", "BAD_OUTPUT", "--address", "in-process", code=3)
    assert (again["state"], again["rendered"], again["failed"]) == ("COMPLETED_WITH_FAILURES", 2, 2)
    job = first["job"]
    store = LocalStore(str(tmp_path / "out"))
    records = [
        StoredRecord(record=record_from_json(store.get(info.key)), modified_at=info.modified_at)
        for info in store.list(f"jobs/{job}/records/")
    ]
    outcomes = sorted(row.outcome for row in tally(records))
    assert outcomes == ["failed", "failed", "rendered", "rendered"]
    failures = store.get(f"jobs/{job}/failures.jsonl").decode().splitlines()
    assert sorted(json.loads(line)["tags"]["cause"] for line in failures) == ["BAD_OUTPUT", "BAD_REQUEST"]


def test_unknown_cause_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """And nothing is written."""
    store = LocalStore(str(tmp_path))
    make_job(store, failed=("cat",))
    before = [info.key for info in store.list("")]
    error = told(capsys, "retry", "demo", "--store", str(tmp_path), "--cause", "bad_ouput", code=2)["error"]
    assert 'did you mean "BAD_OUTPUT"' in error
    assert [info.key for info in store.list("")] == before


def test_job_that_is_driven_is_not_touched() -> None:
    """Its driver lives, as its lease changes: nothing is written, and the message says who and what to do."""
    store, clock = MemoryStore(), ManualClock()
    job, _ = make_job(store, failed=("cat",))
    driver = Lease(store, job.id, owner=Owner(host="far", pid=7), token="t", clock=clock)
    assert driver.try_take() is None

    class Both(ManualClock):
        """Time that passes for the driver too."""

        def sleep(self, seconds: float) -> None:
            clock.advance(3 * seconds)
            driver.beat()
            super().sleep(seconds)

    records = list(store.list(f"jobs/{job.id}/records/"))
    with pytest.raises(JobRefusedError, match="driven by far, pid 7; `spotrender wait"):
        forgive(store, "demo", attempt="a", clock=Both())
    assert list(store.list(f"jobs/{job.id}/records/")) == records
    driver.confirm()


def test_driver_that_died_elsewhere_is_waited_for_and_no_longer() -> None:
    """Its lease expires; who waits is told for what."""
    store, said = MemoryStore(), list[str]()
    job, _ = make_job(store, failed=("cat",))
    dead = Lease(store, job.id, owner=Owner(host="far", pid=7), token="t", clock=ManualClock())
    assert dead.try_take() is None
    forgiven = forgive(store, "demo", attempt="a", clock=ManualClock(), say=said.append)
    assert (forgiven.images, forgiven.causes, forgiven.left) == (1, {"BAD_OUTPUT": 1}, 0)
    assert "far, pid 7" in said[0]
    status = read_status(store, job.id)
    assert status is not None
    assert (status.state, status.failed) == ("STOPPED", 0)


def test_all_failures_of_an_image_are_forgiven() -> None:
    """Two attempts that raced may both have given it up."""
    store = MemoryStore()
    job, _ = make_job(store, failed=("cat",))
    key = next(info.key for info in store.list(f"jobs/{job.id}/records/t0000000-"))
    store.put(key.replace("-a0-", "-b0-"), store.get(key).replace(b'"attempt":"a0"', b'"attempt":"b0"'))
    forgive(store, "demo", attempt="r", clock=SystemClock())
    records = [
        StoredRecord(record=record_from_json(store.get(info.key)), modified_at=NOW)
        for info in store.list(f"jobs/{job.id}/records/")
    ]
    assert "failed" not in {row.outcome for row in tally(records)}
