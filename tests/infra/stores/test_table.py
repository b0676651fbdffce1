"""A URI becomes a store, or an error that says what to write instead."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.stores import STORES, open_store
from infra.stores.s3_client import S3Access
from pipeline.errors import StoreRefusedError


@pytest.mark.parametrize("name", ["out", "./out", "x/../out", "out/"])
def test_relative_paths_become_absolute(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store's URI means the same after the working folder changed."""
    monkeypatch.chdir(tmp_path)
    assert open_store(name).uri == str(tmp_path / "out")


def test_file_uri_and_path_are_the_same_store(tmp_path: Path) -> None:
    """`file://` percent-decodes and needs an absolute path."""
    open_store(f"file://{tmp_path}/my%20store").put("k", b"x")
    assert open_store(str(tmp_path / "my store")).get("k") == b"x"


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job file has no shell to expand `~`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_store("~/renders").uri == str(tmp_path / "renders")


def test_a_memory_store_is_found_again_by_name() -> None:
    """Within a process, one name is one store."""
    open_store("memory:table-test").put("k", b"x")
    assert open_store("memory:table-test").get("k") == b"x"
    assert open_store("memory:table-test-2").head("k") is None


def test_s3_uri_keeps_bucket_and_prefix() -> None:
    """Slashes at the end do not matter."""
    assert open_store("s3://acme-renders/a/b/").uri == "s3://acme-renders/a/b"
    assert open_store("S3://acme-renders").uri == "s3://acme-renders"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "  ",
        "a\0b",
        "s3:bucket/prefix",
        "s3://",
        "s3:///prefix",
        "s3://b",
        "s3://buc ket/x",
        "s3://bucket/a//b",
        "s3://bucket/../b",
        "gs://bucket/prefix",
        "https://bucket.s3.amazonaws.com/x",
        "file://host/folder",
        "file://",
        "file:folder",
    ],
)
def test_what_is_no_store_is_refused_with_the_remedy(uri: str) -> None:
    """The message says what to give instead."""
    with pytest.raises(StoreRefusedError, match=r"give |three slashes"):
        open_store(uri)


@pytest.mark.parametrize("uri", ["s3://AKIAX:hunter2@bucket/prefix", "https://user:hunter2@host/bucket?sig=hunter2"])
def test_credentials_in_a_uri_are_refused_and_not_repeated(uri: str) -> None:
    """Neither message nor cause shows them."""
    with pytest.raises(StoreRefusedError) as caught:
        open_store(uri)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_is_no_store(tmp_path: Path) -> None:
    """A manifest given as the store is told at once."""
    (tmp_path / "prompts.jsonl").write_text("{}")
    with pytest.raises(StoreRefusedError, match="is a file"):
        open_store(str(tmp_path / "prompts.jsonl"))


def test_opening_writes_nothing(tmp_path: Path) -> None:
    """A store that is only looked at leaves no trace."""
    store = open_store(str(tmp_path / "new"))
    assert list(store.list("")) == []
    assert store.head("k") is None
    store.delete("k")
    assert not (tmp_path / "new").exists()


def test_endpoint_and_region_come_from_the_standard_variables() -> None:
    """The service's own endpoint variable goes before the general one."""
    environment = {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://b:2", "AWS_REGION": "eu-west-1"}
    access = S3Access.from_environment(environment)
    assert (access.endpoint_url, access.region) == ("http://b:2", "eu-west-1")
    ignoring = S3Access.from_environment(environment | {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"})
    assert ignoring.endpoint_url == ""


@pytest.mark.parametrize("url", ["http://user:hunter2@minio:9000", "minio:9000", "ftp://minio"])
def test_a_bad_endpoint_is_refused(url: str) -> None:
    """Credentials in the endpoint would end up in messages; a URL needs its scheme."""
    with pytest.raises(StoreRefusedError, match="AWS_") as caught:
        S3Access.from_environment({"AWS_ENDPOINT_URL": url})
    assert "hunter2" not in str(caught.value)


def test_no_secret_shows_in_reprs() -> None:
    """Credentials handed in do not show when an object is printed."""
    access = S3Access(access_key="AKIAX", secret_key="hunter2", session_token="hunter3")
    assert "hunter" not in repr(access)
    assert "AKIAX" not in repr(access)


def test_every_row_of_the_table_opens(tmp_path: Path) -> None:
    """Each scheme's class is there and opens a URI of its own."""
    uris = {"file": str(tmp_path), "memory": "memory:row", "s3": "s3://bucket/row"}
    assert {scheme: open_store(uris[scheme]).uri for scheme in STORES} == uris


def test_boto3_is_imported_only_for_s3(tmp_path: Path) -> None:
    """A job in a folder does not pay for the import."""
    program = (
        "import sys; from infra.stores import open_store; open_store(sys.argv[1]); assert 'boto3' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)
