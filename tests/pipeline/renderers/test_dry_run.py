"""Counting without numbers: the file that ships is what the script counts today."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from pipeline.errors import ModelError
from pipeline.renderers.dry_run.__main__ import count_file
from pipeline.renderers.dry_run.counting import count_component
from pipeline.renderers.dry_run.live_bytes import LiveBytes

CONFIGS = Path(str(files("configs")))


@pytest.mark.parametrize("name", ["unet-shapes", "vae-shapes", "clip-shapes", "clip-l"])
def test_shipped_counts_are_what_the_script_counts(name: str) -> None:
    """To the byte and the operation, with the libraries that are installed."""
    shipped = json.loads((CONFIGS / "model_counts.json").read_bytes())["components"]
    assert count_file(CONFIGS / "models" / "architectures" / f"{name}.json") == shipped[name]


def test_bytes_live_until_nobody_holds_them() -> None:
    """A tensor that is dropped makes room; one that was there before never counts."""
    weights = torch.zeros(1000)
    live = LiveBytes([weights])
    with live:
        first = weights + 1
        second = first + 1
        del first
        third = second.view(10, 100) + weights.view(10, 100)
        del second, third
        weights + 2
    assert live.peak == 2 * 4000


def test_part_that_cannot_be_run_is_named() -> None:
    """With what can be done instead."""
    with pytest.raises(ModelError, match="NoSuchModel: diffusers has no such class"):
        count_component("NoSuchModel", {}, sizes=[(64, 64)])
    with pytest.raises(ModelError, match="AutoencoderKL: known are FluxTransformer2DModel"):
        count_component("AutoencoderKL", {}, sizes=[(64, 64)], tokens=77)
