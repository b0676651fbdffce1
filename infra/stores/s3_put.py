"""One put under a condition, over a network that loses answers."""

from collections.abc import Callable, Mapping

from infra.stores.s3_answers import S3_ERRORS, Answer, answer_of
from infra.stores.s3_body import bare_etag, checked_chunks
from infra.stores.s3_client import S3Connection


def one_put(named: Mapping[str, str], body: bytes, conditions: Mapping[str, str]) -> Callable[[S3Connection], str]:
    """A function that tries this put once and returns the ETag; it remembers what its earlier tries met.

    When the condition does not hold, but an earlier try ended in an error that may hide a success, the object is
    read: if it holds this very body, the put has succeeded. A service that answers that it knows no conditions is
    written without them, as one that ignores them would do.

    Args:
        named: bucket and key.
        body: the content.
        conditions: `IfNoneMatch` or `IfMatch`; empty for none.
    """
    bucket, key = named["Bucket"], named["Key"]
    in_doubt = False

    def attempt(connection: S3Connection) -> str:
        nonlocal in_doubt
        try:
            return connection.puts.put(bucket, key, body, conditions)
        except S3_ERRORS as error:
            answer = answer_of(error)
            if answer is Answer.UNCONDITIONAL and conditions:
                return connection.puts.put(bucket, key, body, {})
            if answer is Answer.TAKEN and in_doubt:
                response = connection.client.get_object(Bucket=bucket, Key=key)
                if b"".join(checked_chunks(response)) == body:
                    return bare_etag(response["ETag"])
            in_doubt = in_doubt or answer is Answer.TRANSIENT
            raise

    return attempt
