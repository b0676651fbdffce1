"""Builds a worker where it is to run, with the checks that come before its first model is loaded."""

import os
from dataclasses import dataclass

from infra.compute.cache_key import cache_key, compiles
from infra.compute.gpu import gpu_present
from infra.compute.gpu_gauge import open_gauge
from infra.compute.spec import ComputeSpec
from infra.compute.stored_weights import StoredWeights
from infra.stores.measured import MeasuredStore
from infra.stores.table import open_store
from pipeline.errors import ClusterRefusedError, NotFoundError
from pipeline.layout import probe_key
from pipeline.model import Model
from pipeline.ports import Clock, Renderer, Store
from pipeline.record import Node
from pipeline.renderers.table import renderer_kind
from pipeline.working.worker import Worker

_MOST_ENCODE_THREADS = 8
"""More encode faster than any GPU draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What one worker is to be."""

    spec: ComputeSpec
    """What the driver wants."""
    name: str
    """Unique among all workers of all drivers."""
    node: Node
    """Where it stands."""
    gpu_index: int
    """Which GPU of the node, from 0."""
    device: str
    """`cpu` or `cuda`."""
    threads: int
    """CPU threads of the model, for `cpu`."""


def assemble_worker(post: Post, *, clock: Clock) -> Worker:
    """The worker of this post; its `run` checks store and device, then loads the spec's first model.

    Raises:
        StoreRefusedError: the URI names no store that this process can open.
    """
    spec = post.spec
    store = MeasuredStore(open_store(spec.store_uri))
    weights = StoredWeights(store, os.environ)

    def load(model: Model) -> Renderer:
        check_store(store, spec.probe_token)
        check_device(post.device)
        return renderer_kind(model.renderer).load(weights.here(model), device=post.device, threads=post.threads)

    return Worker(
        name=post.name,
        node=post.node,
        gpu_index=post.gpu_index,
        load=load,
        model=spec.models[0],
        store=store,
        clock=clock,
        cache_secret=lambda: cache_key(os.environ) if compiles(spec) else b"",
        encode_threads=spec.encode_threads or encode_threads(post, cores=len(os.sched_getaffinity(0))),
        gauge=None if post.device == "cpu" else open_gauge(os.environ),
        go_on=len(spec.models) > 1,
    )


def encode_threads(post: Post, *, cores: int) -> int:
    """Threads for gate and encoding: a GPU worker's share of the node's cores, from 2 to 8; of a CPU worker 2.

    On a CPU they take turns with the model's own threads, so that more of them gain nothing.

    Args:
        post: of the worker.
        cores: that this process may use.
    """
    return 2 if post.device == "cpu" else max(2, min(_MOST_ENCODE_THREADS, cores // post.node.shares))


def check_store(store: Store, token: str) -> None:
    """Refuse a store that is not the driver's: the same folder name on another machine is another folder.

    Raises:
        ClusterRefusedError: the driver's token is not there.
    """
    if not token:
        return
    try:
        store.get(probe_key(token))
    except NotFoundError as error:
        raise ClusterRefusedError(
            f"this worker does not find at {store.uri} what the driver wrote there, so it is another store; "
            "use an s3:// store, or a folder that all nodes share"
        ) from error


def check_device(device: str) -> None:
    """Refuse to go on without the GPU that was promised, whatever the renderer would do; CPU is never a stand-in.

    Raises:
        ClusterRefusedError: there is no GPU here.
    """
    if device != "cpu" and not gpu_present():
        raise ClusterRefusedError(
            "a GPU was promised, but this node has none that this process may see; mend the driver or the "
            "container's GPU access, or offer CPU workers (gpu: cpu)"
        )
