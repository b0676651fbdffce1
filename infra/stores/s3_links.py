"""Links by which anybody can fetch one object for a while, without credentials."""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from infra.stores.s3_client import S3Access, s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOST_LINK_SECONDS: Final = 7 * 86_400
"""What Signature Version 4 allows."""

_SIGNATURE: Final = "s3v4"
"""Left to itself botocore signs links by Version 2, which younger buckets and most other services refuse."""


class Links:
    """Signs links. Safe to call from several threads.

    Args:
        access: as whom; where the credentials are temporary, a link ends with them at the latest.
    """

    def __init__(self, access: S3Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._client: S3Client | None = None

    def presigned(self, named: Mapping[str, str], *, seconds: int) -> str:
        """The link to an object, good for so many seconds; asks nobody.

        Args:
            named: bucket and key.
            seconds: 1 to `MOST_LINK_SECONDS`.

        Raises:
            ValueError: a time that S3 does not allow.
            botocore.exceptions.BotoCoreError: there are no credentials.
        """
        if not 1 <= seconds <= MOST_LINK_SECONDS:
            raise ValueError(f"a link lives for 1 to {MOST_LINK_SECONDS} seconds, not {seconds}")
        with self._lock:
            if self._client is None:
                self._client = s3_client(self._access, connections=1, signature=_SIGNATURE)
        return str(self._client.generate_presigned_url("get_object", Params=dict(named), ExpiresIn=seconds))
