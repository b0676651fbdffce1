"""What the tests of every compute share: a small job of synthetic pictures, and how to drive it by hand."""

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from infra.compute.code_version import code_version
from infra.compute.spec import ComputeSpec
from infra.stores.table import open_store
from pipeline.assignment import Assignment, Output
from pipeline.events import WorkerEvent
from pipeline.job import NodeOffer
from pipeline.layout import probe_key, records_prefix
from pipeline.model import Model
from pipeline.ports import Compute
from pipeline.record import record_from_json
from pipeline.renderers.table import renderer_kind
from pipeline.request import Request, Variant

JOB = "compute-0123456789abcdef"

PATIENCE_SECONDS = 60.0
"""How long a test waits for what must come; long, as it is no test of speed."""


def local_offer(*, workers: int = 1) -> NodeOffer:
    """This machine, without a GPU."""
    return NodeOffer(type="local", market="local", max=1, provider="local", gpu="cpu", gpus=workers)


def cluster_offer(node_type: str = "cpu-node", *, most: int = 1) -> NodeOffer:
    """Nodes of a cluster, each with one CPU worker."""
    return NodeOffer(type=node_type, market="spot", max=most, gpu="cpu", usd_per_hour=Decimal("3.6"))


def synthetic_model(**options: Any) -> Model:
    """A model that needs no weights."""
    return renderer_kind("synthetic").resolve("synthetic", **options)


def spec(store: Path, **changes: Any) -> ComputeSpec:
    """A spec whose checks all pass, with these changes."""
    token = uuid.uuid4().hex
    open_store(str(store)).put(probe_key(token), token.encode())
    values: dict[str, Any] = {
        "job": JOB,
        "store_uri": str(store),
        "offers": (local_offer(),),
        "models": (synthetic_model(),),
        "code_version": code_version(),
        "probe_token": token,
        "encode_threads": 1,
    }
    return ComputeSpec(**(values | changes))


def assignment(model: Model, attempt: str, *, images: int = 3) -> Assignment:
    """One attempt at a task of this many pictures."""
    variant = Variant(
        model=model.revision,
        renderer=model.renderer,
        pixel_version=model.pixel_version,
        precision=model.precision,
        width=64,
        height=64,
        steps=1,
        guidance_scale=0.0,
        scheduler="",
    )
    requests = [
        Request(prompt=f"{attempt} {number}", negative_prompt="", seed=number, variant=variant)
        for number in range(images)
    ]
    return Assignment(
        job=JOB,
        task="t0000000",
        attempt=attempt,
        model=model,
        requests=tuple(requests),
        image_ids=tuple(request.image_id for request in requests),
        tags=({},) * images,
        output=Output(),
    )


class Listener:
    """Hears a compute out, and keeps all that it said."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self.heard: list[WorkerEvent] = []

    def wait(self, found: Callable[[Sequence[WorkerEvent]], bool]) -> list[WorkerEvent]:
        """Listen until what was heard has what is wanted; gives all that was heard so far."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not found(self.heard):
            assert time.monotonic() < deadline, f"not in time; heard {self.heard[-20:]}"
            self.heard += self._compute.events(timeout_seconds=0.25)
        return self.heard

    def first(self, kind: type[Any], *, worker: str | None = None, after: int = 0) -> Any:
        """The first event of this kind, of this worker if one is named, among what was heard after the first ones."""

        def those(events: Sequence[WorkerEvent]) -> Iterable[WorkerEvent]:
            return (e for e in events[after:] if isinstance(e, kind) and worker in {None, e.worker})

        return next(iter(those(self.wait(lambda events: any(True for _ in those(events))))))


def recorded_images(store: Path) -> list[str]:
    """Ids of all images that records in this store name."""
    opened = open_store(str(store))
    records = [record_from_json(opened.get(info.key)) for info in opened.list(records_prefix(JOB))]
    return [image.image_id for record in records for image in record.images]
