"""h. A cost report over a long history, beside the barest group-by of the same files."""

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.benchmarks.child import in_child
from tests.benchmarks.figures import Figure, Scale, Section
from tests.benchmarks.made_history import make_history

ROUNDS = 2
METHOD = """A local store's ledger of ten nightly jobs of a million images each, in buckets as drivers seal them, with
ids, hashes and keys as random as real ones. *Report*: `reported(store)`, from the call to all figures: a listing, a
look into every footer, every sum that the table shows. *Group-by*: DuckDB in a process of its own counts and sums
`spent_usd` by node session and outcome over the same files, and does nothing else. Memory is the report's process."""


def run(folder: Path, scale: Scale) -> Section:
    """Make the history once; report and group-by in turns."""
    images = scale.pick(10_000_000, 20_000)
    made = make_history(folder / "store", images, images_of_a_job=max(1, images // 10))
    ours, bare = [], []
    for _ in scale.rounds_or(ROUNDS):
        ours.append(in_child(report, store=str(folder / "store"), images=images, usd=str(made.usd)))
        bare.append(in_child(group_by, store=str(folder / "store"), images=images))
    name = f"report on {images:,} images"
    memory = Figure(
        name=f"{name}, peak memory",
        unit="MiB",
        ours=tuple(one["peak_rss_mib"] for one in ours),
        limit=1024,
        at_least=False,
    )
    seconds = Figure(
        name=name,
        unit="s",
        ours=tuple(one["seconds"] for one in ours),
        baseline=tuple(one["seconds"] for one in bare),
        baseline_name="group-by",
        limit=10,
        at_least=False,
    )
    notes = (f"{made.files:,} files, {made.bytes / 2**30:.2f} GiB.",)
    return Section(key="h", title="Report", method=METHOD, figures=(memory, seconds), notes=notes)


def report(store: str, images: int, usd: str) -> dict[str, Any]:
    """The report's process."""
    from infra.stores.local import LocalStore
    from jobs.reporting.report import reported

    started = time.perf_counter()
    with reported(LocalStore(store)) as made:
        seconds = time.perf_counter() - started
        if made.report.total.rendered != images or made.report.usd != Decimal(usd):
            raise RuntimeError(f"{made.report.total.rendered} images for {made.report.usd}, not {images} for {usd}")
    return {"seconds": seconds}


def group_by(store: str, images: int) -> dict[str, Any]:
    """The bare group-by's process."""
    import duckdb

    started = time.perf_counter()
    rows = duckdb.execute(
        "SELECT node_session, outcome, count(*), sum(spent_usd) FROM read_parquet($1) GROUP BY ALL",
        [f"{store}/ledger/images/*/*/*.parquet"],
    ).fetchall()
    seconds = time.perf_counter() - started
    if sum(row[2] for row in rows) != images:
        raise RuntimeError(f"the group-by found {sum(row[2] for row in rows)} images")
    return {"seconds": seconds}
