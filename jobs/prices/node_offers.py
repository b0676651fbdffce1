"""The nodes that a job may use, each with its price and where that comes from."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

from infra.providers.price_table import PriceTable
from infra.providers.prices import tells_prices
from jobs.jobfile.jobfile import JobFile, NodeEntry
from jobs.nearest import did_you_mean
from jobs.prices.price_files import own_machine, price_table, read_price_file, with_power
from jobs.profiles import NodeType, node_types
from pipeline.errors import JobFileError
from pipeline.job import ASSUMED_PRICE, NodeOffer
from pipeline.pricing.prices import Priced

LOCAL_PRICE = "SPOTRENDER_LOCAL_USD_PER_HOUR"
"""Environment variable: what an hour of this machine costs."""


def node_offers(
    job_file: JobFile,
    environ: Mapping[str, str],
    *,
    gpus_here: int | None = None,
    cluster: tuple[int, int] | None = None,
) -> tuple[NodeOffer, ...]:
    """The nodes that the job may use, each with its price and where that comes from.

    Args:
        job_file: may name them.
        environ: may hold the price of this machine.
        gpus_here: GPUs of this machine; looked up when not given.
        cluster: nodes of the cluster that is used instead of this machine, and GPUs of each (0: CPU workers); for a
            job that names no nodes.
    """
    if not job_file.nodes and cluster is not None:
        nodes, gpus = cluster
        here = _local(NodeEntry(type="local", market="local"), None, environ, gpus)
        return (replace(here, max=max(1, nodes), gpu="" if gpus else "cpu", gpus=max(1, gpus)),)
    if not job_file.nodes:
        return (_local(NodeEntry(type="local", market="local"), job_file.workers, environ, gpus_here),)
    types, table, own = node_types(), price_table(), set[str]()
    if job_file.prices not in {"auto", "table"}:
        rows = read_price_file(job_file.prices)
        table, own = price_table(rows, name=Path(job_file.prices).name), {row.type for row in rows}
    return tuple(
        _local(entry, job_file.workers, environ, gpus_here)
        if entry.type == "local"
        else _typed(number, entry, types, table, own, ask=job_file.prices == "auto")
        for number, entry in enumerate(job_file.nodes)
    )


def _local(entry: NodeEntry, workers: int | None, environ: Mapping[str, str], gpus_here: int | None) -> NodeOffer:
    """This machine, or the nodes of a cluster of one's own."""
    found = count_gpus(environ) if gpus_here is None else gpus_here
    price, source = own_machine().total_usd_per_hour, ASSUMED_PRICE
    if text := environ.get(LOCAL_PRICE):
        price, source = price_of(text, LOCAL_PRICE), LOCAL_PRICE
    if entry.usd_per_hour is not None or entry.watts is not None:
        price, source = _said(entry)
    return NodeOffer(
        type="local",
        market="local",
        max=entry.max,
        usd_per_hour=price,
        price_source=source,
        provider="local",
        gpu="" if found else "cpu",
        gpus=workers or found or 1,
        region=entry.region,
        zone=entry.zone,
        only_for_deadline=entry.only_for_deadline,
    )


def price_of(text: str, name: str) -> Decimal:
    """The price in a variable of the environment. Raises: JobFileError: it is none."""
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal(-1)
    if not price.is_finite() or not 0 <= price < 10**6:
        raise JobFileError(f'{name}: must be an amount in US dollars such as 0.25, got "{text}"')
    return price


def _typed(
    number: int, entry: NodeEntry, types: Mapping[str, NodeType], table: PriceTable, own: AbstractSet[str], *, ask: bool
) -> NodeOffer:
    """Nodes of a type that a table knows, or of one whose price the job file gives.

    Args:
        number: place in the job file.
        entry: what it says.
        types: that ship.
        table: prices.
        own: types in the user's own price file.
        ask: whether the provider may be asked while the job runs.

    Raises:
        JobFileError: nobody knows a price, which is never taken for zero; or GPUs are said that are known.
    """
    known = types.get(entry.type)
    if known and (entry.gpu or entry.gpus):
        raise JobFileError(
            f"nodes[{number}]: a {entry.type} has {known.gpus} x {known.gpu}; leave gpu and gpus out, which are for "
            "node types of your own"
        )
    provider, region = known.provider if known else "static", entry.region or (known.region if known else "")
    watched_by = entry.provider or (known.provider if known else "auto")
    live = False
    if entry.usd_per_hour is not None:
        price, source = _said(entry)
    else:
        wanted = Priced(provider=provider, node_type=entry.type, market=entry.market, region=region, zone=entry.zone)
        quote = table.quote(wanted)
        if quote is None:
            listed = {*types, *own}
            near = did_you_mean(entry.type, listed) or f"; known are {', '.join(sorted(listed))}"
            raise JobFileError(
                f'nodes[{number}].type: unknown node type "{entry.type}"{near} (or give its usd_per_hour with it, '
                "or a file of your prices with prices:)"
            )
        price, source = quote.steps[0].usd_per_hour, quote.steps[0].source
        live = ask and watched_by == provider and tells_prices(provider, entry.market)
    return NodeOffer(
        type=entry.type,
        market=entry.market,
        max=entry.max,
        usd_per_hour=price,
        price_source=source,
        live=live,
        provider=watched_by,
        gpu=known.gpu if known else entry.gpu,
        gpus=known.gpus if known else entry.gpus or 1,
        region=region,
        zone=entry.zone,
        only_for_deadline=entry.only_for_deadline,
    )


def _said(entry: NodeEntry) -> tuple[Decimal, str]:
    """The price that the job file gives, its power included."""
    if entry.watts is None or entry.usd_per_kwh is None:
        return entry.usd_per_hour or Decimal(0), "job file"
    price = with_power(entry.usd_per_hour or Decimal(0), entry.watts, entry.usd_per_kwh)
    return price, f"job file, with {entry.watts:f} W at ${entry.usd_per_kwh:f} per kWh"


def capped(offers: Sequence[NodeOffer], workers: int | None) -> tuple[NodeOffer, ...]:
    """The offers, the first ones first, cut to the nodes that so many workers need."""
    if workers is None:
        return tuple(offers)
    kept, left = [], workers
    for offer in offers:
        nodes = min(offer.max, -(-left // offer.gpus))
        if nodes > 0:
            kept.append(replace(offer, max=nodes))
            left -= nodes * offer.gpus
    return tuple(kept)


def count_gpus(environ: Mapping[str, str], *, driver: Path = Path("/proc/driver/nvidia/gpus")) -> int:
    """NVIDIA GPUs that this machine shows to programs, found without loading torch."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([one for one in visible.split(",") if one.strip() not in {"", "-1"}])
    return len(list(driver.iterdir())) if driver.is_dir() else 0
