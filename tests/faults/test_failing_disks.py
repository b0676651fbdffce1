"""Disks that are full, read-only or somebody else's: which of them work waits for, and which stop it."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.faults.small_disk import run_on_small_disk, way_to_mount

FULL = """
    import os, sys
    from infra.stores.local import LocalStore
    from pipeline.errors import StoreUnavailableError

    disk = sys.argv[1]
    store = LocalStore(disk + "/store")
    store.put("first", b"1" * 4096)
    with open(disk + "/ballast", "wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"0" * 4096)
        except OSError:
            pass
    calls = {
        "create": lambda: store.put("k/create", b"x" * 20_000, mode="create"),
        "overwrite": lambda: store.put("first", b"2" * 20_000),
        "batch": lambda: store.put_batch({f"k/{n}": b"x" * 20_000 for n in range(4)}),
        "upload": lambda: store.upload("k/upload", sys.executable),
    }
    for name, call in calls.items():
        try:
            call()
        except StoreUnavailableError as error:
            assert "the disk is full: free some space" in str(error), error
            print(name)
    assert store.get("first") == b"1" * 4096
    assert [found.key for found in store.list("")] == ["first"]
    os.unlink(disk + "/ballast")
    assert not [entry for entry in os.scandir(disk + "/store") if entry.is_dir() and any(os.scandir(entry))]
    calls["create"](), calls["overwrite"](), calls["batch"]()
    assert len(list(store.list(""))) == 6
"""

READ_ONLY = """
    import subprocess, sys
    from infra.stores.local import LocalStore
    from pipeline.errors import StoreRefusedError

    disk = sys.argv[1]
    store = LocalStore(disk + "/store")
    store.put("first", b"1")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    calls = {
        "create": lambda: store.put("k", b"x", mode="create"),
        "overwrite": lambda: store.put("first", b"2"),
        "batch": lambda: store.put_batch({"k": b"x", "l": b"x"}),
        "delete": lambda: store.delete("first"),
    }
    for name, call in calls.items():
        try:
            call()
        except StoreRefusedError as error:
            assert "it is read-only: mount it writable" in str(error), error
            print(name)
    assert store.get("first") == b"1"
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    store.put("first", b"2")
"""

JOB = """
    import os, sys
    from pathlib import Path
    from infra.stores.local import LocalStore
    from tests.faults.submitted_job import check_each_image_once, small_job

    disk = Path(sys.argv[1])
    job = small_job(disk, str(disk / "store"), images=60, side=64, seconds_per_batch=0.3)
    ballast = disk / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"0" * 4096)
            except OSError:
                pass

    said = set()

    def watch(status) -> None:
        if status.rendered_now >= 8 and not said:
            said.add("full")
            fill()
        if "the disk is full" in status.message and ballast.exists():
            said.add("waiting for the store" if "waiting for the store" in status.message else "")
            ballast.unlink()

    result = job.submit(watch)
    assert "waiting for the store" in said, said
    check_each_image_once(LocalStore(str(disk / "store")), result, 60)
    print(result.state.value)
"""

DENIED = """
    import os, sys
    from infra.stores.local import LocalStore
    from pipeline.errors import NotFoundError, StoreRefusedError

    root = sys.argv[1]
    store = LocalStore(root + "/store")
    store.put("mine/k", b"1")
    os.chmod(root + "/store/mine/k", 0o200)
    for folder in (root + "/store/mine", root + "/store"):
        os.chmod(folder, 0o555)
    if os.geteuid() == 0:
        for folder in (root, os.path.dirname(root), os.path.dirname(os.path.dirname(root))):
            os.chmod(folder, 0o755)
        os.seteuid(65534)
    calls = {
        "create": lambda: store.put("mine/l", b"x", mode="create"),
        "overwrite": lambda: store.put("mine/k", b"2"),
        "new folder": lambda: store.put("other/k", b"2"),
        "batch": lambda: store.put_batch({"mine/a": b"x", "mine/b": b"x"}),
        "get": lambda: store.get("mine/k"),
    }
    for name, call in calls.items():
        try:
            call()
        except StoreRefusedError as error:
            assert "permission denied: give this user the right" in str(error), error
            print(name)
"""


def test_a_place_that_is_somebody_elses_is_the_users_to_mend(tmp_path: Path) -> None:
    """Permission denied: reading and writing name place and remedy, and nothing is written."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    command = [sys.executable, "-c", textwrap.dedent(DENIED), str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ})
    assert done.stdout.split("\n")[:-1] == ["create", "overwrite", "new folder", "batch", "get"]
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["k"]


if way_to_mount() is not None:  # defined only where this machine lets somebody mount: CI's and most others do

    def test_a_full_disk_is_waited_for_and_leaves_nothing_torn(tmp_path: Path) -> None:
        """A real file system without space: all puts say so, what was there stays, and freed space is used."""
        assert run_on_small_disk(tmp_path, FULL, kibibytes=256).split() == ["create", "overwrite", "batch", "upload"]

    def test_a_disk_that_turned_read_only_is_the_users_to_mend(tmp_path: Path) -> None:
        """As after an error of the disk: reading goes on, writing says what to do."""
        printed = run_on_small_disk(tmp_path, READ_ONLY, kibibytes=256).split()
        assert printed == ["create", "overwrite", "batch", "delete"]

    def test_a_job_waits_for_space_and_ends_with_every_image_once(tmp_path: Path) -> None:
        """The disk fills up in the middle; the job says so, and goes on by itself once there is space."""
        assert run_on_small_disk(tmp_path, JOB, kibibytes=4096).split() == ["SUCCEEDED"]
