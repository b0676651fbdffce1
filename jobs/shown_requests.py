"""The first requests of a job as `validate --show` prints them: what templates, sweep and defaults made of the rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.freezing import Frozen
from jobs.terminal_text import printable
from pipeline.job import Job
from pipeline.request_table import RequestTable


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRequest:
    """One image to be."""

    image_id: str
    row: int
    """0-based, after templates and sweep."""
    index: int
    """Which image of its row."""
    custom_id: str | None
    prompt: str
    negative_prompt: str
    seed: int
    width: int
    height: int
    steps: int
    guidance_scale: float
    scheduler: str
    model: str
    tags: dict[str, str]


def first_requests(frozen: Frozen, most: int) -> tuple[ShownRequest, ...]:
    """The first images of a job, in manifest order."""
    table = frozen.table()
    return shown_requests(frozen.job, table, range(min(most, len(table))))


def shown_requests(job: Job, table: RequestTable, positions: Sequence[int]) -> tuple[ShownRequest, ...]:
    """Some images of a job."""
    names = dict(zip(job.variants, job.variant_models, strict=True))
    found = []
    for row in table.rows(positions):
        request, variant = row.request, row.request.variant
        found.append(
            ShownRequest(
                image_id=row.image_id,
                row=row.manifest_row,
                index=row.index,
                custom_id=row.custom_id,
                prompt=request.prompt,
                negative_prompt=request.negative_prompt,
                seed=request.seed,
                width=variant.width,
                height=variant.height,
                steps=variant.steps,
                guidance_scale=variant.guidance_scale,
                scheduler=variant.scheduler,
                model=names[variant],
                tags=row.tags,
            )
        )
    return tuple(found)


def requests_text(requests: Sequence[ShownRequest]) -> str:
    """A line for each: what differs most often, then the prompt."""
    lines = []
    for one in requests:
        tags = "".join(f" {name}={text}" for name, text in one.tags.items())
        name = f" {one.custom_id}" if one.custom_id is not None else ""
        size = f"{one.width}x{one.height}"
        figures = f"seed {one.seed}, {size}, {one.steps} steps, guidance {one.guidance_scale:g}"
        lines += [printable(f"{one.image_id[:12]}{name}  {figures}{tags}"), f"  {printable(one.prompt)}"]
    return "\n".join(lines)
