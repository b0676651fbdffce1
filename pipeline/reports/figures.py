"""The figures of a cost report: exact money as Decimal dollars, time as whole GPU-nanoseconds, instants in UTC.

Nothing here is rounded but quotients, and nothing is a float. What is not known is None, never zero.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from pipeline.pricing.storage_cost import StorageCost
from pipeline.reports.gpu_usage import GpuUsage

NS_PER_HOUR = Decimal(3_600_000_000_000)

ListPrice = Callable[[str, str, str], Decimal | None]
"""(provider, node type, region) -> dollars per hour of the whole node on demand; None when nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Node sessions or images that have something in common, and all that was paid for them."""

    name: str
    """What they have in common, such as `g6e.xlarge`; text of others, to be escaped wherever it is shown."""
    nodes: int
    """Node sessions."""
    reclaimed: int
    """Of them taken by the cloud."""
    lost: int
    """Of them gone without a notice."""
    running: int
    """Of them not closed: they count up to their last heartbeat."""
    gpu_nanoseconds: int
    """GPUs x lifetime."""
    usd: Decimal
    """Accrued: time x price. The seven categories add up to it."""
    billable_usd: Decimal
    """By the provider's rules."""
    categories: Mapping[str, Decimal]
    """Dollars by each of the seven categories of the ledger, in its order."""
    nanoseconds: Mapping[str, int]
    """GPU-nanoseconds by category."""
    rendered: int
    reused: int
    """Images that an earlier job had made: at no cost, and in no cost per image."""
    failed: int
    duplicates: int
    startup_parts: Mapping[str, Decimal] | None = None
    """Dollars by part of `startup`: boot, load, compile; None for groups of images, and where no session tells them."""
    startup_nanoseconds: Mapping[str, int] | None = None
    """GPU-nanoseconds by part of `startup`."""

    @property
    def gpu_hours(self) -> Decimal:
        """GPUs x lifetime, hours."""
        return self.gpu_nanoseconds / NS_PER_HOUR

    @property
    def usd_per_image(self) -> Decimal | None:
        """Fully loaded: all spend over the images rendered; None without any."""
        return self.usd / self.rendered if self.rendered else None

    @property
    def gpu_usd_per_image(self) -> Decimal | None:
        """GPU time alone: rendering over the images rendered; None without any."""
        return self.categories["rendering"] / self.rendered if self.rendered else None

    @property
    def images_per_usd(self) -> Decimal | None:
        """Images rendered for a dollar of all spend; None where nothing was spent."""
        return self.rendered / self.usd if self.usd > 0 else None

    @property
    def images_per_hour(self) -> Decimal | None:
        """Images rendered in an hour of one GPU's life; None without any time."""
        return self.rendered / self.gpu_hours if self.gpu_nanoseconds else None

    @property
    def utilisation(self) -> Decimal | None:
        """Rendering over all GPU time, 0 to 1; None without any time."""
        return Decimal(self.nanoseconds["rendering"]) / self.gpu_nanoseconds if self.gpu_nanoseconds else None

    def share(self, category: str) -> Decimal:
        """What part of the spend a category is, 0 to 1; 0 where nothing was spent."""
        return self.categories[category] / self.usd if self.usd else Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What the images of a job were planned to cost, and what they did."""

    usd_per_image: Decimal
    """Of each type of node by the images that it made."""
    low_usd: Decimal
    high_usd: Decimal
    """The plan's interval."""
    took_usd: Decimal
    """What an image cost on the nodes that were planned with, fully loaded."""
    origin: str
    """On what the plan rested."""

    @property
    def error(self) -> Decimal | None:
        """By which share it took more than planned."""
        return self.took_usd / self.usd_per_image - 1 if self.usd_per_image else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What the same hours would have cost on demand, for the node types whose on-demand price is known."""

    on_demand_usd: Decimal
    usd: Decimal
    """Accrued by those sessions."""
    unknown: tuple[str, ...]
    """Node types whose on-demand price nobody knows, sorted; their hours are in neither amount."""

    @property
    def saved_usd(self) -> Decimal:
        """Below zero when more was paid than on demand."""
        return self.on_demand_usd - self.usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What one cause cost."""

    cause: str
    """A `Cause` of images, or `PREEMPTED`, `DUPLICATE`, `ATTEMPTS` for work that ended without an image."""
    images: int
    """Images that failed by it, or that were rendered twice; 0 where whole batches were lost."""
    usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The largest avoidable line, and one thing to do about it."""

    line: str
    """A category of the ledger."""
    usd: Decimal
    """What the whole line cost."""
    saved_usd: Decimal
    """What the advice would have saved of it, computed from these figures."""
    text: str
    """One sentence; holds names of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One node session, as a time line shows it."""

    job: str
    node_session: str
    node_id: str
    node_type: str
    market: str
    zone: str
    started_at: datetime
    ended_at: datetime
    """The last heartbeat of one that is running."""
    terminated_by: str
    """`reclaimed`, `released`, `lost` or `running`."""
    usd: Decimal
    billable_usd: Decimal
    rendered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A stretch of time, and what was spent in it."""

    started_at: datetime
    seconds: int
    categories: Mapping[str, Decimal]
    """Dollars by category: rendering by the images' own instants, start-up at the beginning of each session, the
    rest spread evenly over what is left of it. All slots add up to the sessions' spend."""
    by_node_type: Mapping[str, Mapping[str, Decimal]]
    """The same by node type and market, as `Report.by_node_type` names them; together they are `categories`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The cost report of some jobs, from the ledger alone."""

    jobs: tuple[str, ...]
    """Ids of the jobs asked for, or else of all in the ledger; sorted."""
    since: date | None
    """Jobs submitted on this day or later; None: all."""
    total: Group
    """All node sessions and images."""
    overhead_usd: Decimal
    """Spend that no node session holds; not part of `total.usd`."""
    storage: StorageCost | None
    """What the store itself costs, beside `usd`; None where the ledger does not tell."""
    by_node_type: tuple[Group, ...]
    """Node type and market, dearest first."""
    by: str
    """What `groups` have in common; see `parse_by`."""
    groups: tuple[Group, ...]
    """Dearest first. Image groups (`model`, `size`, `tag:`, `cause`) share each node session's spend in proportion to
    the GPU time of their images, exactly; what a session spent without any image is the group `(no image)`."""
    groups_left_out: int
    """Groups beyond the largest, added up in the last one, `(others)`."""
    saved: Saved
    failures: tuple[Failure, ...]
    """Dearest first."""
    gpu_usages: tuple[GpuUsage, ...]
    """What the images took of their GPUs, as far as anybody told; the dearest kinds first."""
    advice: Advice | None
    """None where nothing could have been saved."""
    sessions: tuple[Session, ...]
    """The dearest ones, in the order of their start."""
    sessions_left_out: int
    over_time: tuple[Slot, ...]
    price_sources: tuple[str, ...]
    """Where the prices of the node sessions come from, the dearest first; at most ten."""
    last_heartbeat_at: datetime | None
    """Up to when the sessions that still run are counted; None when none runs."""
    notes: tuple[str, ...]
    """What a reader should know: sessions without a price, overlapping ones, figures that do not add up."""
    skipped: tuple[str, ...]
    """Ledger files that were left out, each with the reason; a report with such files is not complete."""
    planned: Planned | None = None
    """None where the job was not planned, or the report is of several."""

    @property
    def usd(self) -> Decimal:
        """All spend."""
        return self.total.usd + self.overhead_usd

    @property
    def usd_per_image(self) -> Decimal | None:
        """All spend over the images rendered; None without any."""
        return self.usd / self.total.rendered if self.total.rendered else None

    @property
    def images_per_usd(self) -> Decimal | None:
        """Images rendered for a dollar of all spend; None where nothing was spent."""
        return self.total.rendered / self.usd if self.usd > 0 else None
