"""A record commits one batch: it names the images, their hashes, and what they cost.

It is the only thing that makes an image complete; its JSON form is documented field by field here and versioned.
"""

import json
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

RECORD_SCHEMA = 1
"""Version of the JSON form; readers refuse a higher one by name."""


class Outcome(StrEnum):
    """What became of one image in one record."""

    RENDERED = "rendered"
    """New pixels of this job."""
    REUSED = "reused"
    """An earlier job under this store had committed it; costs nothing."""
    FAILED = "failed"
    """Tried and given up; `cause` says why."""
    REFUSED = "refused"
    """The output gate refused this picture, and the image is tried once more elsewhere: no image, only its cost."""


class Cause(StrEnum):
    """How an attempt ended, or why an image failed; kept apart from the job's state."""

    SUCCEEDED = "SUCCEEDED"
    """All of its images are committed."""
    PREEMPTED = "PREEMPTED"
    """The cloud took the node."""
    HANDED_BACK = "HANDED_BACK"
    """Drained in time."""
    INFRASTRUCTURE = "INFRASTRUCTURE"
    """A node, an actor, Ray or the network."""
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    """The batch did not fit."""
    BAD_REQUEST = "BAD_REQUEST"
    """The pipeline raised on the request."""
    BAD_OUTPUT = "BAD_OUTPUT"
    """The output gate refused the picture."""
    SAFETY_BLANKED = "SAFETY_BLANKED"
    """The safety checker blanked the picture."""
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    """The store did not answer."""
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    """The model could not be loaded."""


