"""A job of a few synthetic pictures, and its requests file."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.assignment import Output
from pipeline.job import Job, Settings, TaskSizes
from pipeline.model import Model
from pipeline.renderers.synthetic import SyntheticKind
from pipeline.request import Request, Variant
from pipeline.request_table import RequestTable


def small_job(
    folder: Path,
    *,
    prompts: int,
    images: int,
    batch: int,
    prompt: Callable[[int], str] = "prompt {}".format,
    options: Mapping[str, str] | None = None,
    models: int = 1,
) -> tuple[Job, Settings, RequestTable, Model]:
    """A job of synthetic pictures and its requests file; its batches take time, and so cost money.

    Of several models the rows take turns.
    """
    model = SyntheticKind().resolve("synthetic", **({"seconds_per_batch": "1.3"} | dict(options or {})))
    variant = Variant(
        model=model.revision,
        renderer=model.renderer,
        pixel_version=model.pixel_version,
        precision=model.precision,
        width=16,
        height=8,
        steps=1,
        guidance_scale=0.0,
        scheduler="",
    )
    made = [replace(model, name=f"{model.name}{n or ''}", revision=f"{model.revision}{'+' * n}") for n in range(models)]
    variants = [replace(variant, model=one.revision) for one in made]
    rows = [
        {
            "row": row,
            "line": row + 1,
            "index": index,
            "custom_id": f"c{row}",
            "prompt": prompt(row),
            "negative_prompt": "",
            "seed": index,
            "image_id": Request(
                prompt=prompt(row), negative_prompt="", seed=index, variant=variants[row % models]
            ).image_id,
            "variant": row % models,
            "tags": [("row", str(row))],
        }
        for row in range(prompts)
        for index in range(images)
    ]
    schema = pa.schema(
        [
            ("row", pa.int64()),
            ("line", pa.int64()),
            ("index", pa.int32()),
            ("custom_id", pa.string()),
            ("prompt", pa.string()),
            ("negative_prompt", pa.string()),
            ("seed", pa.int64()),
            ("image_id", pa.string()),
            ("variant", pa.int32()),
            ("tags", pa.map_(pa.string(), pa.string())),
        ]
    )
    path = folder / "00000.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=7)
    job = Job(
        name="small",
        digest="d" * 64,
        models=tuple(made),
        variants=tuple(variants),
        variant_models=tuple(one.name for one in made),
        output=Output(),
        sizes=TaskSizes(batch=batch, largest=batch * 3, tail_share=4, tasks_per_bucket=2),
        images=len(rows),
        request_files=1,
        submitted_at=datetime(2026, 11, 21, tzinfo=UTC),
        manifest="small.jsonl",
    )
    return job, Settings(nodes=()), RequestTable([path], variants), model
