"""How to reach an S3 service: from the standard environment, or from values handed in."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.handlers import convert_body_to_file_like_object

from infra.stores.s3_answers import usable_credentials
from infra.stores.s3_direct_get import DirectGets
from infra.stores.s3_direct_put import DirectPuts
from pipeline import __version__
from pipeline.errors import StoreRefusedError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

USER_AGENT: Final = f"spotrender/{__version__} boto3/{boto3.__version__}"
"""Botocore puts its own together anew for every request, which takes a tenth of a small put's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """Endpoint, region and credentials; what is empty comes from boto3's own chain (environment, profile, role)."""

    endpoint_url: str = ""
    """Of a service other than AWS: MinIO, R2, Ceph, a test server."""
    region: str = ""
    """Region of the bucket."""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse an endpoint that is none, or carries credentials, which would end up in messages.

        Raises:
            StoreRefusedError: it is no `http://` or `https://` URL, or holds a user name.
        """
        if not self.endpoint_url:
            return
        parts = urlsplit(self.endpoint_url)
        if "@" in parts.netloc:
            raise StoreRefusedError("AWS_ENDPOINT_URL holds credentials: put them into AWS_ACCESS_KEY_ID and the like")
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise StoreRefusedError("AWS_ENDPOINT_URL is no URL: give one such as https://minio.example.com:9000")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "S3Access":
        """What the standard variables say; credentials are left to boto3, which knows how to renew them.

        Raises:
            StoreRefusedError: the endpoint is no URL.
        """
        values = os.environ if environment is None else environment
        ignored = values.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"
        endpoint = "" if ignored else values.get("AWS_ENDPOINT_URL_S3") or values.get("AWS_ENDPOINT_URL", "")
        return cls(endpoint_url=endpoint, region=values.get("AWS_REGION") or values.get("AWS_DEFAULT_REGION", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Connection:
    """A client, and as whom it asks."""

    client: "S3Client"
    puts: DirectPuts
    gets: DirectGets
    credentials: Any
    """botocore's own, which renews those that come from a role or a process by itself; None without any."""

    @property
    def renewable(self) -> bool:
        """Whether asking again may bring other credentials than these: not where they were given as they are."""
        return self.credentials is not None and self.credentials.method not in {"env", "explicit"}

    def renew(self) -> None:
        """Fetch credentials anew where they run out now, which botocore would do while it signs.

        Raises:
            UnusableCredentialsError: what gives the credentials failed in another way than botocore knows.
            botocore.exceptions.BotoCoreError: in a way that it knows.
        """
        if self.credentials is not None:
            with usable_credentials():
                self.credentials.get_frozen_credentials()


def connect(access: S3Access, *, connections: int, attempts: int = 1, answer_seconds: float = 60.0) -> S3Connection:
    """A client of its own session, safe to use from several threads; arguments as for `s3_client`.

    Raises:
        UnusableCredentialsError: what gives the credentials failed in another way than botocore knows.
        botocore.exceptions.BotoCoreError: the configuration on this machine cannot be used.
    """
    session = _session(access)
    with usable_credentials():
        credentials = session.get_credentials()
    client = _client(session, access, connections=connections, attempts=attempts, answer_seconds=answer_seconds)
    return S3Connection(client=client, puts=DirectPuts(client), gets=DirectGets(client), credentials=credentials)


def s3_client(
    access: S3Access,
    *,
    connections: int,
    attempts: int = 1,
    answer_seconds: float = 60.0,
    signature: str | None = None,
) -> "S3Client":
    """A boto3 client of its own session, safe to use from several threads.

    Args:
        access: where and as whom.
        connections: most connections open at a time; threads beyond it would wait for each other.
        attempts: calls in all that botocore makes by itself; retries are the store's business.
        answer_seconds: how long to wait for the next bytes of an answer.
        signature: as botocore names it; None: what the service asks for.

    Raises:
        botocore.exceptions.BotoCoreError: the configuration on this machine cannot be used.
    """
    return _client(
        _session(access),
        access,
        connections=connections,
        attempts=attempts,
        answer_seconds=answer_seconds,
        signature=signature,
    )


def _session(access: S3Access) -> boto3.session.Session:
    """boto3's own way to credentials and region, but for what is given."""
    return boto3.session.Session(
        aws_access_key_id=access.access_key or None,
        aws_secret_access_key=access.secret_key or None,
        aws_session_token=access.session_token or None,
        region_name=access.region or None,
    )


def _client(
    session: boto3.session.Session,
    access: S3Access,
    *,
    connections: int,
    attempts: int,
    answer_seconds: float,
    signature: str | None = None,
) -> "S3Client":
    """The client of a session."""
    region = session.region_name or ("us-east-1" if access.endpoint_url else None)
    config = Config(
        connect_timeout=10,
        read_timeout=answer_seconds,
        max_pool_connections=connections,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        s3={"addressing_style": "path"} if access.endpoint_url else None,
        tcp_keepalive=True,
        user_agent=USER_AGENT,
        signature_version=signature,
    )
    client = session.client("s3", endpoint_url=access.endpoint_url or None, region_name=region, config=config)
    # As a file, a small body would wait for the service's `100 Continue`, a round trip for each image.
    client.meta.events.unregister("before-parameter-build.s3.PutObject", convert_body_to_file_like_object)
    client.meta.events.register("before-call.s3.GetObject", _take_parts_as_they_come)
    return client


def _take_parts_as_they_come(*, params: Any, context: Any, **_values: Any) -> None:
    """Some services send the whole object's checksum with a part of it; who asks for parts knows their hashes."""
    if "Range" in params["headers"]:
        context.get("checksum", {}).pop("response_algorithms", None)