COLLECTED = "COLLECTED"
"""Stands as the cause of a ledger row whose file clean-up removed before the image was rendered again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The execution profile: what decides the bits beside the request. Bits are promised within one profile."""

    device: str
    """`cpu`, or the GPU's name as its driver gives it."""
    versions: dict[str, str]
    """Versions of torch, diffusers, transformers, cuda: whatever touches pixels."""
    batch_size: int
    """Device batch shape, the padding included."""
    precision: str
    """`fp32`, `fp16` or `bf16`."""
    threads: int
    """CPU threads of the device's work; 0 on a GPU."""
    levers: tuple[str, ...] = ()
    """What makes it cheaper without being in the request, such as `compiled`, `channels_last`, `offload`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node as a worker or a provider sees it."""

    node_session: str
    """Name of the node's life inside this job."""
    node_id: str
    """Ray's or the cloud's id."""
    provider: str
    """`aws`, `gcp`, `azure`, `kubernetes`, `static` or `local`."""
    node_type: str
    """Such as `g6e.xlarge`; `local` on the user's own machine."""
    market: str
    """`spot`, `on_demand` or `local`."""
    gpu: str
    """GPU name; `cpu` where there is none."""
    gpu_count: int
    """GPUs of the node that this job may use; at least 1 (a CPU worker counts as one)."""
    region: str = ""
    zone: str = ""
    usd_per_hour: Decimal = Decimal(0)
    """Price of the whole node."""
    price_source: str = "configuration"
    """Where the price comes from."""
    node_gpus: int = 0
    """GPUs of the whole node, of which others may use some; 0: as many as this job may use."""

    @property
    def shares(self) -> int:
        """GPUs among which the node's price is divided."""
        return max(self.node_gpus, self.gpu_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUse:
    """What the GPU's driver tells of a batch's time; None: it does not tell that."""

    busy: float | None
    """Share of the time in which the GPU computed anything, from 0 to 1; of the last seconds of a long batch."""
    watts: float | None
    """Power drawn on average, of the same seconds."""
    memory_bytes: int | None
    """In use on the whole GPU when the batch was done, by whomever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedImage:
    """One image of a record."""

    image_id: str
    """64 hex digits."""
    outcome: Outcome
    """What became of it."""
    key: str = ""
    """Store key; empty when it failed."""
    bytes: int = 0
    """Size of the object."""
    sha256: str = ""
    """Hash of the object's bytes, 64 hex digits; empty when it failed."""
    cause: str = ""
    """A `Cause` when it failed or was refused, else empty."""
    message: str = ""
    """One line for a person when it failed or was refused."""
    gpu_nanoseconds: int = 0
    """Its share of the batch's device time (largest remainder)."""
    usd: Decimal = Decimal(0)
    """Its share of the batch's cost (largest remainder), to the nano-dollar."""
    tags: dict[str, str] = field(default_factory=dict)
    """The tags of the first manifest row that asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One committed batch."""

    job: str
    task: str
    """Task id, `t` and seven digits."""
    attempt: str
    """Unique id of the attempt."""
    sequence: int
    """Number of the batch within the attempt, from 0."""
    node: Node | None
    """Where it was rendered; None for reuse and repair, which cost no node."""
    gpu_index: int = 0
    """Which GPU of the node."""
    profile: Profile | None = None
    """None for reuse and repair."""
    model: str = ""
    """The model's name in the job."""
    width: int = 0
    height: int = 0
    steps: int = 0
    started_ns: int = 0
    """Instant (nanoseconds since the epoch, UTC) at which the batch took the device."""
    ended_ns: int = 0
    """Instant at which it left the device, or the next batch took over."""
    gpu_nanoseconds: int = 0
    """Device time that the batch owned: `ended_ns - started_ns`."""
    usd: Decimal = Decimal(0)
    """What that time cost, to the nano-dollar."""
    stages_ns: dict[str, int] = field(default_factory=dict)
    """Wall time of each stage: denoise, decode, encode, upload."""
    memory_bytes: int = 0
    """Most that the device held at once for the batch, weights included; of a CPU worker, its process; 0: not known."""
    gpu_use: GpuUse | None = None
    """How busy the GPU was; absent where nobody can tell."""
    images: tuple[RecordedImage, ...] = ()
    voids: tuple[str, ...] = ()
    """Names of records that count no longer (repair): their images are rendered again."""
    forgives: tuple[str, ...] = ()
    """`<record>/<image id>` of failures that count no longer (retry): these images are tried again."""
    collects: tuple[str, ...] = ()
    """`<record>/<image id>` of images whose files clean-up removed: they are rendered again, their cost stays."""

    @property
    def name(self) -> str:
        """`<task>-<attempt>-<sequence>`: the file name without `.json`."""
        return f"{self.task}-{self.attempt}-{self.sequence:06d}"


def driver_record(job: str, task: str, attempt: str, images: tuple[RecordedImage, ...]) -> Record:
    """A record that needs no device: reuse, and images that are given up."""
    return Record(job=job, task=task, attempt=attempt, sequence=0, node=None, images=images)


def record_to_json(record: Record) -> bytes:
    """The record as UTF-8 JSON; money as strings, so that nothing passes through a float."""
    values = _values(record) | {
        "schema": RECORD_SCHEMA,
        "node": record.node and _values(record.node),
        "profile": record.profile and _values(record.profile),
        "images": [_values(image) for image in record.images],
    }
    use = values.pop("gpu_use")
    if use is not None:
        values["gpu_use"] = _values(use)
    if not record.collects:
        del values["collects"]
    return json.dumps(values, default=str, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _values(one: Record | RecordedImage | Node | Profile | GpuUse) -> dict[str, Any]:
    """The fields by name; `dataclasses.asdict` would copy all that is below them too, at four times the cost."""
    return {name: getattr(one, name) for name in type(one).__slots__}


def record_from_json(body: bytes) -> Record:
    """Read a record back.

    Raises:
        ValueError: not a record, or of a schema version that this code does not know.
    """
    values: dict[str, Any] = json.loads(body)
    schema = values.pop("schema", None)
    if schema != RECORD_SCHEMA:
        raise ValueError(f"record schema {schema!r}, this version reads {RECORD_SCHEMA}")
    node = values.pop("node")
    profile = values.pop("profile")
    forgives, collects = tuple(values.pop("forgives", ())), tuple(values.pop("collects", ()))
    use = values.pop("gpu_use", None)
    images = tuple(
        RecordedImage(**(image | {"outcome": Outcome(image["outcome"]), "usd": Decimal(image["usd"])}))
        for image in values.pop("images")
    )
    return Record(
        **(values | {"usd": Decimal(values["usd"]), "voids": tuple(values["voids"])}),
        forgives=forgives,
        collects=collects,
        gpu_use=None if use is None else GpuUse(**use),
        node=None if node is None else Node(**(node | {"usd_per_hour": Decimal(node["usd_per_hour"])})),
        profile=None if profile is None else Profile(**(profile | {"levers": tuple(profile.get("levers", ()))})),
        images=images,
    )
