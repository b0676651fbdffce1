"""The commands against a real S3 server: manifest, job, images and probe lie there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.cli import run
from jobs.wiring import open_manifest
from pipeline.errors import JobFileError
from tests.infra.servers import S3Server, moto_server
from tests.jobs.made_job import make_job


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """One server for all tests here."""
    with moto_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _reachable(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment by which `open_store` reaches the server."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)


def test_manifest_on_s3_is_read_like_a_file(server: S3Server) -> None:
    """It is fetched whole before it is read, and messages name its URI."""
    server.store("prompts").put("autumn.txt", b"a cat\n")
    server.store().put("top.txt", b"a dog\n")
    with open_manifest(server.uri("prompts/autumn.txt")) as (stream, name):
        assert (stream.read(), name) == (b"a cat\n", server.uri("prompts/autumn.txt"))
    with open_manifest(server.uri("top.txt")) as (stream, _):
        assert (stream.read(), stream.seek(0)) == (b"a dog\n", 0)


@pytest.mark.parametrize("missing", ["prompts/none.txt", "prompts/", ""])
def test_manifest_that_is_not_on_s3_is_refused(server: S3Server, missing: str) -> None:
    """No object, a folder, a bucket."""
    with (
        pytest.raises(JobFileError, match=r"there is no such object|must name an object"),
        open_manifest(server.uri(missing)),
    ):
        pass


def test_commands_work_on_s3(server: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """List, download, verify and doctor, with the store's credentials never shown."""
    make_job(server.store("renders"))
    store = server.uri("renders")
    assert run(["list", "--store", store]) == 0
    assert run(["download", "demo", "--store", store, "--to", str(tmp_path)]) == 0
    assert run(["verify", "demo", "--store", store]) == 0
    assert run(["doctor", "--store", store, "--json"]) == 0
    told = capsys.readouterr()
    assert server.secret_key not in told.out + told.err
    assert (tmp_path / "cat.png").is_file()
    document = json.loads(told.out[told.out.index("{\n") :])
    assert {check["name"]: check["level"] for check in document["checks"]}["store"] == "ok"
