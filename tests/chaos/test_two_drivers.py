"""Two processes that drive one job, over a folder and over S3: one drives, the other follows and takes over."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.stores.local import LocalStore
from jobs.cli import run
from pipeline.ports import Store
from tests.chaos.command import Command, command
from tests.chaos.manifest import write_manifest
from tests.infra.servers import moto_server

PROMPTS = 30


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty store that several processes reach."""
    if request.param == "folder":
        yield LocalStore(str(tmp_path / "out"))
        return
    with moto_server() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server.store("renders")


@pytest.fixture
def submit(place: Store, tmp_path: Path) -> list[str]:
    """The command that both processes run."""
    write_manifest(tmp_path / "prompts.jsonl", prompts=PROMPTS)
    made = ["submit", str(tmp_path / "prompts.jsonl"), "--model", "synthetic", "--store", place.uri]
    return [*made, "--batch-size", "2", "--address", "in-process", "--set", "model_options.seconds_per_batch=0.4"]


def only_job(store: Store) -> str:
    """The id of the only job; empty while there is none."""
    return next((folder.rstrip("/") for folder in store.list_folders("jobs/") if not folder.startswith(".")), "")


def records(store: Store) -> list[Any]:
    """All records of the only job."""
    found = store.list(f"jobs/{only_job(store)}/records/") if only_job(store) else ()
    return [json.loads(store.get(info.key)) for info in found]


def check_rendered_once(store: Store) -> None:
    """Every image of the manifest is in exactly one record."""
    named = Counter(image["image_id"] for record in records(store) for image in record["images"])
    assert len(named) == PROMPTS
    assert set(named.values()) == {1}


def statuses(store: Store) -> list[str]:
    """Keys of what each driver told."""
    return [info.key for info in store.list(f"jobs/{only_job(store)}/status/")]


def follows(process: Command) -> bool:
    """Whether it said so."""
    return "is driven by" in process.stderr() and "following" in process.stderr()


@contextmanager
def two(store: Store, submit: list[str]) -> Iterator[tuple[Command, Command]]:
    """Started together, so that neither is late on a busy machine: the one that drives, and the one that follows."""
    with command(submit) as one, command(submit) as other:
        one.until(lambda: follows(one) or follows(other))
        driver, follower = (other, one) if follows(one) else (one, other)
        driver.until(lambda: len(records(store)) > 1)
        yield driver, follower


def test_second_submit_follows_and_ends_with_the_same_document(place: Store, submit: list[str]) -> None:
    """One drives; both end together, with the same result and exit code, and every image was rendered once."""
    with two(place, submit) as (first, second):
        (code, result), (other_code, other) = first.end(), second.end()
    assert (code, result["state"], result["rendered"]) == (0, "SUCCEEDED", PROMPTS)
    assert (other_code, other) == (code, result)
    assert len(statuses(place)) == 1
    check_rendered_once(place)


def test_follower_takes_over_when_the_driver_is_killed(place: Store, submit: list[str]) -> None:
    """Kill -9 of the driver: the follower sees it is gone from this machine, says so, and renders the rest."""
    with two(place, submit) as (first, second):
        first.kill()
        code, result = second.end()
        assert "is gone: taking over" in second.stderr()
    assert (code, result["state"], result["rendered"]) == (0, "SUCCEEDED", PROMPTS)
    assert len(statuses(place)) == 2
    images = {image["image_id"] for record in records(place) for image in record["images"]}
    assert len(images) == PROMPTS
    assert run(["verify", only_job(place), "--store", place.uri]) == 0


def test_driver_asleep_wakes_up_to_find_the_job_taken_over(place: Store, submit: list[str]) -> None:
    """SIGSTOP, until the follower has finished the job; SIGCONT: it stops, says who drives, and changes nothing."""
    with two(place, submit) as (first, second):
        first.signal(signal.SIGSTOP)
        code, result = second.end()
        assert "takes over when that has lasted" in second.stderr()
        assert (code, result["state"], result["rendered"]) == (0, "SUCCEEDED", PROMPTS)
        before = {info.key: info.etag for info in place.list("") if "/records/" not in info.key}
        first.signal(signal.SIGCONT)
        woken, said = first.end()
    assert woken == 1
    assert "took the lease over while this driver was silent" in said["error"]
    after = {info.key: info.etag for info in place.list("") if "/records/" not in info.key}
    assert {key: etag for key, etag in after.items() if not key.startswith("images/")} == {
        key: etag for key, etag in before.items() if not key.startswith(("images/", "jobs/.probe/"))
    }


def test_interrupted_follower_leaves_the_driver_alone(place: Store, submit: list[str]) -> None:
    """Ctrl-C ends only the one that follows."""
    with two(place, submit) as (first, second):
        second.interrupt()
        code, _ = second.end()
        assert code == 130
        assert "no longer following" in second.stderr()
        code, result = first.end()
    assert (code, result["state"]) == (0, "SUCCEEDED")
    check_rendered_once(place)
