"""The one commit point: images first, under names that hold their content, then ONE create-only put of the record."""

from collections.abc import Mapping

from pipeline.errors import AlreadyExistsError
from pipeline.layout import record_key
from pipeline.ports import Store
from pipeline.record import Record, record_to_json


def put_images(store: Store, images: Mapping[str, bytes]) -> None:
    """Store the images of a batch, before the record that names them; all are durable on return.

    Args:
        store: where to.
        images: key -> bytes.

    Raises:
        StoreUnavailableError: nothing is committed; the images that were put are harmless.
    """
    if images:
        store.put_batch(images)


def put_record(store: Store, record: Record) -> None:
    """Commit: put a record once, durable on return; a lost response to a put that did succeed counts as success.

    Raises:
        StoreUnavailableError: nothing is committed, unless the response alone was lost.
        AlreadyExistsError: another record has this name, which means that an attempt id was used twice.
    """
    key = record_key(record.job, record.name)
    body = record_to_json(record)
    try:
        store.put(key, body, mode="create")
    except AlreadyExistsError:
        if store.get(key) != body:
            raise
