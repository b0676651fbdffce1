"""What a driver tells any compute: which workers to keep up, for which job, against which store."""

from dataclasses import dataclass

from pipeline.job import NodeOffer
from pipeline.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeSpec:
    """Everything that starting a job's workers needs; holds no secret."""

    job: str
    """Job id; shows in the names of workers."""
    address: str | None = None
    """None: a Ray of our own on this machine; `in-process`: threads; else a Ray cluster: `10.0.0.5:6379` or `auto`."""
    store_uri: str
    """Every worker opens this store by itself, with the credentials of its own node."""
    offers: tuple[NodeOffer, ...]
    """Nodes that may be used; `max * gpus` workers are asked for of each."""
    models: tuple[Model, ...]
    """The first one is loaded at the start."""
    code_version: str
    """`code_version.code_version()` of the driver; workers with another one are refused."""
    probe_token: str = ""
    """A worker must find an object at `pipeline.layout.probe_key` of this; empty: not checked."""
    cpus_per_worker: int | None = None
    """For CPU workers; None: the machine's cores shared out on our own Ray and in threads, 1 on a cluster."""
    threads: int = 0
    """CPU threads of a CPU worker's model; 0: as many as its CPUs."""
    encode_threads: int = 0
    """Of each worker, for gate and encoding; 0: by the cores of its node, see `assemble.encode_threads`."""
    ray_tmp_dir: str | None = None
    """Folder for the files of our own Ray, at most 36 characters; None: a new one, removed at the end."""
    ship_code: bool = True
    """Send our packages to the workers of a cluster; False where its image holds the very same code."""
    heartbeat_timeout_seconds: float = 10.0
    """A ready worker that says nothing for this long is killed; it answers every 2 s, on a thread that does no more."""
    load_timeout_seconds: float = 120.0
    """The same for a worker whose model still loads: reading weights may hold up its heartbeat."""
    notice_file: str = ""
    """Where a file announces a node's end, on nodes whose own environment does not say; `{node}`: Ray's id of it."""
    most_delay_seconds: float = 60.0
    """Workers that end again and again before they are ready are replaced this late at most."""
