"""A store as others read it: with boto3 and pyarrow alone, by the layout and the columns that are promised."""

import hashlib
import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow.parquet as pq

from tests.infra.servers import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CATEGORIES = (
    "rendering",
    "startup",
    "lost_to_preemption",
    "lost_to_failure",
    "duplicate",
    "idle",
    "unattributed",
)


class OutsideView:
    """A store with one job in it.

    Args:
        server: where it lies.
        prefix: of the store in the bucket.
    """

    def __init__(self, server: S3Server, prefix: str) -> None:
        self._client: S3Client = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name=server.region,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
        )
        self._bucket, self._prefix = server.bucket, prefix

    def keys(self, under: str) -> list[str]:
        """All keys of the store that begin so, in order."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._prefix}/{under}"
        )
        return [found["Key"].removeprefix(f"{self._prefix}/") for page in pages for found in page.get("Contents", [])]

    def get(self, key: str) -> bytes:
        """One object."""
        return self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{key}")["Body"].read()

    def job(self) -> str:
        """The id of the only job; empty while there is none."""
        found = [key.split("/")[1] for key in self.keys("jobs/") if key.endswith("/job.json")]
        assert len(found) <= 1
        return found[0] if found else ""

    def drivers(self) -> int:
        """How many drivers have begun."""
        return sum(key.split("/")[2] == "status" for key in self.keys("jobs/"))

    def status(self) -> Any:
        """What the last driver said last."""
        return json.loads(self.get(max(key for key in self.keys("jobs/") if key.split("/")[2] == "status")))

    def statuses(self) -> list[Any]:
        """What each driver said last."""
        return [json.loads(self.get(key)) for key in self.keys("jobs/") if key.split("/")[2] == "status"]

    def record_keys(self) -> list[str]:
        """Of all records."""
        return [key for key in self.keys("jobs/") if key.split("/")[2] == "records"]

    def records(self) -> list[Any]:
        """All records."""
        return [json.loads(self.get(key)) for key in self.record_keys()]

    def rows(self, under: str) -> list[dict[str, Any]]:
        """The rows of all Parquet files whose key begins so."""
        return [row for key in self.keys(under) for row in self._parquet(key)]

    def requests(self) -> list[dict[str, Any]]:
        """A row for each manifest row and image."""
        return self.rows(f"jobs/{self.job()}/requests/")

    def images_ledger(self) -> list[dict[str, Any]]:
        """All rows of the images ledger."""
        return self.rows("ledger/images/")

    def nodes_ledger(self) -> list[dict[str, Any]]:
        """All rows of the node sessions' ledger."""
        return self.rows("ledger/nodes/")

    def damaged(self, images: Iterator[dict[str, Any]]) -> list[str]:
        """Keys of images whose object has not the size and the sha256 that a record tells."""
        bad = []
        for image in images:
            body = self.get(image["key"])
            if (len(body), hashlib.sha256(body).hexdigest()) != (image["bytes"], image["sha256"]):
                bad.append(image["key"])
        return bad

    def _parquet(self, key: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(self.get(key))).to_pylist()
        return rows
