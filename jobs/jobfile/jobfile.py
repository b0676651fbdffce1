"""What a user writes: the job file and its keys. `jobfile_loading` turns a file or options into it."""

import re
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from jobs.jobfile.deliver import DeliverEntry, place_problem
from jobs.jobfile.expansion import SweepEntry, TemplatesEntry
from jobs.jobfile.model import Defaults, PerformanceEntry
from jobs.jobfile.notify import NotifyEntry
from jobs.jobfile.values import (
    AUTO,
    BatchSize,
    Count,
    Excess,
    FilledText,
    Format,
    Instant,
    Market,
    Metadata,
    OnRebalance,
    OutageSeconds,
    Precision,
    ProviderName,
    Quality,
    Retention,
    Text,
    Usd,
    UsdLimit,
    Watts,
    shown,
)
from jobs.written import Written
from pipeline.assignment import Output
from pipeline.job import HARD_EXCESS

NAME = re.compile(r"[a-z0-9](-?[a-z0-9])*")
MAX_NAME = 60


class NodeEntry(Written):
    """Nodes that the job may use."""

    type: FilledText
    market: Market = "spot"
    max: Count = 1
    usd_per_hour: Usd | None = None
    """Price of the whole node; when left out, where `prices` of the job says."""
    gpu: Text = ""
    """What its GPUs are, or `cpu` for nodes that render on CPUs; of a type of your own."""
    gpus: Count | None = None
    """How many of them a node has, or how many CPU workers it holds; of a type of your own."""
    watts: Watts | None = None
    """Power that a machine of your own draws; comes on top of `usd_per_hour`."""
    usd_per_kwh: Usd | None = None
    """Price of that power."""
    provider: ProviderName | None = None
    """Whose metadata service tells who a node is and when it goes; found out by asking when left out."""
    region: Text = ""
    zone: Text = ""
    only_for_deadline: bool | None = None
    """Used only when the job would miss its deadline else, and only as many as it takes. None: so are on-demand nodes
    beside spot nodes, in a job with a deadline."""


class Budget(Written):
    """Limits on money, in US dollars."""

    usd: UsdLimit | None = None
    usd_per_image: UsdLimit | None = None
    usd_per_month: UsdLimit | None = None
    """Of all jobs of this name that were submitted in the same month, UTC."""
    hard_excess: Excess = HARD_EXCESS
    """Share of `usd` by which the batches in flight may pass it before they are given up."""


class OutputEntry(Written):
    """How finished images are stored."""

    format: Format = "png"
    metadata: Metadata = "full"
    quality: Quality = 90
    """For webp and jpeg."""


