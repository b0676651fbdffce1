"""`failures.jsonl`: the images that failed, as a valid manifest with the cause in a tag."""

import json
from collections.abc import Iterable, Mapping

from pipeline.manifest.row import MAX_CUSTOM_ID
from pipeline.request_table import Row


def failures_manifest(rows: Iterable[Row], causes: Mapping[str, tuple[str, str]]) -> bytes:
    """One line for each failed image, with every parameter written out.

    Args:
        rows: the failed images' rows.
        causes: image id -> (cause, message).
    """
    lines = []
    names: set[str] = set()
    for row in rows:
        cause, message = causes[row.image_id]
        variant = row.request.variant
        values: dict[str, object] = {"prompt": row.request.prompt}
        if row.custom_id is not None:
            name = row.custom_id if row.index == 0 else f"{row.custom_id}-{row.index}"
            if name not in names and len(name) <= MAX_CUSTOM_ID:  # else it would be no valid manifest
                values["custom_id"] = name
                names.add(name)
        if row.request.negative_prompt:
            values["negative_prompt"] = row.request.negative_prompt
        values |= {
            "seed": row.request.seed,
            "width": variant.width,
            "height": variant.height,
            "steps": variant.steps,
            "guidance_scale": variant.guidance_scale,
        }
        if variant.scheduler:
            values["scheduler"] = variant.scheduler
        values["tags"] = row.tags | {"cause": cause, "message": message}
        lines.append(json.dumps(values, ensure_ascii=False) + "\n")
    return "".join(lines).encode()
