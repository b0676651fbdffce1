"""What workers report to the driver; all of it is small metadata."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.record import Node, Record

NoticeKind = Literal["reclaim", "rebalance"]
"""`reclaim`: the node will be gone at the deadline; `rebalance`: it is at a raised risk, and may be left."""

Bottleneck = Literal["decoder", "encoder", "store"]
"""What follows when a batch has been denoised, and may be slower than the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStarting:
    """A worker's process is up on a node; it begins to load the model. Its GPU is owned by `startup` from now."""

    worker: str
    node: Node
    gpu_index: int
    at_ns: int
    node_since_ns: int = 0
    """When the node was first seen, if that was earlier; its session begins there. 0 when not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReady:
    """The model is loaded; the worker takes assignments."""

    worker: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRefused:
    """This worker cannot load this model; it is there for the job's other models."""

    worker: str
    at_ns: int
    model: str
    """Its name in the job."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRefused:
    """The worker cannot render this job at all; it has ended."""

    worker: str
    at_ns: int
    cause: str
    """`MODEL_UNAVAILABLE`, or `CLUSTER_REFUSED` (other code version, missing device, another store)."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLost:
    """The worker's process or node is gone."""

    worker: str
    at_ns: int
    cause: str
    """PREEMPTED: the cloud took the node; HANDED_BACK: we let the worker go (`Compute.offer`, `leave`); or another
    `Cause`."""
    message: str
    node_lost: bool = False
    """True when the whole node is gone (or let go with its last worker), False when only the process is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGone:
    """A node is gone after its last worker was: its session ends, if it has not ended with that one."""

    worker: str
    """The last one that was on it."""
    node_session: str
    at_ns: int
    cause: str
    """As of `WorkerLost`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeSeen:
    """The cloud, or whoever runs the cluster, will take or wants to take the node of this worker.

    The compute tells the worker and the driver at the same time; there is one event for each worker of the node.
    """

    worker: str
    at_ns: int
    kind: NoticeKind
    deadline_ns: int
    """The instant from which the node may be gone; for a rebalance recommendation that of the recommendation."""
    source: str
    """Who said so: `aws`, `gcp`, `azure`, `kubernetes`, `static`, `ray`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeCancelled:
    """The node stays after all: the worker may be given work again."""

    worker: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTaken:
    """The device has a new owner from `at_ns` on: a batch, or nobody."""

    worker: str
    at_ns: int
    attempt: str | None
    """None: idle."""
    sequence: int = 0
    places: tuple[int, ...] = ()
    """What the batch holds, as places in the assignment."""
    size: int = 0
    """Its shape on the device, the padding included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    """From `at_ns` until the next `DeviceTaken` a ready worker makes its device ready for a batch: that is start-up."""

    worker: str
    at_ns: int
    what: Literal["load", "compile"]
    """Another model is loaded, or one compiled for batches of another shape."""
    message: str
    """In a few words, for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What a worker decided by itself, and a person may want to know."""

    worker: str
    at_ns: int
    about: str
    """Remarks about the same thing are logged once, whichever worker makes them."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DidNotFit:
    """A batch of this size did not fit into the memory of this worker's device."""

    worker: str
    at_ns: int
    model: str
    """Revision of the model."""
    precision: str
    width: int
    height: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTuned:
    """A worker has found the batch size with which its device makes most images a second."""

    worker: str
    at_ns: int
    attempt: str
    """The one in which it came to an end; its requests are of the model and shape in question."""
    size: int
    seconds: dict[int, float]
    """Size -> seconds that a full batch had the device for, as measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """An image that failed although it was alone on a device that works; the driver decides what that means."""

    place: int
    """Its place in the assignment."""
    cause: str
    """`BAD_REQUEST` or `OUT_OF_MEMORY`."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCommitted:
    """A batch's record is in the store."""

    worker: str
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """An attempt is over; every batch of it was reported before, but for one that was handed back on the device."""

    worker: str
    task: str
    attempt: str
    cause: str
    """A `Cause`; SUCCEEDED when all of its images are in records."""
    message: str = ""
    at_ns: int = 0
    suspects: tuple[Suspect, ...] = ()
    """Images that failed alone; they are in no record."""
    blamed: tuple[int, ...] = ()
    """The batch on which the attempt ended, as places in the assignment, where there is one to blame."""
    poisoned: bool = False
    """The process must not render anything more; it hands back all that it is given."""
    store_refused: bool = False
    """The store said a final no to this worker: waiting does not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSilent:
    """The store does not answer this worker, which keeps what it has finished and tries again; or does answer again."""

    worker: str
    at_ns: int
    message: str
    """What the store said last; empty: it answers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceWaits:
    """The device stands still, as its finished batches do not get to the store in time; or does so no more."""

    worker: str
    at_ns: int
    waits_for: Bottleneck | None
    """The stage that holds them up; None: it goes on without waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The worker lives."""

    worker: str
    at_ns: int
    facts: dict[str, str] = field(default_factory=dict)


WorkerEvent = (
    WorkerStarting
    | WorkerReady
    | ModelRefused
    | WorkerRefused
    | WorkerLost
    | NodeGone
    | NoticeSeen
    | NoticeCancelled
    | DeviceTaken
    | Preparing
    | Remark
    | DidNotFit
    | BatchTuned
    | BatchCommitted
    | AttemptEnded
    | StoreSilent
    | DeviceWaits
    | Heartbeat
)
