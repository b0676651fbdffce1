"""A store in a bucket of S3, or of a service that speaks S3 (MinIO, R2, Ceph, ...)."""

import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from types import MappingProxyType
from typing import Any, Final, TypeVar

from infra.stores.arriving import arriving_file
from infra.stores.keys import check_folder, check_key, check_prefix
from infra.stores.retry import RetryPolicy
from infra.stores.s3_answers import S3_ERRORS, Answer, answer_of
from infra.stores.s3_body import checked_page, fill, object_info
from infra.stores.s3_client import S3Access, S3Connection, connect
from infra.stores.s3_errors import error_of
from infra.stores.s3_links import Links
from infra.stores.s3_parts import PART_ATTEMPTS, PART_THREADS, calls_for, upload_file
from infra.stores.s3_put import one_put
from pipeline.errors import AlreadyExistsError, NotFoundError, StoreRefusedError
from pipeline.ports import ObjectInfo, PutMode
from pipeline.pricing.storage_cost import StoreCalls

_T = TypeVar("_T")

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")

_CHARGED: Final = MappingProxyType({"put": "puts", "upload": "puts", "get": "gets", "head": "gets", "list": "lists"})
"""Verb of a call -> what S3 charges it as; deleting is free."""


class S3Store:
    """Objects under `s3://bucket/prefix`.

    Nothing is asked of the network before the first call.

    Args:
        bucket: an existing bucket.
        prefix: what all keys start with, without slashes at its ends; empty for the whole bucket.
        access: endpoint, region, credentials; the standard environment when not given.
        retry: how often and how patiently transient errors are tried again.
        upload_threads: how many objects of a batch travel at a time.

    Raises:
        StoreRefusedError: the endpoint is no URL, or carries credentials.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        access: S3Access | None = None,
        retry: RetryPolicy | None = None,
        upload_threads: int = 16,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._uri = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        self._access = S3Access.from_environment() if access is None else access
        self._retry = RetryPolicy() if retry is None else retry
        self._threads = upload_threads
        self._lock = threading.Lock()
        self._connections: dict[int, S3Connection] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._counts: Counter[str] = Counter()
        self._links = Links(self._access)

    @classmethod
    def from_uri(cls, uri: str) -> "S3Store":
        """The store `s3://bucket/prefix`.

        Raises:
            StoreRefusedError: no bucket, credentials in the URI, or a prefix that no key can have.
        """
        bucket, _, prefix = uri.partition("://")[2].partition("/")
        if "@" in bucket or ":" in bucket:
            raise StoreRefusedError("an s3:// URI holds no credentials: give s3://bucket/prefix and set AWS_PROFILE")
        if not _BUCKET.fullmatch(bucket):
            raise StoreRefusedError(f"{uri}: {bucket!r} is no name of a bucket: give s3://bucket/prefix")
        prefix = prefix.strip("/")
        if prefix:
            try:
                check_key(prefix)
            except ValueError as error:
                raise StoreRefusedError(f"s3://{bucket}/...: {error}: give s3://bucket/prefix") from error
        return cls(bucket, prefix)

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`."""
        return self._uri

    @property
    def place(self) -> tuple[str, str, str]:
        """Endpoint (empty for AWS), bucket, and what all keys start with."""
        return self._access.endpoint_url, self._bucket, self._prefix

    @property
    def calls(self) -> StoreCalls:
        """What was asked of the service so far, every try of it."""
        counts = dict(self._counts)
        return StoreCalls(puts=counts.get("puts", 0), gets=counts.get("gets", 0), lists=counts.get("lists", 0))

    def __repr__(self) -> str:
        return f"S3Store({self._uri!r})"

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        named = self._named(key)
        return self._ask(f"get {key}", lambda s3: b"".join(s3.gets.chunks(named["Bucket"], named["Key"])))

    def get_unchecked(self, key: str) -> bytes:
        """See `Unchecking.get_unchecked`."""
        named = self._named(key)
        return self._ask(f"get {key}", lambda s3: s3.gets.whole(named["Bucket"], named["Key"]))

    def download(self, key: str, path: str) -> None:
        """See `Store.download`. Raises: OSError when the local file cannot be written."""
        named = self._named(key)

        def attempt(s3: S3Connection) -> None:
            with arriving_file(path) as file:
                file.writelines(s3.gets.chunks(named["Bucket"], named["Key"]))

        self._ask(f"get {key}", attempt)

    def read_part(self, key: str, start: int, buffer: memoryview) -> None:
        """See `Ranged.read_part`."""
        named, wanted = self._named(key), f"bytes={start}-{start + len(buffer) - 1}"
        self._ask(f"get {key}", lambda s3: fill(s3.client.get_object(Range=wanted, **named), buffer))

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        """See `Store.put`.

        See `one_put` for lost answers and for services that know no conditions.

        Raises:
            ValueError: both `create` and `if_match` are asked for.
        """
        named = self._named(key)
        if mode == "create" and if_match is not None:
            raise ValueError("a put is either create-only or conditional on an ETag, not both")
        conditions = {"IfNoneMatch": "*"} if mode == "create" else {}
        if if_match is not None:
            conditions = {"IfMatch": f'"{if_match}"'}
        try:
            return self._ask(f"put {key}", one_put(named, body, conditions))
        except NotFoundError as error:
            if if_match is None:
                raise StoreRefusedError(f"{self._uri}: put {key}: not found: check the store's URI") from error
            raise AlreadyExistsError(f"{self._uri}: {key} is not the object of ETag {if_match}") from error

    def put_batch(self, objects: Mapping[str, bytes]) -> None:
        """See `Store.put_batch`; all puts end before the first error is raised."""
        for key in objects:
            self._named(key)
        if len(objects) == 1:
            for key, body in objects.items():
                self.put(key, body)
            return
        futures = [self._workers().submit(self.put, key, body) for key, body in objects.items()]
        wait(futures)
        for future in futures:
            future.result()

    def upload(self, key: str, path: str) -> None:
        """See `Store.upload`. Raises: OSError when the local file cannot be read."""
        self._upload(key, path, {})

    def head(self, key: str) -> ObjectInfo | None:
        """See `Store.head`."""
        named = self._named(key)
        try:
            return self._ask(
                f"head {key}",
                lambda s3: object_info(key, s3.client.head_object(**named), size="ContentLength"),
            )
        except NotFoundError:
            return None

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See `Store.list`; a page of a thousand at a time."""
        check_prefix(prefix)
        after = {"StartAfter": self._prefix + start_after} if start_after else {}
        for page in self._pages(prefix, **after):
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(self._prefix)
                if key and not key.endswith("/"):  # consoles leave empty objects that stand for folders
                    yield object_info(key, found, size="Size")

    def list_folders(self, prefix: str) -> Iterator[str]:
        """See `Store.list_folders`."""
        check_folder(prefix)
        for page in self._pages(prefix, Delimiter="/"):
            for found in page.get("CommonPrefixes", ()):
                yield found["Prefix"].removeprefix(self._prefix + prefix)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        named = self._named(key)
        self._ask(f"delete {key}", lambda s3: s3.client.delete_object(**named))

    def link(self, key: str, *, seconds: int) -> str:
        """See `Linking.link`."""
        named = self._named(key)
        return self._ask(f"link {key}", lambda _s3: self._links.presigned(named, seconds=seconds))

    def _upload(self, key: str, path: str, headers: Mapping[str, Any]) -> None:
        """A local file as one object, with these headers as boto3 names them."""
        named = self._named(key)
        more = calls_for(os.path.getsize(path)) - 1
        self._count("puts", more)
        self._ask(
            f"upload {key}",
            lambda s3: upload_file(s3.client, path, named, headers),
            attempts=PART_ATTEMPTS,
        )

    def _named(self, key: str) -> dict[str, Any]:
        """Bucket and key as boto3 takes them. Raises: ValueError when it is no legal key."""
        return {"Bucket": self._bucket, "Key": self._prefix + check_key(key)}

    def _pages(self, prefix: str, **options: str) -> Iterator[Any]:
        """The pages of a listing, each asked for with its own retries (which boto3's paginator would not do)."""
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + prefix, **options}
        while True:
            page = self._ask(f"list {prefix}", lambda s3: checked_page(s3.client.list_objects_v2(**request)))
            yield page
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def _ask(self, what: str, action: Callable[[S3Connection], _T], *, attempts: int = 1) -> _T:
        """Call with retries, and turn what is left of errors into the tree.

        Args:
            what: verb and key, for messages.
            action: one try.
            attempts: calls in all that botocore makes by itself within one try.
        """
        used: S3Connection | None = None
        renewed = False

        def once() -> _T:
            nonlocal used
            used = None
            used = self._connection(attempts)
            used.renew()
            self._count(_CHARGED.get(what.partition(" ")[0], ""), 1)
            return action(used)

        def again(error: BaseException) -> bool:
            nonlocal renewed
            answer = answer_of(error)
            if answer is not Answer.EXPIRED:
                return answer is Answer.TRANSIENT
            self._forget(attempts, used)
            first, renewed = not renewed, True
            return first or (used is not None and used.renewable)

        try:
            return self._retry.call(once, again=again)
        except S3_ERRORS as error:
            raise error_of(error, uri=self._uri, what=what, attempts=self._retry.attempts) from error

    def _count(self, kind: str, calls: int) -> None:
        """Note calls that the service charges for."""
        if kind:
            with self._lock:
                self._counts[kind] += calls

    def _connection(self, attempts: int) -> S3Connection:
        """The connection that itself makes so many attempts; made on first use, and again when credentials expired."""
        with self._lock:
            connection = self._connections.get(attempts)
            if connection is None:
                connection = connect(
                    self._access,
                    connections=self._threads + PART_THREADS,
                    attempts=attempts,
                    answer_seconds=self._retry.answer_seconds,
                )
                self._connections[attempts] = connection
            return connection

    def _forget(self, attempts: int, connection: S3Connection | None) -> None:
        """Its credentials have expired: the next call makes another, unless some thread has done so already."""
        with self._lock:
            if connection is not None and self._connections.get(attempts) is connection:
                del self._connections[attempts]

    def _workers(self) -> ThreadPoolExecutor:
        """The pool of this store, made on first use; its threads end when the store is forgotten."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="store-s3")
            return self._pool
