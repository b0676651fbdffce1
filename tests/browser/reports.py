"""Reports to look at: of jobs that were really rendered, of a ledger with many nodes, of a hostile manifest."""

import json
from decimal import Decimal
from pathlib import Path

from infra.stores.local import LocalStore
from jobs.cli import run
from tests.imports import ROOT
from tests.pipeline.reports.made_ledger import Batch, Life, make_ledger

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "</style><img src=x onerror=alert(3)>",
    '" onmouseover="alert(4)" x="',
    "' autofocus onfocus='alert(5)",
    "<!-- <script> a comment that never ends",
    "{{ 7 * 7 }} {% raw %} ${alert(6)}",
    "line\u2028separator\u2029and \u202eturned round",
    "<b>bold</b> &amp; <svg onload=alert(7)>",
    "javascript:alert(8)//",
    "w" * 400,
    "画 🎨 Ümläut e\u0301",
)
"""Prompts that mean something to a browser."""


def submit(
    store: Path, name: str, prompts: list[str], *, model: str, node_type: str, market: str, price: float
) -> Path:
    """Render a job in this process; gives the page that `submit` left in the store."""
    manifest = store.parent / f"{name}.jsonl"
    manifest.write_text("".join(json.dumps({"prompt": prompt, "seed": n}) + "\n" for n, prompt in enumerate(prompts)))
    job_file = {
        "name": name,
        "manifest": str(manifest),
        "store": str(store),
        "model": model,
        "nodes": [{"type": node_type, "market": market, "usd_per_hour": price}],
    }
    path = store.parent / f"{name}.yaml"
    path.write_text(json.dumps(job_file))
    assert run(["submit", str(path), "--address", "in-process"]) == 0
    (page,) = store.glob(f"jobs/{name}-*/report.html")
    return page


def report(store: Path) -> Path:
    """The page over all jobs of a store."""
    page = store.parent / "report.html"
    assert run(["report", "--store", str(store), "--format", "html", "--output", str(page)]) == 0
    return page


def rendered_jobs(store: Path) -> Path:
    """Two small jobs of the demo model, on two types of node."""
    lines = (ROOT / "configs/manifests/shapes.jsonl").read_text().splitlines()
    prompts = [json.loads(line)["prompt"] for line in lines]
    submit(store, "attic", prompts[:8], model="shapes", node_type="attic.small", market="spot", price=0.2)
    submit(store, "cellar", prompts[8:16], model="shapes", node_type="cellar.large", market="on_demand", price=0.45)
    return report(store)


def many_nodes(store: Path) -> Path:
    """A ledger of nineteen nodes of two types; five were reclaimed, one was lost, one still runs."""
    spot = [
        Life(
            name=f"spot{number}",
            starts=number * 200,
            startup=90,
            batches=[Batch(seconds=40, images=8)] * (10 + number),
            ends="reclaimed" if number % 3 == 1 else "lost" if number == 6 else "released",
        )
        for number in range(14)
    ]
    bought = [
        Life(
            name=f"bought{number}",
            node_type="g5.xlarge",
            market="on_demand",
            usd_per_hour=Decimal("1.006"),
            starts=number * 500,
            batches=[*[Batch(seconds=30, images=8)] * 12, Batch(fate="failed")],
            ends="running" if number == 4 else "released",
        )
        for number in range(5)
    ]
    make_ledger(LocalStore(str(store)), [*spot, *bought], reused=7)
    return report(store)


def hostile_job(store: Path) -> Path:
    """A job whose manifest is out to get the reader of its report."""
    return submit(store, "hostile", list(HOSTILE), model="synthetic", node_type="<img src=x>", market="spot", price=0.1)
