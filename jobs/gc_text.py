"""What `gc` prints."""

import shlex

from jobs.gc import CleanUp
from jobs.terminal_text import dollars, printable, size
from jobs.watching.summary import next_lines, short_store, table

_KINDS = {
    "records": "records of ended jobs (packed, word for word)",
    "leases": "leases of ended jobs",
    "fences": "what drivers said and later ones said again",
    "probes": "probes of a day ago and older",
    "compiled": "compiled code that is 90 days old",
    "weights": "files of models that were taken out, or never pushed to the end",
}

_MOST_JOBS = 20


def plan_text(found: CleanUp) -> str:
    """What may go."""
    rows = [
        ("images", f"{found.images:,} that no job within its retention names"),
        ("orphans", f"{found.orphans:,} files that no job names"),
        ("size", size(found.bytes)),
        ("cost", _cost(found)),
        *((kind, f"{some.objects:,}: {_KINDS[kind]}") for kind, some in found.leftovers.items()),
    ]
    lines = [printable(short_store(found.store)), table(rows)]
    lines += [f"  {one.job}: {one.images:,} images, ended {one.ended_at:%Y-%m-%d}" for one in found.jobs[:_MOST_JOBS]]
    if len(found.jobs) > _MOST_JOBS:
        lines.append(f"  and {len(found.jobs) - _MOST_JOBS:,} more jobs")
    return "\n".join(lines)


def looked_text(found: CleanUp, arguments: str) -> str:
    """What `gc` prints without `--yes`."""
    if not (found.images or found.orphans or found.leftovers):
        return f"{plan_text(found)}\nnothing to remove"
    store = shlex.quote(short_store(found.store))
    return f"{plan_text(found)}\nnothing was removed\n{next_lines([f'spotrender gc{arguments} --store {store} --yes'])}"


def removed_text(found: CleanUp) -> str:
    """What `gc --yes` prints when it is done; what may go was shown before."""
    done = found.removed
    if done is None:
        return "nothing to remove"
    rows = [
        ("removed", f"{done.images + done.orphans:,} images, {size(done.bytes)}"),
        ("spared", f"{done.spared:,} that somebody needs after all"),
        ("packed", f"{done.tidied.records:,} records"),
        ("other", f"{done.tidied.objects:,} objects"),
    ]
    return table(rows)


def _cost(found: CleanUp) -> str:
    if not found.source:
        return "nothing, the store is free"
    return f"{dollars(found.usd_per_month)} a month ({found.source})"
