"""Least privilege: the roles that terraform made do their work, and can do nothing else, by real calls of boto3."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.compute.local_cluster import local_cluster
from infra.stores.s3 import S3Store
from infra.stores.s3_client import S3Access
from jobs.freezing import freeze
from jobs.jobfile.loading import Options, load
from jobs.submit import enter
from pipeline.probe import probe_conditional
from tests.infrastructure.applied import Applied
from tests.infrastructure.gate import Gate, gate
from tests.infrastructure.policy import allows
from tests.infrastructure.store_keys import KEYS, LAYOUT

pytestmark = pytest.mark.terraform

BUCKET, PREFIX = "acme-spotrender", "renders/"
ROLES = ("driver", "worker", "reader", "submitter")
ROWS = 6


@pytest.fixture(scope="module")
def door(applied: Applied) -> Iterator[Gate]:
    """S3 with the policies that terraform gave to the roles; every kind of key is there, also outside the store."""
    admin = applied.client("s3")
    of_bucket = admin.get_bucket_policy(Bucket=BUCKET)["Policy"]
    admin.delete_bucket_policy(Bucket=BUCKET)  # moto takes a denial under a condition for one of everything
    for key in KEYS.values():
        for folder in (PREFIX, ""):
            admin.put_object(Bucket=BUCKET, Key=folder + key, Body=b"{}")
    with gate({role: [*applied.policies(role), json.loads(of_bucket)] for role in ROLES}) as opened:
        yield opened
    admin.put_bucket_policy(Bucket=BUCKET, Policy=of_bucket)


@lru_cache(maxsize=len(ROLES))
def client(endpoint_url: str, role: str) -> Any:
    """S3 as a role sees it; made once, as that takes longer than any call."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=role,
        aws_secret_access_key="none",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
    )


def can(door: Gate, role: str, verb: str, key: str) -> bool:
    """Whether a role's call goes through."""
    s3, named = client(door.endpoint_url, role), {"Bucket": BUCKET, "Key": key}
    calls = {
        "get": lambda: s3.get_object(**named),
        "put": lambda: s3.put_object(**named, Body=b"{}"),
        "create": lambda: s3.put_object(**named, Body=b"{}", IfNoneMatch="*"),
        "delete": lambda: s3.delete_object(**named),
        "list": lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix=key),
    }
    try:
        answer = calls[verb]()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in {"AccessDenied", "PreconditionFailed"}:
            raise
        return code == "PreconditionFailed"
    if "Body" in answer:
        answer["Body"].close()
    return True


@pytest.mark.parametrize("name", LAYOUT)
def test_worker_touches_only_what_it_makes(door: Gate, name: str) -> None:
    """It puts images, creates records and cannot replace them, deletes nothing, and does not even read the ledger."""
    key = PREFIX + KEYS[name]
    may = {verb for verb in ("get", "put", "create", "delete", "list") if can(door, "worker", verb, key)}
    expected = {
        "image": {"put", "create"},
        "worker log": {"put", "create"},
        "record": {"get", "create"},
        "compiled": {"get", "put", "create"},
        "probe": {"get"},
        "model": {"get"},
        "model file": {"get"},
    }
    assert may == expected.get(name, set())


@pytest.mark.parametrize("name", LAYOUT)
def test_reader_and_submitter_write_what_is_theirs_alone(door: Gate, name: str) -> None:
    """A reader writes nothing; a submitter describes jobs and gives orders, but commits nothing and holds no lease."""
    key = PREFIX + KEYS[name]
    assert not any(can(door, "reader", verb, key) for verb in ("put", "create", "delete"))
    ordered = name in {"job", "settings", "requests", "control", "probe", "model file"}
    assert can(door, "submitter", "put", key) == ordered
    assert can(door, "submitter", "create", key) == (ordered or name == "model")
    assert can(door, "submitter", "delete", key) == (name == "probe")


