"""A job: one manifest and what to make of it, frozen at submit; and the settings that may change while it lives."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import rfc8785

from pipeline.assignment import Output
from pipeline.ledger.type_figures import Expected, expected_from_values
from pipeline.model import Model
from pipeline.request import Lora, Variant

JOB_SCHEMA = 1
"""Version of `job.json` and of the settings files."""


class JobState(StrEnum):
    """Where a job stands."""

    PENDING = "PENDING"
    """Frozen in the store, nothing rendered yet."""
    RUNNING = "RUNNING"
    """A driver hands out its tasks."""
    RECOVERING = "RECOVERING"
    """Running, with workers lost."""
    PAUSED = "PAUSED"
    """Stopped by Ctrl-C or `pause`; `submit` resumes it."""
    SUCCEEDED = "SUCCEEDED"
    """Every image is there."""
    COMPLETED_WITH_FAILURES = "COMPLETED_WITH_FAILURES"
    """All was tried, some images failed."""
    STOPPED = "STOPPED"
    """By budget, deadline or the no-progress watchdog; resumable."""
    CANCELED = "CANCELED"
    """By the user."""

    @property
    def terminal(self) -> bool:
        """Whether nothing more happens until the user submits or retries."""
        return self in {JobState.SUCCEEDED, JobState.COMPLETED_WITH_FAILURES, JobState.STOPPED, JobState.CANCELED}

    @property
    def exit_code(self) -> int:
        """The exit code of `submit` and `wait` for this state."""
        return _EXIT_CODES.get(self, 0)


_EXIT_CODES = {
    JobState.SUCCEEDED: 0,
    JobState.COMPLETED_WITH_FAILURES: 3,
    JobState.STOPPED: 4,
    JobState.CANCELED: 5,
    JobState.PAUSED: 130,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSizes:
    """How the plan cuts tasks; frozen, since task ids follow from it."""

    batch: int
    """Tasks are whole multiples of this many requests, but the last of a group."""
    largest: int
    """No task has more requests."""
    tail_share: int = 64
    """A task has at most 1/tail_share of what is left of its group, so that no node straggles at the end."""
    tasks_per_bucket: int = 64
    """Tasks per ledger bucket."""
    tuned: bool = False
    """The best batch size is found by measuring, on CPUs too; without it on GPUs alone, where nobody names a size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is rendered."""

    name: str
    """Lower-case letters, digits and hyphens."""
    digest: str
    """sha256 over the resolved manifest: image ids, custom ids and tags in order."""
    models: tuple[Model, ...]
    variants: tuple[Variant, ...]
    """The `variant` column of the requests files counts into this."""
    variant_models: tuple[str, ...]
    """Name of the model of each variant."""
    output: Output
    sizes: TaskSizes
    images: int
    """Rows of the requests files: manifest rows x images of each."""
    request_files: int
    """How many files hold them."""
    submitted_at: datetime
    """UTC; its date is the ledger's partition."""
    manifest: str
    """The manifest's location as the user wrote it, without credentials."""

    @property
    def id(self) -> str:
        """`<name>-<first 16 hex of the hash of what is rendered>`."""
        rendered: dict[str, Any] = {
            "digest": self.digest,
            "models": [[model.name, model.renderer, model.revision] for model in self.models],
            "output": asdict(self.output),
        }
        return f"{self.name}-{hashlib.sha256(rfc8785.dumps(rendered)).hexdigest()[:16]}"

    @property
    def date(self) -> str:
        """The day of the submit, `YYYY-MM-DD`."""
        return self.submitted_at.date().isoformat()

    def model_of(self, variant: int) -> Model:
        """The model that renders this variant."""
        name = self.variant_models[variant]
        return next(model for model in self.models if model.name == name)