class JobFile(Written):
    """One job as its user describes it; paths are absolute once it is loaded."""

    name: FilledText
    """Lower-case letters, digits and single hyphens, at most `MAX_NAME` of them."""
    manifest: FilledText
    """A local path, `s3://...`, or `-` for stdin."""
    store: FilledText
    """`s3://bucket/prefix` or a local folder."""
    model: FilledText
    """A profile in `configs/models`, or a diffusers repository, folder or single file."""
    model_options: dict[str, Any] = Field(default_factory=dict)
    """For the renderer: `revision`, `variant`, `pipeline`, `config`, `allow_pickle`, `allow_remote_code`, ..."""
    precision: Precision | None = None
    """None: the profile's, or the renderer's own choice."""
    batch_size: BatchSize | None = None
    """Device batch; `auto`: the one with which the device makes most images a second, found by measuring. None: the
    profile's; where it has none, `auto` on GPUs and the renderer's own on CPUs."""
    workers: Count | None = None
    """At most this many workers; None: all that the nodes hold."""
    performance: PerformanceEntry = PerformanceEntry()
    defaults: Defaults = Defaults()
    images_per_prompt: Count = 1
    templates: TemplatesEntry | None = None
    """None: braces are just text."""
    wildcards: FilledText | None = None
    """Folder of `__name__`, local or `s3://...`; None: `wildcards` beside the manifest."""
    sweep: SweepEntry | None = None
    nodes: tuple[NodeEntry, ...] = ()
    """Empty: this machine, or whatever the cluster at `--address` has."""
    prices: FilledText = "auto"
    """`auto`: the provider is asked, now and while the job runs, and the table stands in; `table`: the table alone; or
    a YAML file of your own prices, which goes before the table."""
    budget: Budget = Budget()
    deadline: Instant | None = None
    on_rebalance: OnRebalance = "ignore"
    """When a cloud recommends to leave a node: `ignore`, or `leave` it when its task is done."""
    store_outage_seconds: OutageSeconds = 900.0
    """How long the store may be silent before the job stops."""
    notify: tuple[NotifyEntry, ...] = ()
    """Who is told what happens."""
    owner: Text = ""
    """Whose job it is; for `list`."""
    tags: dict[FilledText, Text] = Field(default_factory=dict)
    """Labels of the job, for `list`; those of its images are `defaults.tags`."""
    retention: Retention | None = None
    """How long after the job's end `gc` keeps its images; None: as `gc --older-than` says, or for ever."""
    deliver: DeliverEntry | None = None
    """Where the images are copied to when the job is done."""
    output: OutputEntry = OutputEntry()

    @field_validator("name")
    @classmethod
    def _name_is_a_slug(cls, name: str) -> str:
        """Refuse what would not do as part of a key or of a folder's name."""
        if len(name) > MAX_NAME or not NAME.fullmatch(name):
            raise ValueError(
                f"must be lower-case letters, digits and single hyphens, at most {MAX_NAME}, got {shown(name)};"
                f' try "{slug(name)}"'
            )
        return name

    @field_validator("templates", mode="before")
    @classmethod
    def _false_is_none(cls, value: Any) -> Any:
        """`templates: false` is the default."""
        return None if value is False else value

    @field_validator("notify", mode="before")
    @classmethod
    def _nothing_is_nobody(cls, value: Any) -> Any:
        """`set notify=` takes all receivers away."""
        return () if value is None else value

    @field_validator("owner", mode="before")
    @classmethod
    def _nothing_is_no_owner(cls, value: Any) -> Any:
        """`set owner=` takes it away."""
        return "" if value is None else value

    @model_validator(mode="after")
    def _power_is_of_own_machines(self) -> Self:
        """Refuse power where it is paid for already, or said by half."""
        for number, node in enumerate(self.nodes):
            if (node.watts is None) != (node.usd_per_kwh is None):
                raise ValueError(f"nodes[{number}]: give watts and usd_per_kwh together")
            if node.watts is not None and node.type != "local" and node.usd_per_hour is None:
                raise ValueError(f"nodes[{number}]: watts are of a machine of your own; give its usd_per_hour, too")
        return self

    @model_validator(mode="after")
    def _gpus_here_are_counted(self) -> Self:
        """Refuse what this machine tells by itself."""
        for number, node in enumerate(self.nodes):
            if node.type == "local" and (node.gpu or node.gpus):
                raise ValueError(f"nodes[{number}]: the GPUs of this machine are counted; leave gpu and gpus out")
        return self

    @model_validator(mode="after")
    def _delivery_is_outside(self) -> Self:
        """Refuse to deliver into the store, or around it."""
        if self.deliver is not None and (problem := place_problem(self.store, self.deliver.to)):
            raise ValueError(f"deliver.to: {problem}")
        return self

    @model_validator(mode="after")
    def _some_nodes_are_for_all_the_time(self) -> Self:
        """Refuse a reserve of spot nodes, and nothing but a reserve."""
        for number, node in enumerate(self.nodes):
            if node.only_for_deadline and node.market == "spot":
                raise ValueError(
                    f"nodes[{number}]: only_for_deadline: spot nodes are used first; keep on-demand nodes in reserve"
                )
        if self.nodes and all(node.only_for_deadline for node in self.nodes):
            raise ValueError("nodes: all are only_for_deadline, so none would begin; add nodes without it")
        return self

    @model_validator(mode="after")
    def _seeds_fit(self) -> Self:
        """Refuse a default seed whose last image would have none."""
        last = (self.defaults.seed or 0) + self.images_per_prompt - 1
        if last > 2**32 - 1:
            raise ValueError(f"defaults.seed and images_per_prompt give seeds up to {last}; the largest is {2**32 - 1}")
        return self

    @property
    def fixed_batch(self) -> int | None:
        """The batch size that is to be, whatever is fastest."""
        return self.batch_size if isinstance(self.batch_size, int) else None

    @property
    def tuned(self) -> bool:
        """Whether the best batch size is to be found, also on CPUs and in place of the profile's."""
        return self.batch_size == AUTO

    def output_settings(self) -> Output:
        """The output as the domain has it."""
        return Output(**self.output.model_dump())


def slug(text: str) -> str:
    """The nearest allowed job name: `Autumn Catalogue!` becomes `autumn-catalogue`."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return words[:MAX_NAME].strip("-") or "job"
