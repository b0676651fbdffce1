"""A node's cache: fetched once, shared, taken over from the dead, never trusted blindly, never too large."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.model_cache.cache import ModelCache
from infra.model_cache.filling import Filling
from infra.model_cache.place import CachePlace, cache_place
from infra.stores.local import LocalStore
from infra.stores.memory import MemoryStore
from infra.stores.retry import RetryPolicy
from pipeline.errors import ModelUnavailableError, StoreUnavailableError
from pipeline.ports import Ranged
from pipeline.weights import PART_BYTES, Weights
from tests.imports import ROOT
from tests.pipeline.made_weights import make_weights, put_weights

LARGE = bytes(range(256)) * (PART_BYTES // 256) * 2 + b"and a rest"
FILES = {"model_index.json": b"{}", "unet/model.safetensors": LARGE, "tokenizer/empty.txt": b""}


class Counting(MemoryStore):
    """A store that notes which parts are read, and does something before each."""

    def __init__(self, before: Callable[[int], None] = lambda _count: None) -> None:
        super().__init__()
        self.read: list[tuple[str, int]] = []
        self._before = before

    def read_part(self, key: str, start: int, buffer: memoryview) -> None:
        self._before(len(self.read))
        super().read_part(key, start, buffer)
        self.read.append((key, start))


def cache(folder: Path, *, limit: int | None = None, boot: str = "today", threads: int = 2) -> ModelCache:
    """A cache in this folder whose machine was started once and not again."""

    def filling(files: Path, marks: Path, store: Ranged) -> Filling:
        patience = RetryPolicy(attempts=2, sleep=lambda _seconds: None)
        return Filling(files, marks, store, threads=threads, patience=patience)

    return ModelCache(CachePlace(folder=folder, limit_bytes=limit), filling=filling, boot=lambda: boot)


def held_files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_model_is_fetched_once_and_read_by_all(tmp_path: Path) -> None:
    """The first worker fetches exactly the store's bytes, the second gets the same files and asks for nothing."""
    store = Counting()
    weights = put_weights(store, FILES)
    first = cache(tmp_path / "cache").hold(weights, store)
    assert held_files(first.folder) == FILES
    assert first.fetched_bytes == weights.bytes
    read = len(store.read)
    second = cache(tmp_path / "cache").hold(weights, store)
    assert (second.folder, second.fetched_bytes, len(store.read)) == (first.folder, 0, read)


def test_a_second_worker_waits_for_the_first(tmp_path: Path) -> None:
    """While one fetches, another one that wants the model stands at its lock, and then has it without fetching."""
    asked, go_on = threading.Event(), threading.Event()

    def wait(count: int) -> None:
        asked.set()
        assert go_on.wait(60)

    store = Counting(wait)
    weights = put_weights(store, FILES)
    fetched: list[int] = []

    def work() -> None:
        fetched.append(cache(tmp_path / "cache").hold(weights, store).fetched_bytes)

    workers = [threading.Thread(target=work) for _ in range(3)]
    workers[0].start()
    assert asked.wait(60)
    for worker in workers[1:]:
        worker.start()
    assert not fetched
    go_on.set()
    for worker in workers:
        worker.join()
    assert sorted(fetched) == [0, 0, weights.bytes]


DYING = """
import os, sys
from pathlib import Path
from infra.stores.local import LocalStore
from pipeline.pushed_models import read_weights
from tests.infra.model_cache.test_cache import cache

class Dying(LocalStore):
    read = 0
    def read_part(self, key, start, buffer):
        if self.read == 2:
            os.kill(os.getpid(), 9)
        super().read_part(key, start, buffer)
        self.read += 1

store = Dying(sys.argv[1])
cache(Path(sys.argv[2]), threads=1).hold(read_weights(store, sys.argv[3]), store)
"""


