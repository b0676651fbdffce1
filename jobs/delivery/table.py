"""What `download` and `deliver` print: before, what it takes; after, what was done."""

from collections.abc import Mapping, Sequence

from jobs.delivery.handing_over import HandedOver, Order
from jobs.delivery.selection import Survey
from jobs.prices.price_files import egress_note
from jobs.terminal_text import printable, size
from jobs.watching.summary import COLLECTED_HINT, table

MOST_BAD = 20
"""Lines of bad images."""


def plan_text(seen: Survey, store: str, to: str, order: Order, environ: Mapping[str, str]) -> str:
    """What there is to move, what that costs, and until when links are good."""
    absent = f"; {seen.images - seen.there:,} more failed or are not rendered yet" if seen.there < seen.images else ""
    moved = "listed" if order.index_only else size(seen.bytes)
    lines = [f"{seen.there:,} images, {moved}, from {printable(store)} to {printable(to)}{absent}"]
    if to.startswith("s3://") and store.startswith("s3://"):
        lines.append("the service copies them itself; where it will not, they pass through this machine")
    elif not order.index_only and (note := egress_note(store, seen.bytes, environ)):
        lines.append(note)
    if order.links is not None:
        lines.append(
            f"links are good until {order.links.expires_at.isoformat(timespec='seconds')}, or until temporary"
            " credentials expire; whoever has one can fetch its image"
        )
    return "\n".join(lines)


def handed_text(result: HandedOver, job: str, to: str, *, sheets: Sequence[str] = ()) -> str:
    """What was handed over."""
    rows = [
        ("copied" if "://" in to else "fetched", f"{result.fetched:,} images, {size(result.bytes)}"),
        ("there already", f"{result.kept:,}"),
        ("index", f"{printable(to.rstrip('/'))}/index.csv, index.parquet"),
    ]
    if sheets:
        rows.append(("sheets", sheets[0] if len(sheets) == 1 else f"{sheets[0]} to {sheets[-1]}"))
    if result.not_there:
        rows.append(("not yet", f"{result.not_there:,} images failed or are not rendered yet"))
    if result.collected:
        rows.append(("collected", f"{result.collected:,} images; {COLLECTED_HINT}"))
    lines = [job, table(rows)]
    lines += [f"  {printable(text)}" for text in result.bad[:MOST_BAD]]
    if len(result.bad) > MOST_BAD:
        lines.append(f"  ... and {len(result.bad) - MOST_BAD:,} more")
    if result.bad:
        lines.append("`spotrender verify --repair` takes bad images back, so that submit renders them")
    return "\n".join(lines)
