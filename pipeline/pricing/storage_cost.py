"""What the store itself costs: requests, what lies there, what leaves it; lines of their own beside the nodes'."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from pipeline.pricing.money import NANO

_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRates:
    """What a store charges, in US dollars."""

    usd_per_1000_puts: Decimal
    usd_per_1000_gets: Decimal
    usd_per_1000_lists: Decimal
    usd_per_gib_month: Decimal
    usd_per_gib_egress: Decimal
    source: str
    as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCalls:
    """How often a store was asked; every try of a call counts, as the store charges for each."""

    puts: int = 0
    """Writes, parts of large ones included."""
    gets: int = 0
    """Reads, of whole objects and of what is known of them."""
    lists: int = 0
    """Pages of listings."""

    def __add__(self, other: "StoreCalls") -> "StoreCalls":
        return StoreCalls(puts=self.puts + other.puts, gets=self.gets + other.gets, lists=self.lists + other.lists)

    def __sub__(self, other: "StoreCalls") -> "StoreCalls":
        return StoreCalls(puts=self.puts - other.puts, gets=self.gets - other.gets, lists=self.lists - other.lists)


def calls_of(store: object) -> StoreCalls:
    """How often this process asked a store; nothing of one that does not count, as its calls are free."""
    calls = getattr(store, "calls", None)
    return calls if isinstance(calls, StoreCalls) else StoreCalls()


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageCost:
    """The storage section of a job's status and report."""

    puts: int = 0
    gets: int = 0
    lists: int = 0
    bytes_stored: int = 0
    """Of the images that this job rendered."""
    requests_usd: Decimal = Decimal(0)
    """Once."""
    usd_per_month: Decimal = Decimal(0)
    """For as long as the images lie there."""
    egress_usd: Decimal = Decimal(0)
    """What one download of all of them to outside the store's region would cost."""
    source: str = ""
    """Where the rates come from; empty where the store is free."""

    @property
    def calls(self) -> StoreCalls:
        """The counts alone."""
        return StoreCalls(puts=self.puts, gets=self.gets, lists=self.lists)

    def __add__(self, other: "StorageCost") -> "StorageCost":
        calls, sources = self.calls + other.calls, (self.source, other.source)
        return StorageCost(
            **asdict(calls),
            bytes_stored=self.bytes_stored + other.bytes_stored,
            requests_usd=self.requests_usd + other.requests_usd,
            usd_per_month=self.usd_per_month + other.usd_per_month,
            egress_usd=self.egress_usd + other.egress_usd,
            source="; ".join(dict.fromkeys(source for source in sources if source)),
        )


def storage_cost(calls: StoreCalls, bytes_stored: int, rates: StorageRates | None) -> StorageCost:
    """What these calls and bytes cost, each line rounded to the nano-dollar."""
    counted = StorageCost(puts=calls.puts, gets=calls.gets, lists=calls.lists, bytes_stored=bytes_stored)
    if rates is None:
        return counted
    requests = (
        calls.puts * rates.usd_per_1000_puts
        + calls.gets * rates.usd_per_1000_gets
        + calls.lists * rates.usd_per_1000_lists
    )
    return StorageCost(
        puts=calls.puts,
        gets=calls.gets,
        lists=calls.lists,
        bytes_stored=bytes_stored,
        requests_usd=(requests / 1000).quantize(NANO),
        usd_per_month=(bytes_stored * rates.usd_per_gib_month / _GIB).quantize(NANO),
        egress_usd=egress_usd(bytes_stored, rates),
        source=f"{rates.source}, {rates.as_of}",
    )


def egress_usd(size_bytes: int, rates: StorageRates | None) -> Decimal:
    """What it costs to take so many bytes out of the store's region; an upper bound, as some of a month are free."""
    return Decimal(0) if rates is None else (size_bytes * rates.usd_per_gib_egress / _GIB).quantize(NANO)


def storage_from_values(values: Mapping[str, Any]) -> StorageCost:
    """Read the section of a status back; of an older status it is empty."""
    money = {name: Decimal(values.get(name, "0")) for name in ("requests_usd", "usd_per_month", "egress_usd")}
    counts = {name: int(values.get(name, 0)) for name in ("puts", "gets", "lists", "bytes_stored")}
    return StorageCost(**counts, **money, source=str(values.get("source", "")))  # type: ignore[arg-type]


@dataclass(slots=True)
class CountedCalls:
    """Adds up what each process counted of its own calls; each tells its total, again and again."""

    before: StoreCalls = field(default_factory=StoreCalls)
    """Of earlier drivers and their workers."""
    latest: dict[str, StoreCalls] = field(default_factory=dict)

    def told(self, who: str, facts: Mapping[str, str]) -> None:
        """A process told its totals; a total that makes no sense changes nothing."""
        try:
            counts = {name: int(facts[f"store_{name}"]) for name in ("puts", "gets", "lists")}
        except (KeyError, ValueError):
            return
        self.latest[who] = StoreCalls(**counts)

    @property
    def total(self) -> StoreCalls:
        """Of all."""
        return sum(self.latest.values(), self.before)


class StoreMeter:
    """What one driver's run costs at the store, its workers and all earlier drivers included.

    Args:
        store: the driver's own, counted from now on.
        rates: what it charges; None where it is free.
    """

    def __init__(self, store: object, *, rates: StorageRates | None) -> None:
        self._store, self._rates, self._before = store, rates, calls_of(store)
        self._workers = CountedCalls()
        self.bytes_stored = 0
        """Of the images that the job rendered."""

    def begin(self, workers: CountedCalls, earlier: StorageCost) -> None:
        """Take up the counts of the drivers before this one.

        Args:
            workers: told by the workers from now on.
            earlier: what the last status said.
        """
        self._workers, workers.before, self.bytes_stored = workers, earlier.calls, earlier.bytes_stored

    def cost(self) -> StorageCost:
        """As it stands now."""
        return storage_cost(self._calls, self.bytes_stored, self._rates)

    def facts(self) -> dict[str, Any]:
        """What the ledger keeps of it: counts and rates; what is stored, its rows of images say."""
        rates = None if self._rates is None else {name: str(value) for name, value in asdict(self._rates).items()}
        return {"storage": asdict(self._calls) | {"rates": rates}}

    @property
    def _calls(self) -> StoreCalls:
        """Of all drivers and workers."""
        return self._workers.total + (calls_of(self._store) - self._before)


def facts_of(calls: StoreCalls) -> dict[str, str]:
    """The totals as a heartbeat carries them; nothing of a store that does not count."""
    if calls == StoreCalls():
        return {}
    return {"store_puts": str(calls.puts), "store_gets": str(calls.gets), "store_lists": str(calls.lists)}