def test_a_worker_that_dies_while_it_fetches_is_taken_over(tmp_path: Path) -> None:
    """SIGKILL in the middle: nothing is published, the lock is free, and only what is missing is fetched."""
    disk = LocalStore(str(tmp_path / "store"))
    weights = put_weights(disk, FILES)
    died = subprocess.run(
        [sys.executable, "-c", DYING, disk.uri, str(tmp_path / "cache"), weights.key],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert died.returncode == -9
    assert not (tmp_path / "cache" / weights.content).exists()
    held = cache(tmp_path / "cache").hold(weights, disk)
    assert held_files(held.folder) == FILES
    assert 0 < held.fetched_bytes < weights.bytes


def test_what_a_restart_may_have_lost_is_looked_at(tmp_path: Path) -> None:
    """After the machine was started again each part is hashed, and only the damaged one is fetched."""
    store = Counting()
    weights = put_weights(store, FILES)
    held = cache(tmp_path).hold(weights, store)
    held.close()
    with (held.folder / "unet/model.safetensors").open("r+b") as file:
        file.seek(PART_BYTES + 5)
        file.write(b"lost")
    store.read.clear()
    again = cache(tmp_path, boot="tomorrow").hold(weights, store)
    assert held_files(again.folder) == FILES
    assert [start for _, start in store.read] == [PART_BYTES]
    assert cache(tmp_path, boot="tomorrow").hold(weights, store).fetched_bytes == 0


def test_damaged_or_missing_files_of_the_store_are_never_loaded(tmp_path: Path) -> None:
    """Other bytes than were pushed, or none: one line that says what to do, and nothing under the model's name."""
    store = MemoryStore()
    weights = put_weights(store, FILES)
    key = next(file.key for file in weights.files if file.bytes > 100)
    store.put(key, LARGE[:-1] + b"!")
    with pytest.raises(ModelUnavailableError, match=r"damaged in the store.*push the model again"):
        cache(tmp_path).hold(weights, store)
    store.delete(key)
    with pytest.raises(ModelUnavailableError, match="push the model again"):
        cache(tmp_path).hold(weights, store)
    assert not (tmp_path / weights.content).exists()
    store.put(key, LARGE)
    assert held_files(cache(tmp_path).hold(weights, store).folder) == FILES


def test_a_silent_store_is_asked_again_and_then_told(tmp_path: Path) -> None:
    """An outage that ends is none; one that stays is the store's, not the model's."""

    def fail(count: int) -> None:
        if not answers:
            answers.append(count)
            raise StoreUnavailableError("no answer")

    answers: list[int] = []
    store = Counting(fail)
    weights = put_weights(store, FILES)
    assert held_files(cache(tmp_path / "one", threads=1).hold(weights, store).folder) == FILES

    def fail_always(count: int) -> None:
        raise StoreUnavailableError("no answer")

    store = Counting(fail_always)
    weights = put_weights(store, FILES)
    with pytest.raises(StoreUnavailableError):
        cache(tmp_path / "two").hold(weights, store)


def test_what_was_used_longest_ago_makes_room_and_what_is_used_stays(tmp_path: Path) -> None:
    """The limit holds; a model in use is not touched, however long ago it was begun to be used."""
    store = MemoryStore()
    models = [put_weights(store, {"a.txt": bytes([n]) * 100_000}, name=f"m{n}") for n in range(4)]
    room = cache(tmp_path, limit=350_000)
    in_use = room.hold(models[0], store)
    for weights in models[1:3]:
        room.hold(weights, store).close()
    for age, weights in enumerate(models[:3]):
        os.utime(tmp_path / f"{weights.content}.lock", (1_000 + age, 1_000 + age))
    room.hold(models[3], store).close()
    there = [(tmp_path / weights.content).is_dir() for weights in models]
    assert there == [True, False, True, True]
    assert in_use.folder.is_dir()


def test_no_room_is_one_clear_error(tmp_path: Path) -> None:
    """Too large for the limit, beside what is in use, or for the disk: how much is needed, and what to set."""
    store = MemoryStore()
    large = put_weights(store, {"a.txt": b"a" * 100_000}, name="large")
    with pytest.raises(ModelUnavailableError, match=r"SPOTRENDER_MODEL_CACHE_GIB allows .* SPOTRENDER_MODEL_CACHE"):
        cache(tmp_path, limit=50_000).hold(large, store)
    huge = make_weights({"a.txt": b"a"})
    object.__setattr__(huge.files[0], "bytes", 1 << 60)
    with pytest.raises(ModelUnavailableError, match=r"no room for the model: .* are needed and .* are free"):
        cache(tmp_path).hold(huge, store)


@pytest.mark.parametrize(
    ("code", "why"), [(errno.ENOSPC, "no room for the model"), (errno.EROFS, "cannot keep models there")]
)
def test_a_disk_that_is_full_or_read_only_says_so(code: int, why: str, tmp_path: Path) -> None:
    """What the system answers becomes one line with the variable that names another disk; room made later is used."""

    class Failing(Filling):
        def allocate(self, weights: Weights) -> None:
            raise OSError(code, os.strerror(code))

    store = MemoryStore()
    weights = put_weights(store, FILES)
    failing = ModelCache(CachePlace(folder=tmp_path), filling=Failing, boot=lambda: "today")
    with pytest.raises(ModelUnavailableError, match=f"{why}.*SPOTRENDER_MODEL_CACHE"):
        failing.hold(weights, store)
    assert held_files(cache(tmp_path).hold(weights, store).folder) == FILES


def test_a_folder_that_others_can_write_to_is_not_trusted(tmp_path: Path) -> None:
    """Weights there could be anybody's; nor is a link followed, nor a file taken for a folder."""
    store = MemoryStore()
    weights = put_weights(store, FILES)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "file").write_text("")
    for name in ("open", "link", "file"):
        with pytest.raises(ModelUnavailableError, match="SPOTRENDER_MODEL_CACHE"):
            cache(tmp_path / name).hold(weights, store)


def test_the_environment_says_where_the_cache_is(tmp_path: Path) -> None:
    """A named folder and limit, else the user's cache; a limit that is none is refused."""
    named = cache_place({"SPOTRENDER_MODEL_CACHE": str(tmp_path), "SPOTRENDER_MODEL_CACHE_GIB": "1.5"})
    assert named == CachePlace(folder=tmp_path, limit_bytes=3 << 29)
    for text in ("0", "-1", "much", "nan", "inf"):
        with pytest.raises(ModelUnavailableError, match="SPOTRENDER_MODEL_CACHE_GIB"):
            cache_place({"SPOTRENDER_MODEL_CACHE_GIB": text})
