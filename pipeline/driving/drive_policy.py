"""The driver's own times and limits."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how soon work is tried again."""

    deaths: int = 3
    """Unnoticed deaths with the same batch on the device before it is bisected, and again alone before it fails."""
    strikes: int = 5
    """The same for a batch that fails for reasons of infrastructure while its worker lives."""
    refusals: int = 2
    """Processes in which an image fails alone, or is refused by the gate, before it is recorded."""
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 30.0
    """The wait doubles from the first to the longest; jitter makes it up to half as long."""
    store_wait_seconds: float = 3.0
    """Before work that a silent store sent back is tried again."""

    def wait_seconds(self, tries: int, jitter: float) -> float:
        """How long to wait after so many tries, from 1; jitter is a random number from 0 to 1."""
        wait = min(self.first_wait_seconds * 2.0 ** min(tries - 1, 30), self.longest_wait_seconds)
        return wait * (1 - jitter / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrivePolicy:
    """What a driver waits for, and how long."""

    tick_seconds: float = 0.25
    """How long to wait for events at most."""
    heartbeat_seconds: float = 5.0
    """How often node sessions and status go to the store."""
    metrics_seconds: float = 5.0
    """How often figures are told that are no event's."""
    ledger_seconds: float = 60.0
    """How often unfinished ledger buckets are written."""
    refusals: int = 3
    """Workers that refuse, or die before they are ready, one after the other with none ready: the job stops. So it does
    when the store refuses what this many workers put, with nothing committed in between."""
    model_refusals: int = 3
    """Workers that cannot load a model that nobody could load: it is given up. With fewer, when no other is left."""
    silence_seconds: float = 12.0
    """A ready worker that says nothing for this long, while the driver listens, is killed."""
    loading_silence_seconds: float = 125.0
    """The same while it loads another model or compiles one, which may hold up its heartbeat."""
    progress_seconds: float = 1800.0
    """Nothing committed for this long while a worker is ready and the store answers: the job stops."""
    drought_seconds: float = 60.0
    """No worker for this long: the status says so."""
    elsewhere_seconds: float = 600.0
    """How long images that fit on no node there is wait for one of another type."""
    give_ups: int = 20
    """Images given up for reasons of infrastructure, one after the other with none rendered between: the job stops."""
    staffing_seconds: float = 1.0
    """How often it is looked which nodes are wanted."""
    changeover_seconds: float = 300.0
    """From asking for a node of the reserve to its first batch, until that was measured."""
    idle_seconds: float = 30.0
    """Nodes for which no work is left are let go when none waited for so long."""
    drain_seconds: float = 120.0
    """How long a stopping driver waits for batches in flight."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
