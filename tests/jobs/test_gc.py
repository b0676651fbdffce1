"""`gc` and what is told of a store afterwards."""

import json
import os
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from infra.stores.local import LocalStore
from jobs.cli import run
from jobs.delivery.download import download
from jobs.gc import CleanUp, clean_up, look_over, rules_of
from jobs.gc_text import plan_text
from jobs.jobfile.loading import Options, load
from jobs.new_rows import rows_with_new_images
from jobs.prices.price_files import storage_rates
from jobs.reporting.report import MadeReport, reported
from jobs.submit import submit, validate
from jobs.verify import verify
from jobs.watching.listing import list_jobs
from jobs.watching.status import read_view
from pipeline.clock import SystemClock
from pipeline.errors import JobFileError, JobRefusedError
from pipeline.job import JobState
from tests.jobs.made_job import NOW, make_job
from tests.pipeline.made_weights import put_weights


class Impatient(SystemClock):
    """A clock whose waits are leaps."""

    leapt_ns = 0

    def now_ns(self) -> int:
        """With all leaps."""
        return super().now_ns() + self.leapt_ns

    def sleep(self, seconds: float) -> None:
        """Leap."""
        self.leapt_ns += round(seconds * 1e9)


def age(store: LocalStore, days: float) -> None:
    """All objects were written so many days earlier."""
    for info in list(store.list("")):
        path = Path(store.uri) / info.key
        written = path.stat().st_mtime - days * 86_400
        os.utime(path, (written, written))


def stored_bytes(made: MadeReport) -> int:
    """What a report says that images take in the store."""
    assert made.report.storage is not None
    return made.report.storage.bytes_stored


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    """A job of three pictures with a retention of a month, rendered."""
    (tmp_path / "prompts.txt").write_text("a cat\na dog\na sun\n")
    path = tmp_path / "job.yaml"
    path.write_text("name: demo\nmanifest: prompts.txt\nstore: out\nmodel: synthetic\nretention: 30d\n")
    assert submit(load(str(path), Options()), address="in-process").state is JobState.SUCCEEDED
    return path


