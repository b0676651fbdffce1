"""d. A manifest of a million rows is read, checked, resolved, hashed, spooled and planned in bounded memory."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from jobs.jobfile.loading import Options, load
from jobs.submit import validate
from tests.benchmarks.child import in_child
from tests.benchmarks.figures import Figure, Scale, Section

ROUNDS = 3
METHOD = """A JSONL manifest of a million rows with prompt, `custom_id` and seed. *Validate*: what `spotrender validate`
does, that is all of what `submit` does before it writes: every row typed and checked, every request resolved and
hashed, the requests files written, the plan made. *Plain loop*: `json.loads` and sha256 of each line. Each in a fresh
process; its peak resident memory is read from the operating system, Python and its libraries included."""


def run(folder: Path, scale: Scale) -> Section:
    """Ours and the plain loop in turns."""
    rows = scale.pick(1_000_000, 2_000)
    manifest = write_rows(folder / "prompts.jsonl", rows)
    ours, theirs, memory = [], [], []
    for _ in scale.rounds_or(ROUNDS):
        taken = in_child(validate_rows, manifest=str(manifest), store=str(folder / "store"))
        ours.append(taken["seconds"])
        memory.append(taken["peak_rss_mib"])
        theirs.append(in_child(hash_rows, manifest=str(manifest))["seconds"])
    name = f"validate + plan of {rows:,} rows"
    speed = Figure(
        name=name,
        unit="s",
        ours=tuple(ours),
        baseline=tuple(theirs),
        baseline_name="json.loads + sha256",
        limit=8,
        at_least=False,
    )
    size = Figure(name=f"{name}, peak memory", unit="MiB", ours=tuple(memory), limit=1024, at_least=False)
    return Section(key="d", title="Validate", method=METHOD, figures=(speed, size))


def write_rows(path: Path, rows: int) -> Path:
    """A manifest whose rows are all different."""
    with path.open("w", encoding="utf-8") as file:
        for row in range(rows):
            prompt = f"a large red circle number {row} on a blue background, studio light, 35mm"
            file.write(json.dumps({"prompt": prompt, "custom_id": f"item-{row:07d}", "seed": row % 1000}) + "\n")
    return path


def validate_rows(manifest: str, store: str) -> dict[str, Any]:
    """Ours."""
    job_file = load(manifest, Options(model="synthetic", store=store, name="million"))
    started = time.perf_counter()
    found = validate(job_file)
    return {"seconds": time.perf_counter() - started, "tasks": found.tasks}


def hash_rows(manifest: str) -> dict[str, Any]:
    """The plain loop."""
    started = time.perf_counter()
    with Path(manifest).open("rb") as file:
        for line in file:
            json.loads(line)
            hashlib.sha256(line).hexdigest()
    return {"seconds": time.perf_counter() - started}
