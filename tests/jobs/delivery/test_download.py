"""Download: the images under the user's own names, whole, and nothing twice."""

import csv
from pathlib import Path

import pytest

from infra.stores.local import LocalStore
from infra.stores.memory import MemoryStore
from jobs.delivery.download import download
from jobs.delivery.handing_over import Order
from jobs.delivery.selection import Selection
from pipeline.errors import JobFileError, JobRefusedError, UserError
from pipeline.layout import requests_key
from tests.jobs.made_job import make_job


class CountingStore(MemoryStore):
    """Counts the images that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.images = 0

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        self.images += key.startswith("images/")
        return super().get(key)


def index_rows(folder: Path) -> list[dict[str, str]]:
    """What index.csv says."""
    with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> set[str]:
    """The images in a folder; nothing else may be there but the index."""
    return {path.name for path in folder.iterdir()} - {"index.csv", "index.parquet"}


@pytest.mark.parametrize("parts", [1, 2])
def test_images_arrive_under_their_custom_ids(tmp_path: Path, parts: int) -> None:
    """Every image is there with its own bytes, however many requests files there are, and the index tells them."""
    store = MemoryStore()
    job, images = make_job(store, ("cat", "dog", None, "a/b", "e"), files=parts)
    result = download(store, job, folder=tmp_path)
    assert (result.fetched, result.kept, result.bad, result.not_there) == (5, 0, (), 0)
    assert files(tmp_path) == {"cat.png", "dog.png", "000002.png", "a_b.png", "e.png"}
    assert (tmp_path / "cat.png").read_bytes() == images[0].body
    rows = index_rows(tmp_path)
    assert [row["custom_id"] for row in rows] == ["cat", "dog", "", "a/b", "e"]
    assert rows[1] | {"sha256": ""} == {
        "custom_id": "dog",
        "prompt": "picture 1",
        "seed": "1",
        "key": images[1].key,
        "name": "dog.png",
        "bytes": str(len(images[1].body)),
        "sha256": "",
        "usd": "0.000000000",
        "tags": "{}",
        "outcome": "rendered",
    }


def test_second_download_fetches_nothing(tmp_path: Path) -> None:
    """What is there and sound stays as it is."""
    store = CountingStore()
    job, _ = make_job(store)
    download(store, job, folder=tmp_path)
    again = download(store, job, folder=tmp_path)
    assert (again.fetched, again.kept, store.images) == (0, 3, 3)
    assert len(index_rows(tmp_path)) == 3


def test_damaged_file_is_fetched_again(tmp_path: Path) -> None:
    """A file of the right size with other bytes is not taken for the image."""
    store = MemoryStore()
    job, images = make_job(store)
    download(store, job, folder=tmp_path)
    (tmp_path / "dog.png").write_bytes(b"x" * len(images[1].body))
    (tmp_path / "sun.png").write_bytes(b"")
    assert download(store, job, folder=tmp_path).fetched == 2
    assert (tmp_path / "dog.png").read_bytes() == images[1].body


def test_image_that_is_damaged_in_the_store_never_becomes_a_file(tmp_path: Path) -> None:
    """Bad and missing objects are named, the others arrive."""
    store = MemoryStore()
    job, images = make_job(store)
    store.put(images[0].key, b"broken")
    store.delete(images[1].key)
    result = download(store, job, folder=tmp_path)
    assert files(tmp_path) == {"sun.png"}
    assert result.bad == (
        f"cat.png: {images[0].key} is damaged in the store",
        f"dog.png: {images[1].key} is missing in the store",
    )


def test_images_that_failed_or_are_to_come_are_counted(tmp_path: Path) -> None:
    """What there is of a job can be had while it runs."""
    store = MemoryStore()
    job, _ = make_job(store, ("a", "b", "c", "d"), failed=("b",), missing=("c", "d"))
    result = download(store, job, folder=tmp_path)
    assert (result.fetched, result.not_there) == (1, 3)
    assert files(tmp_path) == {"a.png"}


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (Selection(patterns=("cat-*",)), {"cat-1.png", "cat-2.png"}),
        (Selection(patterns=("cat-1", "d?g")), {"cat-1.png", "dog.png"}),
        (Selection(patterns=("000003",)), {"000003.png"}),
        (Selection(limit=2), {"cat-1.png", "cat-2.png"}),
        (Selection(outcome="reused"), set()),
        (Selection(outcome="rendered", patterns=("*",), limit=1), {"cat-1.png"}),
    ],
)
def test_any_subset_can_be_fetched(tmp_path: Path, selection: Selection, names: set[str]) -> None:
    """By custom id, by outcome, by number."""
    store = MemoryStore()
    job, _ = make_job(store, ("cat-1", "cat-2", "dog", None))
    download(store, job, folder=tmp_path, order=Order(selection=selection))
    assert files(tmp_path) == names


def test_index_keeps_what_an_earlier_subset_brought(tmp_path: Path) -> None:
    """Two subsets into one folder give one index of both."""
    store = MemoryStore()
    job, _ = make_job(store)
    download(store, job, folder=tmp_path, order=Order(selection=Selection(patterns=("cat",))))
    download(store, job, folder=tmp_path, order=Order(selection=Selection(patterns=("sun",))))
    assert {row["name"] for row in index_rows(tmp_path)} == {"cat.png", "sun.png"}


def test_interrupted_download_leaves_whole_files_and_goes_on(tmp_path: Path) -> None:
    """Ctrl-C in the middle leaves no half file, and an index of what is there."""
    store = CountingStore()
    job, _ = make_job(store, [f"id{number}" for number in range(100)])

    def interrupt(done: int, _total: int | None) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(store, job, folder=tmp_path, on_progress=interrupt)
    assert len(index_rows(tmp_path)) == 3
    assert not [name for name in files(tmp_path) if name.endswith(".part")]
    download(store, job, folder=tmp_path)
    assert store.images == 100
    assert len(files(tmp_path)) == 100


def test_folder_inside_the_store_is_refused(tmp_path: Path) -> None:
    """Nothing but a job's own objects is written into a store."""
    store = LocalStore(str(tmp_path / "store"))
    job, _ = make_job(store)
    with pytest.raises(UserError, match="lies inside the store"):
        download(store, job, folder=tmp_path / "store" / "images" / "mine")


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """An error of the disk becomes a sentence with a remedy."""
    store = MemoryStore()
    job, _ = make_job(store)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="choose another --to"):
        download(store, job, folder=tmp_path / "file")


def test_unknown_outcome_is_refused(tmp_path: Path) -> None:
    """Only images that exist can be asked for."""
    store = MemoryStore()
    job, _ = make_job(store)
    with pytest.raises(JobFileError, match="--state: must be rendered or reused"):
        download(store, job, folder=tmp_path, order=Order(selection=Selection(outcome="failed")))


def test_job_without_its_requests_is_refused(tmp_path: Path) -> None:
    """A store that lost them says how to get them back."""
    store = MemoryStore()
    job, _ = make_job(store)
    store.delete(requests_key(job.id, 0))
    with pytest.raises(JobRefusedError, match="submit it again"):
        download(store, job, folder=tmp_path)
