"""The workers of a job: which compute, told what, and the token by which they know the driver's store."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from jobs.prices.node_offers import capped
from pipeline.errors import StoreUnavailableError
from pipeline.job import Job, Settings
from pipeline.layout import probe_key
from pipeline.ports import Clock, Compute, Store

IN_PROCESS = "in-process"
"""The address that means threads of this process."""


def size_of(address: str) -> tuple[int, int]:
    """Nodes of a Ray cluster that can hold workers, and GPUs of each. Raises: ClusterRefusedError: nothing answers."""
    from infra.compute.cluster_facts import cluster_size

    return cluster_size(address)


@contextmanager
def workers_of(
    job: Job, settings: Settings, store: Store, *, address: str | None, workers: int | None, clock: Clock
) -> Iterator[Compute]:
    """A compute for this job; nothing of it starts before its `start`.

    Args:
        job: whose models are loaded.
        settings: which nodes may be used.
        store: the driver's; workers open it again by its URI.
        address: a Ray cluster, `in-process`, or None for a Ray of our own.
        workers: at most so many, in whole nodes; None: all that the nodes hold.
        clock: time.
    """
    from infra.compute.code_version import code_version
    from infra.compute.spec import ComputeSpec
    from infra.compute.table import open_compute

    token = uuid.uuid4().hex
    store.put(probe_key(token), token.encode())
    spec = ComputeSpec(
        job=job.id,
        address=address,
        store_uri=store.uri,
        offers=capped(settings.nodes, workers),
        models=job.models,
        code_version=code_version(),
        probe_token=token,
    )
    try:
        yield open_compute(spec, clock=clock)
    finally:
        with suppress(StoreUnavailableError):
            store.delete(probe_key(token))
