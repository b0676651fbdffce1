"""The manifest of these tests, and the image ids that must come of it, by the definition of an id alone."""

import hashlib
import json
from pathlib import Path

import rfc8785

PROMPTS = 240
REPEATED = 4
"""So many more rows ask for images that other rows ask for, under names of their own."""


def write_manifest(path: Path, *, prompts: int = PROMPTS) -> dict[str, str]:
    """Write the manifest; gives custom id -> image id."""
    rows = [(f"picture-{number}", f"a house with {number} windows", number % 7) for number in range(prompts)]
    rows += [(f"again-{number}", prompt, seed) for number, (_, prompt, seed) in enumerate(rows[:REPEATED])]
    lines = [json.dumps({"custom_id": name, "prompt": prompt, "seed": seed}) for name, prompt, seed in rows]
    path.write_text("\n".join(lines) + "\n")
    return {name: image_id(prompt, seed) for name, prompt, seed in rows}


def image_id(prompt: str, seed: int) -> str:
    """sha256 of the canonical JSON of a request to the stand-in renderer, with nothing left to defaults."""
    request: dict[str, str | int | list[str]] = {
        "schema": 1,
        "renderer": "synthetic",
        "pixel_version": 1,
        "model": "synthetic:1",
        "precision": "fp32",
        "width": 64,
        "height": 64,
        "steps": 1,
        "guidance_scale": 0,
        "scheduler": "",
        "loras": [],
        "prompt": prompt,
        "negative_prompt": "",
        "seed": seed,
    }
    return hashlib.sha256(rfc8785.dumps(request)).hexdigest()