def test_whole_life_of_images_that_expire(job_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shown, removed, told as collected by every reader, and rendered anew by the same submit."""
    store = LocalStore(str(job_file.parent / "out"))
    wanted = load(str(job_file), Options())
    age(store, 31)
    plan = look_over(store, rules_of(store, older_than=None, keep=()))
    assert (plan.images, plan.orphans, len(plan.jobs), plan.removed) == (3, 0, 1, None)
    assert plan.leftovers["records"].objects > 0
    assert run(["gc", "--store", store.uri]) == 0
    assert "3 that no job within its retention names" in capsys.readouterr().out
    assert validate(wanted, cost=True).estimate.images == 0  # type: ignore[union-attr]

    shown: list[CleanUp] = []
    done = clean_up(store, rules_of(store, older_than=None, keep=()), clock=Impatient(), show=shown.append)
    assert done.removed is not None
    assert (shown[0].images, done.removed.images) == (3, 3)
    assert list(store.list("images/")) == []

    seen = read_view(store, "demo", now=NOW)
    looked = verify(store, seen)
    assert (looked.collected, looked.sound, looked.checked) == (3, True, 3)
    assert (seen.state, "clean-up of" in seen.message) == (JobState.SUCCEEDED, True)
    with reported(store) as made:
        assert (made.report.total.rendered, stored_bytes(made)) == (3, 0)
    fetched = download(store, seen.job, folder=job_file.parent / "images")
    assert (fetched.collected, fetched.bad, fetched.fetched) == (3, (), 0)
    assert validate(wanted, cost=True).estimate.images == 3  # type: ignore[union-attr]
    assert not np.any(rows_with_new_images(wanted)), "they were made once, which is enough for only_new"

    again = submit(wanted, address="in-process")
    assert (again.state, again.rendered_now) == (JobState.SUCCEEDED, 3)
    assert verify(store, read_view(store, "demo", now=NOW)).collected == 0
    with reported(store) as made:
        assert made.report.total.rendered == 6
        assert stored_bytes(made) == sum(info.size_bytes for info in store.list("images/")) > 0
    assert len(list_jobs(store)) == 1
    age(store, 40)
    assert look_over(store, rules_of(store, older_than=None, keep=())).images == 3
    assert submit(wanted, address="in-process").message.startswith("nothing to render")
    assert look_over(store, rules_of(store, older_than=None, keep=())).images == 0, "somebody wants it again"


@pytest.fixture
def old(tmp_path: Path) -> LocalStore:
    """A store with one job, which ended a year ago and says nothing of retention."""
    store = LocalStore(str(tmp_path / "out"))
    make_job(store)
    age(store, 365)
    return store


def test_what_is_free_costs_nothing_and_what_is_not_is_told_a_month(
    old: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The price is the table's, for the bytes that may go."""
    rules = rules_of(old, older_than="90d", keep=())
    assert look_over(old, rules).usd_per_month == 0
    rates = storage_rates("s3://acme/renders", {})
    monkeypatch.setattr("jobs.gc.storage_rates", lambda _uri, _environ: rates)
    plan = look_over(old, rules)
    size = sum(info.size_bytes for info in old.list("images/"))
    assert plan.bytes == size
    assert plan.usd_per_month == (size * Decimal("0.023") / 2**30).quantize(Decimal("1e-9"))
    assert re.search(r"\$0\.0000\d+ a month \(S3 Standard, us-east-1, 2026-11\)", plan_text(plan))


@pytest.mark.parametrize(
    ("options", "images"), [([], 0), (["--older-than", "90d"], 3), (["--older-than", "90d", "--keep", "demo"], 0)]
)
def test_one_json_document_is_printed(
    old: LocalStore, capsys: pytest.CaptureFixture[str], options: list[str], images: int
) -> None:
    """Also where nothing may go; and nothing is written."""
    before = {info.key: info.etag for info in old.list("")}
    assert run(["gc", "--store", old.uri, "--json", *options]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["images"], said["removed"]) == (images, None)
    assert {info.key: info.etag for info in old.list("")} == before


@pytest.mark.parametrize("text", ["10m", "soon", "-1d"])
def test_age_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    """Nothing is younger than an hour and old."""
    with pytest.raises(JobFileError, match="--older-than: must be"):
        rules_of(LocalStore(str(tmp_path)), older_than=text, keep=())


def test_job_that_is_to_be_kept_must_be_there(tmp_path: Path) -> None:
    """A slip of the keyboard must not cost images."""
    with pytest.raises(JobRefusedError, match="holds no job"):
        rules_of(LocalStore(str(tmp_path)), older_than="90d", keep=["demo"])


def test_files_of_a_model_go_when_no_manifest_names_them(tmp_path: Path) -> None:
    """A model in the store keeps its files; taken out they go, but none that is a day old at most, and none shared."""
    store = LocalStore(str(tmp_path / "out"))
    shared = {"model_index.json": b"{}"}
    kept = put_weights(store, shared | {"a.txt": b"kept"}, name="kept")
    gone = put_weights(store, shared | {"a.txt": b"gone"}, name="gone")
    age(store, 2)
    rules = rules_of(store, older_than=None, keep=())
    assert not clean_up(store, rules, clock=Impatient()).leftovers
    store.delete(gone.key)
    young = put_weights(store, shared | {"a.txt": b"young"}, name="young")
    store.delete(young.key)
    done = clean_up(store, rules, clock=Impatient())
    assert done.leftovers["weights"].objects == 1
    there = {info.key for info in store.list("models/")}
    assert there == {kept.key, *(file.key for file in (*kept.files, *young.files))}
    assert "files of models" in plan_text(done)
