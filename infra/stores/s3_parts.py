"""Uploads of files: small ones in one call, large ones in parts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from boto3.s3.transfer import TransferConfig, create_transfer_manager

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_ATTEMPTS: Final = 5
"""Calls that botocore makes for one part of a large upload, so that one lost part does not start it all over."""

PART_THREADS: Final = 8

_PART_BYTES: Final = 32 * 2**20
"""Size of the parts of a large upload, and from which size on a file is uploaded in parts."""


def calls_for(size_bytes: int) -> int:
    """The puts of an upload: each part is one, and so are the first and the last call around them."""
    return -(-size_bytes // _PART_BYTES) + 2 if size_bytes >= _PART_BYTES else 1


def upload_file(client: "S3Client", path: str, named: Mapping[str, str], headers: Mapping[str, Any]) -> None:
    """Upload a local file.

    Args:
        client: whose `retries` hold for each part.
        path: of the file.
        named: bucket and key.
        headers: such as `ContentType` and `Metadata`.

    Raises:
        OSError: the file cannot be read.
    """
    config = TransferConfig(
        multipart_threshold=_PART_BYTES,
        multipart_chunksize=_PART_BYTES,
        max_concurrency=PART_THREADS,
        preferred_transfer_client="classic",
    )
    with create_transfer_manager(client, config) as transfers:
        transfers.upload(path, named["Bucket"], named["Key"], extra_args=dict(headers)).result()
