"""The largest avoidable line of a report, and one thing to do about it, with the dollars that it would have saved.

Each line has its own arithmetic over the report's tables; the one that would have saved most is told.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from pipeline.reports.figures import Advice, Group
from pipeline.reports.gpu_usage import GpuUsage
from pipeline.reports.ledger import Ledger
from pipeline.reports.right_sizing import Market, cheaper_card

_STARTUP_SHARE = Decimal("0.1")
"""A node session should spend no more than this on its start."""

_ENOUGH_HOURS = Decimal(1)
"""GPU-hours in a zone before its reclaims say anything."""

_NS_PER_HOUR = Decimal(3_600_000_000_000)


def advise(
    ledger: Ledger, everything: Group, usages: Sequence[GpuUsage] = (), market: Market | None = None
) -> Advice | None:
    """The advice that would have saved most; None where none would have saved anything.

    Args:
        ledger: after `gather`.
        everything: its total.
        usages: what the batches took of their GPUs.
        market: what other cards can and cost; None: nobody knows.
    """
    told = [*(rule(ledger, everything) for rule in _RULES), cheaper_card(usages, everything, market)]
    found = [advice for advice in told if advice is not None and advice.saved_usd > 0]
    return max(found, key=lambda advice: advice.saved_usd, default=None)


def _fewer_nodes(ledger: Ledger, everything: Group) -> Advice | None:
    """So many nodes that each renders nine times as long as it starts; every job needs one."""
    rows = ledger.rows(
        """SELECT count(*) AS nodes, sum(startup_usd) AS usd, sum(startup_nanoseconds)::HUGEINT AS startup,
                  sum(rendering_nanoseconds)::HUGEINT AS rendering
           FROM sessions GROUP BY job HAVING sum(rendering_nanoseconds) > 0"""
    )
    saved, before, after = Decimal(0), 0, 0
    for row in rows:
        nodes, startup = row["nodes"], int(row["startup"])
        wanted = nodes
        if startup:
            render_for = int(startup / _STARTUP_SHARE) - startup
            wanted = min(nodes, max(1, int(row["rendering"]) * nodes // render_for))
        saved += Decimal(row["usd"]) * (nodes - wanted) / nodes
        before, after = before + nodes, after + wanted
    text = (
        f"start fewer nodes, or give them longer jobs: {after:,} instead of {before:,} would have rendered for at least"
        " nine times as long as they start (nodes: max, or --workers)"
    )
    return Advice(line="startup", usd=everything.categories["startup"], saved_usd=saved, text=text)


def _longer_lived_zone(ledger: Ledger, everything: Group) -> Advice | None:
    """Where one zone loses less per dollar than another of the same node type, after an hour or more in each."""
    lost = everything.categories["lost_to_preemption"]
    rows = ledger.rows(
        """SELECT node_type, coalesce(nullif(zone, ''), region) AS zone, sum(lost_to_preemption_usd) AS lost,
                  sum(accrued_usd) AS usd, count(*) FILTER (terminated_by = 'reclaimed') AS reclaimed,
                  sum(lifetime_gpu_nanoseconds / greatest(gpu_count, 1))::HUGEINT AS nanoseconds
           FROM sessions WHERE market = 'spot' GROUP BY ALL HAVING zone <> '' AND sum(accrued_usd) > 0"""
    )
    zones = [row for row in rows if int(row["nanoseconds"]) >= _ENOUGH_HOURS * _NS_PER_HOUR]
    best: Advice | None = None
    for row in zones:
        others = [one for one in zones if one["node_type"] == row["node_type"] and one is not row]
        wasted = sum((one["lost"] - one["usd"] * row["lost"] / row["usd"] for one in others), Decimal(0))
        if wasted > (best.saved_usd if best else 0):
            hours = int(row["nanoseconds"]) / _NS_PER_HOUR
            text = (
                f"prefer {row['zone']} for {row['node_type']}: there {row['reclaimed']} nodes were reclaimed in"
                f" {hours:.1f} hours, and {row['lost'] / row['usd'] * 100:.1f} % of the spend was lost"
            )
            best = Advice(line="lost_to_preemption", usd=lost, saved_usd=wasted, text=text)
    return best


def _smaller_batches(ledger: Ledger, everything: Group) -> Advice | None:
    """A reclaim costs the batch in flight, so half the batch costs half."""
    lost = everything.categories["lost_to_preemption"]
    if not lost:
        return None
    (row,) = ledger.rows("SELECT max(batch_size) AS batch FROM facts WHERE outcome = 'rendered'")
    batch = row["batch"] or 0
    if batch < 2:
        return None
    text = (
        f"{everything.reclaimed:,} reclaims took the batches in flight: batches of {batch // 2} instead of {batch}"
        " would have lost about half of it (batch_size:, or --batch-size)"
    )
    return Advice(line="lost_to_preemption", usd=lost, saved_usd=lost / 2, text=text)


_CAUSES: Final = {
    "OUT_OF_MEMORY": "smaller batches, or a GPU with more memory",
    "BAD_OUTPUT": "precision fp32 or bf16, and prompts that the model can draw",
    "BAD_REQUEST": "`spotrender validate` before the submit, and mending the rows in failures.jsonl",
    "SAFETY_BLANKED": "other prompts, or a model without a safety checker",
}


def _fewer_failures(ledger: Ledger, everything: Group) -> Advice | None:
    """The dearest cause of failed images."""
    rows = ledger.rows(
        """SELECT cause, sum(images) AS images, sum(usd) AS usd FROM facts
           WHERE outcome = 'failed' GROUP BY ALL ORDER BY usd DESC, cause LIMIT 1"""
    )
    line = everything.categories["lost_to_failure"]
    if rows and rows[0]["usd"] * 2 >= line:
        cause, images, usd = rows[0]["cause"], int(rows[0]["images"]), Decimal(rows[0]["usd"])
        remedy = _CAUSES.get(cause, "the messages in failures.jsonl say what to mend")
        text = f"{images:,} images failed as {cause}: {remedy}"
        return Advice(line="lost_to_failure", usd=line, saved_usd=usd, text=text)
    if not line:
        return None
    rest = line - (Decimal(rows[0]["usd"]) if rows else 0)
    text = "workers, nodes or drivers died at work: `spotrender doctor` looks for the reason, the logs tell when"
    return Advice(line="lost_to_failure", usd=line, saved_usd=rest, text=text)


def _one_driver(_: Ledger, everything: Group) -> Advice | None:
    """Images that were rendered twice."""
    usd = everything.categories["duplicate"]
    text = f"{everything.duplicates:,} images were rendered twice: run one driver of a job at a time"
    return Advice(line="duplicate", usd=usd, saved_usd=usd, text=text)


def _shorter_tail(ledger: Ledger, everything: Group) -> Advice | None:
    """Idle time after the last image of each session: half the nodes at the tail wait half as much."""
    rows = ledger.rows(
        """SELECT job, count(*) AS nodes, sum(least(
                idle_usd, accrued_usd * greatest(epoch_us(until_at) - epoch_us(last_at), 0)
                          // greatest(epoch_us(until_at) - epoch_us(started_at), 1)))::DECIMAL(38, 9) AS usd
           FROM sessions JOIN (
               SELECT job, node_session, max(last_at) AS last_at FROM facts WHERE node_session <> '' GROUP BY ALL
           ) USING (job, node_session) WHERE terminated_by = 'released' AND last_at IS NOT NULL GROUP BY job"""
    )
    idle = everything.categories["idle"]
    tail = sum((Decimal(row["usd"]) for row in rows if row["nodes"] > 1), Decimal(0))
    nodes = sum(row["nodes"] for row in rows if row["nodes"] > 1)
    half = sum(-(-row["nodes"] // 2) for row in rows if row["nodes"] > 1)
    if tail and 2 * tail >= idle:
        text = (
            f"nodes waited for the last ones to finish: {half:,} instead of {nodes:,} at the tail would"
            " have waited about half as long"
        )
        return Advice(line="idle", usd=idle, saved_usd=tail * (nodes - half) / nodes, text=text)
    return None


def _smaller_last_batches(ledger: Ledger, everything: Group) -> Advice | None:
    """Nodes wait for a last batch, since what is left can be divided no further: half of it lasts half as long."""
    rows = ledger.rows(
        """WITH ends AS (
            SELECT job, node_session, max(last_at) AS last_at, arg_max(last_batch_us, last_at) AS batch_us,
                   max(batch_size) AS batch
            FROM facts WHERE node_session <> '' AND last_at IS NOT NULL GROUP BY ALL
        ), last AS (
            SELECT job, max(last_at) AS over_at, arg_max(batch_us, last_at) AS last_us,
                   arg_max(batch, last_at) AS last_batch
            FROM ends GROUP BY job
        )
        SELECT max(last_batch) AS batch, sum(least(
                idle_usd, accrued_usd * least(epoch_us(over_at) - epoch_us(last_at), last_us)
                          // greatest(epoch_us(until_at) - epoch_us(started_at), 1)))::DECIMAL(38, 9) AS usd
        FROM sessions JOIN ends USING (job, node_session) JOIN last USING (job)
        WHERE terminated_by = 'released' AND over_at > last_at AND last_us > 0 AND last_batch >= 2"""
    )
    batch, usd = rows[0]["batch"] or 0, Decimal(rows[0]["usd"] or 0)
    text = (
        f"nodes waited for a last batch on another one: batches of {batch // 2} instead of {batch} would have ended"
        " about half as late (tasks are whole batches; batch_size:, or --batch-size)"
    )
    return Advice(line="idle", usd=everything.categories["idle"], saved_usd=usd / 2, text=text)


def _cheaper_type(ledger: Ledger, everything: Group) -> Advice | None:
    """The same kind of image cost less on another node type, all that its sessions spent included."""
    rows = ledger.rows(
        """SELECT model, width, height, steps, node_type, market, sum(images) AS images,
                  sum(usd * loaded) AS usd, sum(nanoseconds)::HUGEINT AS nanoseconds
           FROM facts JOIN (
               SELECT job, node_session, CASE WHEN rendering_usd > 0 THEN (accrued_usd / rendering_usd)::DECIMAL(18, 6)
                      ELSE 1 END AS loaded FROM sessions
           ) USING (job, node_session) WHERE outcome = 'rendered' GROUP BY ALL HAVING sum(images) >= 20"""
    )
    kinds: dict[tuple[object, ...], list[tuple[Decimal, Decimal, str, Decimal]]] = {}
    for row in rows:
        images, usd = Decimal(row["images"]), Decimal(row["usd"])
        name = f"{row['node_type']} {row['market']}" if row["market"] != row["node_type"] else row["node_type"]
        kinds.setdefault((row["model"], row["width"], row["height"], row["steps"]), []).append(
            (usd / images, images, name, int(row["nanoseconds"]) / images)
        )
    saved, text = Decimal(0), ""
    for types in kinds.values():
        least = min(types)
        here = sum(((each - least[0]) * images for each, images, *_ in types), Decimal(0))
        if here > saved:
            saved, most, cheap = here, max(types), least[2]
            slower = f", in {least[3] / most[3]:,.1f} times the GPU time" if most[3] else ""
            text = f"the same images cost less on {cheap} than on {most[2]}{slower}: name only {cheap} under nodes:"
    return Advice(line="rendering", usd=everything.categories["rendering"], saved_usd=saved, text=text)


_RULES: Final[tuple[Callable[[Ledger, Group], Advice | None], ...]] = (
    _fewer_nodes,
    _longer_lived_zone,
    _smaller_batches,
    _fewer_failures,
    _one_driver,
    _shorter_tail,
    _smaller_last_batches,
    _cheaper_type,
)
