"""n. Ten thousand templates become a million requests in bounded memory; a call with nothing due ends at once."""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.bench_validate import validate_rows
from tests.benchmarks.child import in_child
from tests.benchmarks.figures import Figure, Scale, Section

ROUNDS = 2
EACH = 100
"""Prompts of one template."""

METHOD = """*Templates*: `spotrender validate` of a JSONL manifest of 10,000 templates that stand for 100 prompts each,
as in *d. Validate*. *Written out*: the same million prompts as a manifest of their own. *Nothing due*: `spotrender
nightly run` as a process of its own, over two entries that are not due. All in turns, in fresh processes."""

TEMPLATE = "${x={grass|sand|snow|ice|mud}}a {big|small|huge|tiny} {red|blue|green|black|white} circle %d on ${x}, ${x}"

NIGHTLY = """\
store: store
nightly:
  - {name: one, cron: "0 2 1 1 *", timezone: Europe/Berlin, job: job.yaml}
  - {name: two, cron: "30 2 1 1 *", timezone: Asia/Tokyo, job: job.yaml}
"""


def run(folder: Path, scale: Scale) -> Section:
    """Ours and the baselines in turns."""
    templates = scale.pick(10_000, 20)
    short, whole = write_both(folder, templates)
    (folder / "nightly.yaml").write_text(NIGHTLY)
    run_nightly = ["nightly", "run", str(folder / "nightly.yaml")]
    seconds_of(run_nightly)  # the first call writes when it saw each entry first
    ours, theirs, memory, idle = [], [], [], []
    for _ in scale.rounds_or(ROUNDS):
        taken = in_child(validate_rows, manifest=str(short), store=str(folder / "store"))
        ours.append(taken["seconds"])
        memory.append(taken["peak_rss_mib"])
        theirs.append(in_child(validate_rows, manifest=str(whole), store=str(folder / "store"))["seconds"])
        idle.append(seconds_of(run_nightly))
    name = f"{templates:,} templates to {templates * EACH:,} requests"
    figures = (
        Figure(
            name=name,
            unit="s",
            ours=tuple(ours),
            baseline=tuple(theirs),
            baseline_name="written out",
            limit=1.5,
            at_least=False,
        ),
        Figure(name=f"{name}, peak memory", unit="MiB", ours=tuple(memory), limit=1024, at_least=False),
        Figure(
            name="nightly run, nothing due",
            unit="s",
            ours=tuple(idle),
            limit=1.5,
            at_least=False,
        ),
    )
    return Section(key="n", title="Templates and nightly", method=METHOD, figures=figures)


def write_both(folder: Path, templates: int) -> tuple[Path, Path]:
    """The templates, switched on by a job file, and all of their prompts."""
    (folder / "short.jsonl").write_text(
        "".join(json.dumps({"prompt": TEMPLATE % number}) + "\n" for number in range(templates)), encoding="utf-8"
    )
    with (folder / "whole.jsonl").open("w", encoding="utf-8") as file:
        for number in range(templates):
            for place in range(EACH):
                ground = ("grass", "sand", "snow", "ice", "mud")[place // 20]
                colour = ("red", "blue", "green", "black", "white")[place % 5]
                size = ("big", "small", "huge", "tiny")[place // 5 % 4]
                prompt = f"a {size} {colour} circle {number} on {ground}, {ground}"
                file.write(json.dumps({"prompt": prompt}) + "\n")
    job = "manifest: short.jsonl\ntemplates: true\nmodel: synthetic\nstore: store\n"
    (folder / "short.yaml").write_text(job)
    return folder / "short.yaml", folder / "whole.jsonl"


def seconds_of(arguments: list[str]) -> float:
    """How long one `spotrender` takes."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "jobs.console", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started
