"""A report's headline and waste as plain `label, value` pairs; every format for people says the same."""

from decimal import Decimal

from jobs.terminal_text import dollars, size
from pipeline.reports.figures import Group, Report
from pipeline.reports.gpu_usage import overall

LOST = ("lost_to_preemption", "lost_to_failure", "duplicate")
"""Categories that are told as `lost` where there is little room."""

_SHORT_TYPES = 5
_SOURCES = 3


def title(report: Report) -> str:
    """`autumn-0123456789abcdef`, or `3 jobs since 2026-11-14`."""
    since = f" submitted since {report.since.isoformat()}" if report.since else ""
    if len(report.jobs) == 1:
        return report.jobs[0] + since
    return f"{len(report.jobs):,} jobs{since}" if report.jobs else f"no jobs{since} in this ledger"


def headline(report: Report) -> list[tuple[str, str]]:
    """What was made, what it cost, and what that is for an image."""
    total = report.total
    apart = [
        f"{count:,} {name}"
        for name, count in (("reused", total.reused), ("failed", total.failed), ("duplicate", total.duplicates))
        if count
    ]
    spend = [f"{dollars(report.usd)} accrued", f"{dollars(total.billable_usd)} billable"]
    if report.overhead_usd:
        spend.append(f"{dollars(report.overhead_usd)} of it overhead")
    rows = [
        ("images", ", ".join([f"{total.rendered:,} rendered", *apart])),
        ("spend", ", ".join(spend)),
        ("per image", f"{known(report.usd_per_image)} fully loaded, {known(total.gpu_usd_per_image)} GPU time alone"),
    ]
    if report.planned is not None:
        plan, error = report.planned, report.planned.error
        off = "" if error is None else f", {error:+.0%}"
        interval = f"{dollars(plan.low_usd)} to {dollars(plan.high_usd)}, {plan.origin}"
        said = f"{dollars(plan.usd_per_image)} an image ({interval}); it took {dollars(plan.took_usd)}{off}"
        rows.append(("planned", said))
    if report.images_per_usd is not None:
        rows.append(("per dollar", f"{report.images_per_usd:,.{0 if report.images_per_usd >= 10 else 2}f} images"))
    rows += gpus(report)
    rows += saved(report)
    rows += storage(report)
    if report.price_sources:
        more = " and others" if len(report.price_sources) > _SOURCES else ""
        rows.append(("prices", "; ".join(report.price_sources[:_SOURCES]) + more))
    return rows


def gpus(report: Report) -> list[tuple[str, str]]:
    """How hard the GPUs worked while they rendered, and what the dearest images took of the memory, if anybody told."""
    busy, watts, joules = overall(report.gpu_usages)
    said = [] if busy is None else [f"busy {busy * 100:.0f} % of the rendering"]
    if watts is not None and joules is not None:
        said.append(f"{watts:,.0f} W on average, {joules / 3_600_000:,.2f} kWh")
    most = next((one for one in report.gpu_usages if one.memory_bytes and one.gpu not in {"", "cpu"}), None)
    if most is not None and most.memory_bytes:
        said.append(f"{size(most.memory_bytes)} held at most for {most.model} on {most.gpu}, batch {most.batch_size}")
    return [("GPUs", "; ".join(said))] if said else []


def storage(report: Report) -> list[tuple[str, str]]:
    """What the store itself costs, which is no part of the spend; nothing of one that is free."""
    cost = report.storage
    if cost is None or not (cost.requests_usd or cost.usd_per_month or cost.egress_usd):
        return []
    asked = f"{cost.puts:,} puts, {cost.gets:,} gets, {cost.lists:,} lists"
    return [
        ("storage", f"{dollars(cost.requests_usd)} for {asked}, beside the spend"),
        ("", f"{dollars(cost.usd_per_month)} a month for {size(cost.bytes_stored)} of images"),
        ("", f"{dollars(cost.egress_usd)} for each download of all to outside the store's region"),
    ]


def saved(report: Report) -> list[tuple[str, str]]:
    """What the same hours would have cost on demand, where that is known."""
    rows, figures = [], report.saved
    if figures.on_demand_usd > 0:
        share = abs(figures.saved_usd) / figures.on_demand_usd * 100
        which = f"{dollars(figures.usd)} instead of {dollars(figures.on_demand_usd)} on demand"
        if figures.saved_usd >= 0:
            rows.append(("saved", f"{dollars(figures.saved_usd)} ({share:.0f} %): {which}"))
        else:
            rows.append(("saved", f"nothing: {which} ({share:.0f} % more)"))
    if figures.unknown:
        types = ", ".join(figures.unknown[:5]) + (" and others" if len(figures.unknown) > 5 else "")
        rows.append(("saved" if not rows else "", f"unknown for {types}: no on-demand price is known"))
    return rows


def waste(report: Report) -> list[tuple[str, str]]:
    """The largest avoidable line and its advice."""
    advice = report.advice
    if advice is None:
        return []
    line = advice.line.replace("_", " ")
    return [
        ("waste", f"{line} took {dollars(advice.usd)}, {dollars(advice.saved_usd)} of it avoidable"),
        ("advice", advice.text),
    ]


def short(report: Report) -> list[tuple[str, str]]:
    """What `submit` ends with."""
    total = report.total
    if not report.usd:
        return [("cost", "$0.00"), *storage(report)]
    spent = sorted(((usd, name) for name, usd in total.categories.items() if usd), reverse=True)
    shares = ", ".join(f"{name.replace('_', ' ')} {share(usd, total.usd)}" for usd, name in spent)
    rows = [
        ("cost", dict(headline(report))["spend"]),
        *(row for row in headline(report)[2:] if row[0] != "prices"),
        ("spent on", shares),
    ]
    for group in report.by_node_type[:_SHORT_TYPES] if len(report.by_node_type) > 1 else ():
        busy = "-" if group.utilisation is None else f"{group.utilisation * 100:.0f} %"
        nodes = f"{group.nodes:,} node{'' if group.nodes == 1 else 's'}, {group.reclaimed:,} reclaimed"
        each = f"{group.rendered:,} images at {known(group.usd_per_image)}"
        rows.append((group.name, f"{nodes}, {each}, {busy} busy, {dollars(group.usd)}"))
    return rows + waste(report)


def known(usd: Decimal | None) -> str:
    """Dollars, or `-` where they are not known."""
    return "-" if usd is None else dollars(usd)


def share(part: Decimal, whole: Decimal, decimals: int = 1) -> str:
    """`3.1 %`."""
    return f"{part / whole * 100:.{decimals}f} %" if whole else "-"


def lost_usd(group: Group) -> Decimal:
    """What reclaims, failures and duplicates cost."""
    return sum((group.categories[category] for category in LOST), Decimal(0))


def name_of(group: Group) -> str:
    """The group's name; `(none)` where it is empty."""
    return group.name or "(none)"


def count(value: Decimal | None) -> str:
    """A pace: whole where it is large."""
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
