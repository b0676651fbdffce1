"""The seam of `cluster render`: what a kind of cluster is given, and what it makes of that."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from infra.compute.ray_demand import node_labels
from jobs.jobfile.jobfile import JobFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Worker nodes of one type in one market."""

    type: str
    """Node type, as the job names it."""
    market: str
    """`spot`, `on_demand` or `local`."""
    max: int
    """At most this many nodes."""
    usd_per_hour: Decimal
    """Of one node; of several zones with prices of their own, the highest."""
    price_source: str
    provider: str
    gpu: str
    """Name of its GPUs; `cpu` for CPU workers; empty where only the node knows."""
    gpus: int
    """Workers per node."""
    region: str
    """Empty: the job leaves it open."""
    zones: tuple[str, ...]
    """In the job's order; empty: any of the region."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Ray labels that the job's workers ask for; give them to every node of the pool."""
        return node_labels(self.type, self.market)

    @property
    def name(self) -> str:
        """For a person, and in files: `g6e.xlarge-spot`."""
        return f"{self.type}-{self.market.replace('_', '-')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a cluster is to be rendered from."""

    job: JobFile
    pools: tuple[Pool, ...]
    """At least one; no two of one type and market; spot before on-demand, else in the job's order."""
    options: Mapping[str, str]
    """What `--with KEY=VALUE` said; read them with `jobs.cluster.options.read_options`, which refuses unknown keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Nodes of one kind, at their most."""

    name: str
    """For a person: `head`, `g6e.xlarge spot`."""
    market: str
    """`spot`, `on_demand` or `local`."""
    count: int
    usd_per_hour: Decimal
    """Of one of them."""
    price_source: str

    @property
    def most_usd_per_hour(self) -> Decimal:
        """Of all of them."""
        return self.count * self.usd_per_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """What a target made: nothing is written yet."""

    lines: tuple[Line, ...]
    """Everything that is paid by the hour; the head first."""
    creates: tuple[str, ...]
    """What else would be there, for a person, one thing each."""
    files: Mapping[str, str]
    """Path below the folder -> text."""
    notes: tuple[str, ...] = ()
    """What is worth a thought, such as an option that was left at a default that may not do."""
    next: tuple[str, ...] = ()
    """Commands that bring it up, run the job and take it down; `{folder}` stands for the quoted folder."""


class Target(Protocol):
    """One kind of cluster; a pure function of what is wanted."""

    def __call__(self, wanted: Wanted) -> Rendering:
        """Render it.

        Raises:
            JobFileError: the job or an option does not go with this kind of cluster; with the remedy.
        """
