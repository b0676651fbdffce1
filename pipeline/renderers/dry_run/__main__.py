"""Counts every architecture of a folder into one file: `python -m pipeline.renderers.dry_run FOLDER FILE`.

For `configs/models/architectures` and `configs/model_counts.json`, after a configuration or diffusers changed; it takes
minutes.
"""

import json
import sys
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from pipeline.renderers.dry_run.counting import count_component

_SIDES = (512, 768, 1024, 1536, 2048)
_SMALL_SIDES = (64, 128, 256, 512)


def count_file(path: Path) -> dict[str, Any]:
    """Counts of one architecture file; its configuration stands in it, or in another file that it names."""
    written = json.loads(path.read_text(encoding="utf-8"))
    config = written.get("config")
    if config is None:
        config = json.loads((path.parent.parent / written["config_of"]).read_text(encoding="utf-8"))
    per_latent = written.get("pixels_per_latent", 0)
    sides = _SMALL_SIDES if "config_of" in written else _SIDES
    return count_component(
        written["class"],
        config,
        sizes=[(side, side) for side in sides] if per_latent else (),
        pixels_per_latent=per_latent,
        tokens=written.get("text_tokens", 0),
    )


def main(folder: Path, target: Path) -> None:
    """Count all and write the file."""
    versions = {one.__name__: one.__version__ for one in (torch, diffusers, transformers)}
    counts = {path.stem: count_file(path) for path in sorted(folder.glob("*.json"))}
    target.write_text(json.dumps({"counted_with": versions, "components": counts}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
