"""Several writers at once: exactly one wins."""

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from infra.stores.local import LocalStore
from pipeline.errors import AlreadyExistsError
from pipeline.ports import Store

THREADS = 8


def test_racing_creates_have_one_winner_each(honest_store: Store) -> None:
    """Eight threads create the same keys: each key has one winner, and holds the winner's bytes."""
    keys = [f"jobs/j/records/{n}" for n in range(20)]
    start = Barrier(THREADS)

    def create(thread: int) -> list[str]:
        won = []
        start.wait()
        for key in keys:
            try:
                honest_store.put(key, f"{thread}".encode(), mode="create")
            except AlreadyExistsError:
                continue
            won.append(key)
        return won

    with ThreadPoolExecutor(THREADS) as pool:
        wins = list(pool.map(create, range(THREADS)))
    assert sorted(key for won in wins for key in won) == sorted(keys)
    for thread, won in enumerate(wins):
        assert {honest_store.get(key) for key in won} <= {f"{thread}".encode()}


def test_racing_swaps_lose_no_update(honest_store: Store) -> None:
    """Eight threads add to a list by compare-and-swap: all is in it, so no swap overwrote an unseen one.

    Each addition is unique: a lost answer is told from a lost race by the body alone. One that was lost, and written
    over before anybody could look, is added again, so that it may be there twice behind faults.
    """
    honest_store.put("list", b"")
    rounds = 5

    def add(thread: int) -> None:
        for number in range(rounds):
            while True:
                found = honest_store.head("list")
                assert found is not None
                held = honest_store.get("list")
                try:
                    honest_store.put("list", held + f"{thread}-{number} ".encode(), if_match=found.etag)
                except AlreadyExistsError:
                    continue
                break

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(add, range(THREADS)))
    added = {f"{thread}-{number}" for thread in range(THREADS) for number in range(rounds)}
    assert set(honest_store.get("list").decode().split()) == added


CREATE = textwrap.dedent(
    """
    import sys
    from infra.stores import open_store
    from pipeline.errors import AlreadyExistsError

    store, me = open_store(sys.argv[1]), sys.argv[2]
    sys.stdin.read(1)
    for n in range(200):
        try:
            store.put(f"jobs/j/records/{n}", me.encode(), mode="create")
        except AlreadyExistsError:
            continue
        print(n)
    """
)

CHURN = textwrap.dedent(
    """
    import sys
    from infra.stores import open_store

    store, me = open_store(sys.argv[1]), sys.argv[2]
    sys.stdin.read(1)
    for n in range(200):
        store.put_batch({f"shared/deep/folder/{me}-{n}": b"x", "shared/deep/both": me.encode() * 1000})
        store.delete(f"shared/deep/folder/{me}-{n}")
    """
)


def _run_two(program: str, root: Path) -> list[str]:
    """What two processes of this program print, started at the same moment."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, root, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("A", "B")
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("g")
        process.stdin.flush()
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return outputs


def test_two_processes_create_each_key_once(tmp_path: Path) -> None:
    """On one folder, two processes together win every key once."""
    first, second = (set(output.split()) for output in _run_two(CREATE, tmp_path))
    assert not first & second
    assert first | second == {str(n) for n in range(200)}
    store = LocalStore(str(tmp_path))
    assert {n for n in first if store.get(f"jobs/j/records/{n}") == b"A"} == first


def test_two_processes_may_make_and_empty_the_same_folders(tmp_path: Path) -> None:
    """A folder that one process removes because it is empty is made again by the other, and no object is torn."""
    _run_two(CHURN, tmp_path)
    store = LocalStore(str(tmp_path))
    assert [found.key for found in store.list("")] == ["shared/deep/both"]
    assert store.get("shared/deep/both") in {b"A" * 1000, b"B" * 1000}