ASSUMED_PRICE = "configs/prices.yaml (an assumption)"
"""Where the price of a machine of the user's own comes from as long as nobody says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOffer:
    """Nodes that a job may use."""

    type: str
    """Node type, such as `g6e.xlarge`; `local` for this machine."""
    market: str
    """`spot`, `on_demand` or `local`."""
    max: int
    """At most this many nodes."""
    usd_per_hour: Decimal = Decimal(0)
    """Price of the whole node."""
    price_source: str = "configuration"
    """Where the price comes from."""
    live: bool = False
    """Whether the provider is asked for prices while the job runs; `usd_per_hour` stands in where it does not tell."""
    provider: str = "static"
    gpu: str = ""
    """GPU name; `cpu` for CPU workers; empty when only the node knows."""
    gpus: int = 1
    """Workers per node: its GPUs, or the CPU workers that it holds."""
    region: str = ""
    zone: str = ""
    only_for_deadline: bool | None = None
    """Whether it is used only where the job would be late without it; None: so are on-demand nodes beside spot ones."""


HARD_EXCESS = Decimal("0.1")
"""Of a budget: what its last batches may cost beyond it, where nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What may change while a job lives."""

    nodes: tuple[NodeOffer, ...]
    budget_usd: Decimal | None = None
    usd_per_image: Decimal | None = None
    usd_per_month: Decimal | None = None
    """Of all jobs of this name that were submitted in the present month, UTC."""
    hard_excess: Decimal = HARD_EXCESS
    """Share of `budget_usd` by which the batches in flight may pass it; then they are given up."""
    deadline: datetime | None = None
    expected: tuple[Expected, ...] = ()
    """What the job was planned with, where it was."""
    notify: tuple[dict[str, Any], ...] = field(default_factory=tuple)
    deliver: dict[str, Any] | None = None
    """Where the images are copied to at the end (`to`), under which `names`, with links of `link_seconds`."""
    on_rebalance: str = "ignore"
    """When a cloud recommends to leave a node: `ignore`, or `leave` it when its task is done."""
    outage_seconds: float = 900.0
    """How long a store may be silent before the job stops."""
    owner: str = ""
    """Whose job it is, as its user wrote it; may be empty."""
    tags: dict[str, str] = field(default_factory=dict)
    """Labels of the job; no image knows them."""
    retention_seconds: float | None = None
    """How long after the job's end its images are kept; None: nobody said."""

    def is_reserve(self, offer: NodeOffer) -> bool:
        """Whether these nodes are used only when the deadline takes them."""
        if offer.only_for_deadline is not None:
            return offer.only_for_deadline
        beside_spot = offer.market == "on_demand" and any(other.market == "spot" for other in self.nodes)
        return self.deadline is not None and beside_spot


def job_to_json(job: Job) -> bytes:
    """The job as `job.json`."""
    return json.dumps(
        {"schema": JOB_SCHEMA, "id": job.id} | asdict(job), default=str, indent=1, sort_keys=True
    ).encode()


def job_from_json(body: bytes) -> Job:
    """Read `job.json`.

    Raises:
        ValueError: not a job, or of a schema version that this code does not know.
    """
    values: dict[str, Any] = json.loads(body)
    if values.pop("schema", None) != JOB_SCHEMA:
        raise ValueError(f"this version reads job schema {JOB_SCHEMA}")
    values.pop("id")
    variants = tuple(
        Variant(**(variant | {"loras": tuple(Lora(**lora) for lora in variant["loras"])}))
        for variant in values.pop("variants")
    )
    return Job(
        models=tuple(Model(**model) for model in values.pop("models")),
        variants=variants,
        variant_models=tuple(values.pop("variant_models")),
        output=Output(**values.pop("output")),
        sizes=TaskSizes(**values.pop("sizes")),
        submitted_at=datetime.fromisoformat(values.pop("submitted_at")),
        **values,
    )


def settings_to_json(settings: Settings) -> bytes:
    """The settings as `settings/<n>.json`; money as strings."""
    return json.dumps({"schema": JOB_SCHEMA} | asdict(settings), default=str, indent=1, sort_keys=True).encode()


def settings_from_json(body: bytes) -> Settings:
    """Read a settings file. Raises: ValueError: of another schema version."""
    values: dict[str, Any] = json.loads(body)
    if values.pop("schema", None) != JOB_SCHEMA:
        raise ValueError(f"this version reads settings schema {JOB_SCHEMA}")

    def money(key: str) -> Decimal | None:
        return None if values.get(key) is None else Decimal(values[key])

    return Settings(
        nodes=tuple(NodeOffer(**(node | {"usd_per_hour": Decimal(node["usd_per_hour"])})) for node in values["nodes"]),
        budget_usd=money("budget_usd"),
        usd_per_image=money("usd_per_image"),
        usd_per_month=money("usd_per_month"),
        hard_excess=Decimal(values.get("hard_excess", HARD_EXCESS)),
        deadline=None if values["deadline"] is None else datetime.fromisoformat(values["deadline"]),
        expected=tuple(expected_from_values(one) for one in values.get("expected", ())),
        notify=tuple(values["notify"]),
        deliver=values.get("deliver"),
        on_rebalance=values.get("on_rebalance", "ignore"),
        outage_seconds=float(values.get("outage_seconds", 900.0)),
        owner=str(values.get("owner", "")),
        tags={str(name): str(text) for name, text in values.get("tags", {}).items()},
        retention_seconds=None if values.get("retention_seconds") is None else float(values["retention_seconds"]),
    )
