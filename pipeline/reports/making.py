"""Makes a cost report from an open ledger."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType

import duckdb

from pipeline.ledger.schema import CATEGORIES
from pipeline.pricing.overhead import told_overhead
from pipeline.reports.advice import advise
from pipeline.reports.by import NODE_KEYS, By, parse_by
from pipeline.reports.figures import Failure, Group, ListPrice, Report, Saved
from pipeline.reports.gpu_usage import gpu_usages
from pipeline.reports.ledger import Ledger
from pipeline.reports.notes import notes_on, overhead_notes, untagged
from pipeline.reports.right_sizing import Market
from pipeline.reports.storage import storage_of
from pipeline.reports.summing import gather, groups, total
from pipeline.reports.timeline import last_heartbeat, sessions, slots

_NS_PER_HOUR = Decimal(3_600_000_000_000)
_BY_TYPE = By(text="node_type", of_nodes=True, expression=NODE_KEYS["node_type"])


def nobody_knows(*_: str) -> Decimal | None:
    """A `ListPrice` for those who have none."""
    return None


def make_report(
    ledger: Ledger,
    *,
    by: str = "node_type",
    since: date | None = None,
    list_price: ListPrice = nobody_knows,
    time_line: bool = False,
    market: Market | None = None,
    removed: Mapping[str, int] = MappingProxyType({}),
) -> Report:
    """All figures.

    Args:
        ledger: of the jobs to report on.
        by: what the groups have in common; see `parse_by`.
        since: said in the report; the ledger was opened with it.
        list_price: on-demand prices, to tell what was saved.
        time_line: whether `sessions` and `over_time` are wanted; they read the images once more.
        market: what other cards can and cost, to tell whether a cheaper one would have done.
        removed: by job, bytes of images that clean-up removed; they cost no storage any more.

    Raises:
        JobFileError: nothing is grouped by this.
    """
    key = parse_by(by)
    try:
        gather(ledger, key)
    except duckdb.Error:
        if not ledger.leave_out_damaged():
            raise
        gather(ledger, key)
    everything = total(ledger)
    failures = _failures(ledger, everything)
    by_type, _ = groups(ledger, _BY_TYPE)
    by_type = [group for group in by_type if group.nodes]
    unheld, told = _unheld(ledger), _told(ledger)
    usages = gpu_usages(ledger)
    if key.text == "cause":
        chosen, left_out = [_failed(failure) for failure in failures], 0
    else:
        chosen, left_out = groups(ledger, key)
    shown, more = sessions(ledger) if time_line else ([], everything.nodes)
    return Report(
        jobs=ledger.jobs,
        since=since,
        total=everything,
        overhead_usd=unheld + sum((usd for usd, _ in told), Decimal(0)),
        storage=storage_of(ledger, removed),
        by_node_type=tuple(by_type),
        by=by,
        groups=tuple(group for group in chosen if group.name or group.nodes or group.rendered or group.failed),
        groups_left_out=left_out,
        saved=_saved(ledger, list_price),
        failures=tuple(failures),
        gpu_usages=usages,
        advice=advise(ledger, everything, usages, market),
        sessions=tuple(shown),
        sessions_left_out=more,
        over_time=tuple(slots(ledger)) if time_line else (),
        price_sources=_price_sources(ledger),
        last_heartbeat_at=last_heartbeat(ledger),
        notes=(*notes_on(ledger, unheld), *overhead_notes(told), *untagged(ledger, key)),
        skipped=tuple(ledger.skipped),
    )


def _unheld(ledger: Ledger) -> Decimal:
    """What images cost on node sessions that the nodes ledger does not hold."""
    (row,) = ledger.rows("SELECT coalesce(sum(usd), 0) AS usd FROM facts ANTI JOIN sessions USING (job, node_session)")
    return Decimal(row["usd"])


def _told(ledger: Ledger) -> list[tuple[Decimal, str]]:
    """Overhead that drivers told: dollars and source, job by job."""
    return [one for _, facts in ledger.told("overhead") if (one := told_overhead(facts)) is not None]


def _price_sources(ledger: Ledger) -> tuple[str, ...]:
    rows = ledger.rows(
        """SELECT price_source FROM sessions WHERE price_source <> ''
           GROUP BY price_source ORDER BY sum(accrued_usd) DESC, price_source LIMIT 10"""
    )
    return tuple(row["price_source"] for row in rows)


def _saved(ledger: Ledger, list_price: ListPrice) -> Saved:
    """On-demand prices for the hours of each node type; this machine and machines of one's own have none."""
    rows = ledger.rows(
        """SELECT provider, node_type, region, greatest(coalesce(node_gpus, gpu_count), 1) AS gpus,
                  sum(accrued_usd) AS usd, sum(lifetime_gpu_nanoseconds) AS nanoseconds
           FROM sessions WHERE market <> 'local' GROUP BY ALL"""
    )
    on_demand, usd, unknown = Decimal(0), Decimal(0), set[str]()
    for row in rows:
        price = list_price(row["provider"], row["node_type"], row["region"])
        if price is None:
            unknown.add(row["node_type"])
            continue
        on_demand += price * int(row["nanoseconds"]) / row["gpus"] / _NS_PER_HOUR
        usd += row["usd"]
    return Saved(on_demand_usd=on_demand, usd=usd, unknown=tuple(sorted(unknown)))


def _failures(ledger: Ledger, everything: Group) -> list[Failure]:
    """By cause of images; then what was lost without any: reclaims, duplicates, and attempts that ended otherwise."""
    rows = ledger.rows(
        """SELECT coalesce(nullif(cause, ''), 'UNKNOWN') AS cause, sum(images) AS images, sum(usd) AS usd
           FROM facts WHERE outcome = 'failed' GROUP BY ALL"""
    )
    found = [Failure(cause=row["cause"], images=int(row["images"]), usd=Decimal(row["usd"])) for row in rows]
    categories = everything.categories
    rest = categories["lost_to_failure"] - sum((one.usd for one in found), Decimal(0))
    found.append(Failure(cause="PREEMPTED", images=0, usd=categories["lost_to_preemption"]))
    found.append(Failure(cause="DUPLICATE", images=everything.duplicates, usd=categories["duplicate"]))
    found.append(Failure(cause="ATTEMPTS", images=0, usd=rest))
    return sorted((one for one in found if one.usd or one.images), key=lambda one: (-one.usd, one.cause))


def _failed(failure: Failure) -> Group:
    """A failure as a group, for `--by cause`: money without node sessions."""
    category = {"PREEMPTED": "lost_to_preemption", "DUPLICATE": "duplicate"}.get(failure.cause, "lost_to_failure")
    duplicate = failure.cause == "DUPLICATE"
    return Group(
        name=failure.cause,
        nodes=0,
        reclaimed=0,
        lost=0,
        running=0,
        gpu_nanoseconds=0,
        usd=failure.usd,
        billable_usd=failure.usd,
        categories=dict.fromkeys(CATEGORIES, Decimal(0)) | {category: failure.usd},
        nanoseconds=dict.fromkeys(CATEGORIES, 0),
        rendered=0,
        reused=0,
        failed=0 if duplicate else failure.images,
        duplicates=failure.images if duplicate else 0,
    )
