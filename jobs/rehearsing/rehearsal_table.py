"""The table with which a rehearsal ends: 80 columns, and what each line means where it is not plain."""

import io
import shlex
from typing import TYPE_CHECKING

from jobs.terminal_text import duration, printable
from jobs.watching.summary import WIDTH, next_lines, short_store

if TYPE_CHECKING:
    from jobs.rehearsing.reclaiming import Done
    from jobs.rehearsing.rehearse import Rehearsed

_MOST_BROKEN = 20


def rehearsed_text(result: "Rehearsed") -> str:
    """What `rehearse` prints when it is done."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, show_edge=False, pad_edge=False)
    table.add_column("rehearsed", no_wrap=True)
    table.add_column(printable(result.job), overflow="fold")
    for label, value in _rows(result):
        table.add_row(label, value)
    sink = io.StringIO()
    Console(file=sink, width=WIDTH, color_system=None, markup=False, highlight=False).print(table)
    lines = ["\n".join(line.rstrip() for line in sink.getvalue().rstrip().splitlines())]
    if result.broken:
        lines.append("broken:")
        lines += [f"  {printable(line)}" for line in result.broken[:_MOST_BROKEN]]
        if len(result.broken) > _MOST_BROKEN:
            lines.append(f"  ... and {len(result.broken) - _MOST_BROKEN} more")
    if result.store:
        where = f"{result.job} --store {shlex.quote(short_store(result.store) + '/reclaims')}"
        lines.append(next_lines([f"spotrender status {where}", f"spotrender report {where}"]))
    return "\n".join(lines)


def done_text(done: "Done") -> str:
    """One thing that was done to a node, as it happens."""
    words = {"kill": "killed", "add": "came back", "announce": "announced"}
    return f"{done.at_seconds:7.1f} s  {printable(done.node)} {words.get(done.what, done.what)}"


def _rows(result: "Rehearsed") -> list[tuple[str, str]]:
    """Label and value."""
    found = result.found
    unannounced = found.reclaims - found.announced
    lost = f"{found.lost_gpu_seconds:.1f} GPU-seconds"
    if found.reclaims:
        lost += f", {found.lost_gpu_seconds / found.reclaims:.1f} a reclaim"
    failed = f", {found.images_failed:,} failed" if found.images_failed else ""
    rows = [
        ("state", result.state.value),
        ("images", f"{found.images_there:,} of {found.images:,}{failed}"),
        ("nodes", f"{found.nodes} node sessions"),
        ("reclaims", f"{found.reclaims}: {found.announced} announced, {unannounced} without notice"),
        ("batches lost", f"{found.batches_lost:,}"),
        ("images lost", f"{found.images_lost:,}"),
        ("images counted twice", f"{found.images_counted_twice:,}"),
        ("lost", lost),
        ("rendered twice", f"{found.duplicate_gpu_seconds:.1f} GPU-seconds"),
        ("starting nodes", f"{found.startup_gpu_seconds:.1f} GPU-seconds"),
        ("rendering", f"{found.rendering_gpu_seconds:.1f} of {found.capacity_gpu_seconds:.1f} GPU-seconds"),
        ("time", duration(found.seconds)),
    ]
    if result.overhead is not None and result.ideal_seconds is not None:
        against = "measured undisturbed" if result.undisturbed else "by its own rendering and first start"
        rows.append(("ideal time", f"{duration(result.ideal_seconds)} with the same capacity, {against}"))
        rows.append(("overhead", f"{result.overhead:.2f} times the ideal time"))
    rows.append(("retries by cause", ", ".join(f"{name} {n:,}" for name, n in found.retries.items()) or "none"))
    if result.undisturbed is not None:
        rows.append(("same bytes", f"{result.compared - result.differing:,} of {result.compared:,} images"))
    rows.append(("promises", f"{len(result.broken):,} broken" if result.broken else "all kept, the books balance"))
    rows.append(("seed", f"{result.seed}"))
    return rows