@pytest.mark.parametrize("name", ["image", "record", "ledger images", "ledger nodes", "job", "lease"])
def test_driver_deletes_neither_images_nor_books(door: Gate, name: str) -> None:
    """It drives jobs; what was paid for, and what was made, outlives it."""
    assert not can(door, "driver", "delete", PREFIX + KEYS[name])


@pytest.mark.parametrize("role", ROLES)
def test_no_role_reaches_beyond_the_stores_prefix(door: Gate, role: str) -> None:
    """The same keys in another folder of the bucket are out of reach, and so is the bucket itself."""
    for name in ("image", "job", "record", "ledger images", "compiled"):
        assert not any(can(door, role, verb, key) for verb, key in _ways(KEYS[name]))
    for call in ("get_bucket_policy", "delete_bucket_policy", "get_bucket_acl"):
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(client(door.endpoint_url, role), call)(Bucket=BUCKET)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_gets_in_without_tls(door: Gate, role: str) -> None:
    """What it may over TLS it may not in the clear."""
    asked = "s3:PutObject" if role == "worker" else "s3:GetObject"
    image = f"arn:aws:s3:::{BUCKET}/{PREFIX}{KEYS['image']}"
    assert allows(door.policies[role], asked, image, {"aws:SecureTransport": "true"})
    assert not allows(door.policies[role], asked, image, {"aws:SecureTransport": "false"})


def _ways(key: str) -> list[tuple[str, str]]:
    """Every way to an object outside the store."""
    return [(verb, f"{folder}{key}") for verb in ("get", "put", "create", "delete") for folder in ("", "renders-old/")]


def test_job_runs_with_each_part_in_its_own_role(door: Gate, tmp_path: Path) -> None:
    """A submitter enters it, a driver drives it, workers of a real cluster render it, a reader reads what it cost.

    Nothing that any of them needs is refused.
    """
    manifest = tmp_path / "p.jsonl"
    manifest.write_text(
        "".join(json.dumps({"prompt": f"house {n}", "width": 64, "height": 64}) + "\n" for n in range(ROWS))
    )
    uri = f"s3://{BUCKET}/{PREFIX.rstrip('/')}"
    door.refused.clear()
    job = _entered(door, str(manifest), uri)
    arguments = ["p.jsonl", "--model", "synthetic", "--store", uri, "--workers", "1"]
    with local_cluster(environment=door.environment("worker")) as cluster:
        cluster.add()
        cluster.settle()
        driven = _spotrender(door, "driver", tmp_path, "submit", *arguments, "--address", cluster.address)
    assert (driven["job"], driven["state"], driven["rendered"]) == (job, "SUCCEEDED", ROWS)
    report = _spotrender(door, "reader", tmp_path, "report", job, "--store", uri)
    assert report["images"]["rendered"] == ROWS
    _spotrender(door, "reader", tmp_path, "download", job, "--store", uri, "--to", "images")
    assert len(list((tmp_path / "images").rglob("*.png"))) == ROWS
    assert _spotrender(door, "reader", tmp_path, "status", job, "--store", uri)["state"] == "SUCCEEDED"
    assert door.refused == []


def _entered(door: Gate, manifest: str, uri: str) -> str:
    """What `submit --detach` does before the cluster is asked to drive; gives the job's id."""
    access = S3Access(endpoint_url=door.endpoint_url, region="us-east-1", access_key="submitter", secret_key="none")
    store = S3Store(BUCKET, PREFIX.rstrip("/"), access=access)
    job_file = load(manifest, Options(model="synthetic", store=uri, workers=1))
    with freeze(job_file, environ={}, stdin=None) as frozen:
        assert probe_conditional(store)
        job, _, new = enter(store, frozen)
        assert new
        return job.id


def _spotrender(door: Gate, role: str, folder: Path, *arguments: str) -> Any:
    """The document of a command, run as a role."""
    environment: Mapping[str, str] = {**os.environ, **door.environment(role)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "jobs.console", *arguments, "--json"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, (done.stderr, door.refused)
    return json.loads(done.stdout)
