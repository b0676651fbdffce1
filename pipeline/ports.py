"""All that the domain asks of the world, on one page.

Everything behind these Protocols lives in `infra/` (stores, compute) or `pipeline/renderers/`, is named in a
table there, and passes that table's contract tests.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.assignment import Assignment
from pipeline.events import WorkerEvent
from pipeline.job import NodeOffer
from pipeline.model import Model
from pipeline.news import News
from pipeline.performance import Levers
from pipeline.record import GpuUse, Profile
from pipeline.request import Request, Variant
from pipeline.working.compile_decision import CompileTerms

PutMode = Literal["create", "overwrite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What a store knows of one object."""

    key: str
    """Relative to the store's root, with `/`, without a leading one."""
    size_bytes: int
    etag: str
    """Opaque; changes when the content changes."""
    modified_at: datetime
    """By the store's own clock, UTC; S3 lists whole seconds."""


class Store(Protocol):
    """An object store under one root URI. Safe to call from several threads.

    Every method raises `StoreUnavailableError` when the store does not answer properly after its own retries, and
    `StoreRefusedError` on a final no (no bucket, no access, disk read-only).
    """

    @property
    def uri(self) -> str:
        """The root, as the user wrote it, without credentials: `s3://bucket/prefix` or an absolute path."""

    def get(self, key: str) -> bytes:
        """The whole object. Raises: NotFoundError."""

    def download(self, key: str, path: str) -> None:
        """Stream the object into a local file that appears only when complete. Raises: NotFoundError."""

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        """Write one object, durable on return; returns its ETag.

        `mode="create"` refuses a key that exists; `if_match` overwrites only the object of that ETag. An answer may be
        lost after the write: an object that holds this very body counts as this call's success, so racing writers must
        put something of their own into their bodies.

        Raises:
            AlreadyExistsError: the key exists (`create`), or holds another ETag than `if_match`.
        """

    def put_batch(self, objects: Mapping[str, bytes]) -> None:
        """Write several objects, in parallel where that helps; all are durable on return."""

    def upload(self, key: str, path: str) -> None:
        """Write a local file as one object, in parts when it is large; durable on return."""

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of the object, or None if there is none."""

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, in the byte order of their keys, after `start_after`."""

    def list_folders(self, prefix: str) -> Iterator[str]:
        """The distinct next path segments under `prefix` (which ends with `/`), each with its trailing `/`, sorted."""

    def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""


@runtime_checkable
class Ranged(Protocol):
    """A store that gives parts of an object. Safe to call from several threads."""

    def head(self, key: str) -> ObjectInfo | None:
        """See `Store.head`."""

    def read_part(self, key: str, start: int, buffer: memoryview) -> None:
        """Fill the buffer with the object's bytes from `start` on; raises as a `Store`, also where there are too few.

        Raises:
            NotFoundError: there is no such object.
        """


class Clock(Protocol):
    """Time and waiting, handed in."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC; never runs backwards within a process (anchored once, then monotonic)."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One decoded picture, before the output gate."""

    pixels: NDArray[np.uint8]
    """Height x width x 3, RGB, 0..255."""
    finite: bool = True
    """False when the decoder produced NaN or infinity anywhere in this picture."""
    blanked: bool = False
    """True when the model's own safety checker blanked it."""


class Renderer(Protocol):
    """One loaded pipeline on one device.

    `denoise` is called by one thread, `decode` by another; a batch is decoded while the next one denoises.
    """

    def profile(self, variant: Variant, *, batch_size: int) -> Profile:
        """What decides the bits beside the request: device, versions, batch shape, precision, threads."""

    def batch_size(self, variant: Variant) -> int:
        """How many requests of this variant go through the device together; at least 1."""

    def denoise(self, batch: Sequence[Request], *, batch_size: int) -> Any:
        """Latents for these requests (same variant), opaque; a short batch is padded to `batch_size`.

        Text is encoded here, once per distinct text, singly, kept in a bounded cache.

        Raises:
            BadRequestError: the pipeline raises on a request.
            OutOfMemoryError: the batch does not fit.
        """

    def decode(self, latents: Any) -> Sequence[Picture]:
        """One picture per request of the batch, in order, the padding dropped. Raises: OutOfMemoryError."""

    def peak_memory_bytes(self) -> int:
        """Most that the device held at once since the last call, weights included; 0 when that is not known."""

    def close(self) -> None:
        """Free the device."""


class Gauge(Protocol):
    """What the device's driver knows of its use; never fails."""

    def between(self, started_ns: int, ended_ns: int) -> GpuUse | None:
        """How the device was used between two instants, of which the later one has just passed; None: not known."""


