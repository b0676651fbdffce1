"""Delivery at a job's end: under the user's names, to a bucket or a folder, and only what is missing."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra.stores.local import LocalStore
from infra.stores.memory import MemoryStore
from infra.stores.s3_client import s3_client
from jobs.delivery.delivering import Delivered, deliver, deliver_at_end, is_delivered
from jobs.delivery.selection import Selection
from jobs.jobfile.deliver import place_problem
from pipeline.errors import JobFileError
from pipeline.job import JobState, Settings
from pipeline.ports import Store
from tests.infra.servers import S3Server, moto_server
from tests.jobs.made_job import make_job, status_of


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """One server for all tests here."""
    with moto_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _reachable(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment by which a place in the bucket is reached."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)


def counted(done: Delivered) -> tuple[int, int, int]:
    """(moved, there already, bad)."""
    return done.fetched, done.kept, len(done.bad)


@pytest.mark.parametrize("kind", ["the same service", "another one"])
def test_images_stand_in_the_bucket_under_their_names(
    server: S3Server, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """Copied by the service, or through this machine; the second time nothing is moved, and then only what differs."""
    place = request.node.name.replace("[", "").replace("]", "").replace(" ", "")
    source: Store = server.store(f"{place}/renders") if kind == "the same service" else LocalStore(str(tmp_path / "s"))
    job, images = make_job(source)
    wanted = {"to": server.uri(f"{place}/shop"), "names": "{prompt}/{custom_id}.{ext}", "link_seconds": 60}
    assert counted(deliver(source, job, wanted)) == (3, 0, 0)
    target = server.store(f"{place}/shop")
    names = ["picture-0/cat.png", "picture-1/dog.png", "picture-2/sun.png"]
    assert [info.key for info in target.list("")] == ["index.csv", "index.parquet", *names]
    client = s3_client(server.access, connections=1)
    found = client.head_object(Bucket=server.bucket, Key=f"{place}/shop/{names[0]}")
    assert (found["ContentType"], target.get(names[0])) == ("image/png", images[0].body)
    target.download("index.parquet", str(tmp_path / "index.parquet"))
    rows = pq.read_table(tmp_path / "index.parquet").to_pylist()
    assert [row["name"] for row in rows] == names
    with urllib.request.urlopen(rows[0]["link"], timeout=30) as answer:  # noqa: S310 - our own server
        assert answer.read() == images[0].body

    assert counted(deliver(source, job, wanted)) == (0, 3, 0)
    target.delete(names[1])
    target.put(names[2], b"x" * len(images[2].body))
    assert counted(deliver(source, job, wanted)) == (2, 1, 0)
    assert target.get(names[2]) == images[2].body


def test_image_that_the_store_has_lost_is_named_and_the_others_arrive(server: S3Server) -> None:
    """Whoever copies."""
    source = server.store("lost/renders")
    job, images = make_job(source)
    source.delete(images[1].key)
    done = deliver(source, job, {"to": server.uri("lost/shop")})
    assert (counted(done), done.bad[0][:8]) == ((2, 0, 1), "dog.png:")


def test_delivery_to_a_folder_can_be_stopped_and_goes_on(tmp_path: Path) -> None:
    """What arrived is whole and in the index; the rest comes with the next call."""
    store = MemoryStore()
    job, _ = make_job(store)
    answers = iter([False, True])
    wanted = {"to": str(tmp_path / "shop"), "names": ""}
    done = deliver(store, job, wanted, stop=lambda: next(answers))
    assert (done.stopped, done.fetched) == (True, 1)
    done = deliver(store, job, wanted)
    assert (done.stopped, counted(done)) == (False, (2, 1, 0))
    assert pq.read_table(tmp_path / "shop" / "index.parquet").num_rows == 3


@pytest.mark.parametrize(
    ("store", "to"),
    [
        ("s3://a/renders", "s3://a/renders"),
        ("s3://a/renders", "s3://a/renders/shop"),
        ("s3://a/renders", "s3://a"),
        ("/data/store", "/data/store/shop"),
        ("/data/store", "/data/store/../store"),
        ("/data/store", "/data"),
        ("/data/store", "gs://a/b"),
        ("/data/store", "s3://"),
    ],
)
def test_nothing_is_delivered_into_the_store_or_around_it(store: str, to: str) -> None:
    """A name could take the place of the store's own objects."""
    assert place_problem(store, to)


@pytest.mark.parametrize(
    ("store", "to"),
    [("s3://a/renders", "s3://a/renders-shop"), ("s3://a", "s3://b"), ("/data/store", "/data/shop")],
)
def test_places_beside_the_store_will_do(store: str, to: str) -> None:
    """Another bucket, prefix or folder."""
    assert not place_problem(store, to)


def test_failed_delivery_is_told_with_its_remedy_and_harms_nothing(tmp_path: Path) -> None:
    """The job stays what it is; the same delivery works once the cause is mended, and is then remembered."""
    store = MemoryStore()
    job, _ = make_job(store)
    status = status_of(job, total=3, rendered=3)
    (tmp_path / "shop").write_text("in the way")
    settings = Settings(nodes=(), deliver={"to": str(tmp_path / "shop"), "names": "", "link_seconds": None})
    said: list[str] = []
    assert deliver_at_end(store, job, settings, status, say=said.append) is None
    assert "not delivered whole" in said[-1]
    assert f"`spotrender deliver {job.id}" in said[-1]
    assert not is_delivered(store, job, settings.deliver or {})
    (tmp_path / "shop").unlink()
    done = deliver_at_end(store, job, settings, status, say=said.append)
    assert done is not None
    assert counted(done) == (3, 0, 0)
    assert is_delivered(store, job, settings.deliver or {})


def test_job_that_has_not_ended_is_not_delivered(tmp_path: Path) -> None:
    """Nor one that is to be delivered nowhere."""
    store = MemoryStore()
    job, _ = make_job(store)
    stopped = status_of(job, total=3, rendered=3, state=JobState.STOPPED)
    settings = Settings(nodes=(), deliver={"to": str(tmp_path / "shop")})
    assert deliver_at_end(store, job, settings, stopped, say=lambda _text: None) is None
    done = status_of(job, total=3, rendered=3)
    assert deliver_at_end(store, job, Settings(nodes=()), done, say=lambda _text: None) is None
    assert not (tmp_path / "shop").exists()


def test_names_with_a_tag_that_no_row_has_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    """A slip of the keyboard would put all images into one folder."""
    store = MemoryStore()
    job, _ = make_job(store)
    with pytest.raises(JobFileError, match='no row of the job has a tag "campain"'):
        deliver(store, job, {"to": str(tmp_path / "shop"), "names": "{tag:campain}/{seed}.{ext}"})
    assert not (tmp_path / "shop").exists()


def test_images_are_chosen_by_tag() -> None:
    """Of one tag any value, of several tags each."""
    from jobs.committed import Wanted

    one = Wanted(
        row=0,
        index=0,
        custom_id=None,
        image_id="",
        prompt="",
        seed=0,
        outcome="rendered",
        key="k",
        sha256="",
        bytes=1,
        tags={"campaign": "autumn", "size": "xl"},
    )
    assert Selection(tags=(("campaign", "spring"), ("campaign", "aut*"))).takes(one)
    assert not Selection(tags=(("campaign", "autumn"), ("size", "s"))).takes(one)
    assert not Selection(tags=(("gone", "*"),)).takes(one)