@runtime_checkable
class Foreseeing(Protocol):
    """A renderer that works better when it knows what comes."""

    def expect(self, requests: Sequence[Request]) -> None:
        """These will be denoised next, some of them perhaps never; on the thread that denoises."""


@runtime_checkable
class Interruptible(Protocol):
    """A renderer that can be stopped between two steps of a batch; others finish it, and what it made is harmless."""

    def interrupt(self) -> None:
        """Let the `denoise` that is running, if any, end soon with a HandedBackError; from any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What came of compiling."""

    code: bytes = b""
    """What another worker of the same key can start from; opaque."""
    reused: bool = False
    """Whether such code was at hand and did."""
    problem: str = ""
    """Why the model goes on as it is; empty when it is compiled."""


@runtime_checkable
class Compilable(Protocol):
    """A renderer that can compile its model for batches of one shape, on the thread that denoises."""

    def uncompiled(self, variant: Variant, *, batch_size: int) -> CompileTerms | None:
        """What compiling for such batches means; None when it is done, cannot be done, or is not to be."""

    def compile(self, batch: Sequence[Request], *, batch_size: int, code: bytes) -> Compiled:
        """Compile for batches of this shape and run one for show; no picture comes of it.

        Args:
            batch: of one variant.
            batch_size: device batch shape.
            code: what `Compiled.code` was on another worker, from somebody to be trusted; may be empty.

        Raises:
            SpotrenderError: as `denoise`.
        """


class RendererKind(Protocol):
    """A row of the table of renderers: how to understand a model at submit, and how to load it on a worker."""

    @property
    def pixel_version(self) -> int:
        """Raised whenever this renderer makes other pixels from the same request."""

    def resolve(self, source: str, **options: Any) -> Model:
        """Freeze a model: immutable revision, limits, defaults; loads no weights and imports no torch.

        Raises:
            ModelError: unknown, unsafe (pickled weights, remote code) or unusable model.
        """

    def problem(self, model: Model, variant: Variant) -> str | None:
        """Why this model cannot render this variant (unknown scheduler, global generator, size), or None."""

    def lever_problem(self, model: Model, levers: Levers, gpus: Collection[str]) -> tuple[str, str] | None:
        """A lever that this model cannot have on these GPUs, and why with what it can; None when all can be had.

        Args:
            model: frozen.
            levers: of the performance profile.
            gpus: their names; `cpu` for none, empty for one that only the worker will know.
        """

    def count_tokens(self, model: Model, prompt: str) -> int | None:
        """Tokens that the model's text encoder makes of a prompt, its marks included; None when that is not known."""

    def load(self, model: Model, *, device: str, threads: int) -> Renderer:
        """Load the model. Raises: ModelUnavailableError."""


class Compute(Protocol):
    """Where the workers live. Starts them as nodes appear, forwards assignments, decides nothing."""

    def start(self) -> None:
        """Begin to ask for workers; returns at once. May follow a `close`: then all begins anew."""

    def offer(self, offers: tuple[NodeOffer, ...]) -> None:
        """The nodes that may be used have changed; at any time after `start`, and between two of them.

        More workers are asked for at once. Too many are ended when they have handed back what they had, those first
        that cost least to end; each end is told as `WorkerLost` with the cause HANDED_BACK.
        """

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """What workers reported since the last call, each worker's in order; waits at most `timeout_seconds`."""

    def assign(self, worker: str, assignment: Assignment) -> None:
        """Put one attempt into a worker's inbox."""

    def release(self, worker: str) -> None:
        """Ask a worker to commit the batches in flight and hand back the rest of its inbox; it stays."""

    def leave(self, worker: str) -> None:
        """Leave the node of this worker, as after a rebalance recommendation.

        The node takes no new worker, this one hands back what it has and is then ended, which is told as `WorkerLost`
        with the cause HANDED_BACK, and another is asked for elsewhere.
        """

    def kill(self, worker: str) -> None:
        """End a worker's process now; the event of its loss follows, and a replacement is started."""

    def close(self) -> None:
        """End all workers; what is not committed is lost."""


class Metrics(Protocol):
    """Figures for whoever watches, named and explained in `pipeline/metrics.py`.

    Every call returns at once and never raises, from any thread. Values are floats, money too: the ledger is the truth.
    """

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """A counter has grown."""

    def total(self, name: str, value: float, **labels: str) -> None:
        """A counter has reached a value; one below what it had changes nothing."""

    def set(self, name: str, value: float, **labels: str) -> None:
        """A gauge has a value."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """One more value of a histogram."""


class Notifier(Protocol):
    """Tells one receiver what there is of news; called by one thread at a time."""

    @property
    def receiver(self) -> str:
        """Who is told, for a log: without anything that lets others tell it too."""

    def tell(self, news: News) -> None:
        """Tell it once, within bounded time. Raises: NotToldError."""
