"""The demonstration model draws what it is asked for, in combinations it was never shown."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from diffusers import AutoPipelineForText2Image, DiffusionPipeline

from configs.models.shapes_training.grammar import Picture, all_pictures, is_held_out, phrase
from tests.shapes.reader import Reading, read

MODELS = Path(__file__).parents[2] / "configs" / "models"
FOLDER = MODELS / "shapes"
PROMPTS = 100
BATCH = 10


@pytest.fixture(scope="module")
def profile() -> dict[str, Any]:
    """The defaults that the model's profile gives a prompt."""
    loaded: dict[str, Any] = yaml.safe_load((MODELS / "shapes.yaml").read_text(encoding="utf-8"))
    defaults: dict[str, Any] = loaded["defaults"]
    return defaults


@pytest.fixture(scope="module")
def pipeline() -> Any:
    """The model, loaded as any diffusers pipeline is."""
    loaded: Any = DiffusionPipeline
    pipe = loaded.from_pretrained(FOLDER, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def answers(pipeline: Any, profile: dict[str, Any]) -> list[tuple[Picture, Reading | None]]:
    """What was asked for in 100 held-out prompts, and what each rendering shows."""
    rng = random.Random("held out")
    asked = rng.sample([picture for picture in all_pictures() if is_held_out(picture)], PROMPTS)
    prompts = [phrase(picture, rng=rng) for picture in asked]
    readings: list[Reading | None] = []
    for start in range(0, PROMPTS, BATCH):
        batch = range(start, min(start + BATCH, PROMPTS))
        images = pipeline(
            [prompts[i] for i in batch],
            num_inference_steps=profile["steps"],
            guidance_scale=profile["guidance_scale"],
            generator=[torch.Generator("cpu").manual_seed(i) for i in batch],
            output_type="np",
        ).images
        readings += [read(np.rint(image * 255).astype(np.uint8)) for image in images]
    return list(zip(asked, readings, strict=True))


def test_held_out_prompts_get_their_colours(
    answers: list[tuple[Picture, Reading | None]],
) -> None:
    """Both the shape's and the background's colour are right in at least 95 of 100."""
    assert _right(answers, "colour", "background") >= 95


def test_held_out_prompts_get_their_kind(answers: list[tuple[Picture, Reading | None]]) -> None:
    """The kind of shape is right in at least 85 of 100."""
    assert _right(answers, "kind") >= 85


def test_held_out_prompts_get_their_size(answers: list[tuple[Picture, Reading | None]]) -> None:
    """The size is right in at least 85 of 100."""
    assert _right(answers, "size") >= 85


def test_held_out_prompts_get_their_position(
    answers: list[tuple[Picture, Reading | None]],
) -> None:
    """The position is right in at least 85 of 100."""
    assert _right(answers, "position") >= 85


def test_pipeline_knows_its_own_size(pipeline: Any, profile: dict[str, Any]) -> None:
    """Without width or height the pipeline renders at the size the profile names."""
    image = pipeline("a red star on white", num_inference_steps=1).images[0]
    assert image.size == (profile["width"], profile["height"])


def test_model_loads_as_text_to_image() -> None:
    """AutoPipelineForText2Image finds the pipeline too, in 32-bit floats throughout."""
    loader: Any = AutoPipelineForText2Image
    pipe = loader.from_pretrained(FOLDER, local_files_only=True)
    assert {part.dtype for part in (pipe.unet, pipe.vae, pipe.text_encoder)} == {torch.float32}


def test_any_text_can_be_asked_for(pipeline: Any) -> None:
    """Scripts, emoji and overlong text are tokenized without an unknown word, and rendered."""
    odd = ["日本語の星 ⭐", "красный круг", "x" * 1000, "\u0000 \U0001f600", ""]
    tokens = pipeline.tokenizer(odd[:2]).input_ids
    assert all(row.count(pipeline.tokenizer.unk_token_id) == 1 for row in tokens)
    assert len(pipeline(odd, num_inference_steps=1).images) == len(odd)


def test_model_folder_is_small() -> None:
    """The whole folder stays under ten million bytes, so that it can live in the repository."""
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 10_000_000


def test_held_out_pictures_are_a_tenth() -> None:
    """The rule that keeps combinations out of training is stable and keeps about one in ten."""
    pictures = list(all_pictures())
    assert len(pictures) == 3360
    assert sum(is_held_out(picture) for picture in pictures) == 332


def _right(answers: list[tuple[Picture, Reading | None]], *fields: str) -> int:
    """Count the answers in which all ``fields`` are as asked."""
    return sum(
        reading is not None and all(getattr(asked, name) == getattr(reading.picture, name) for name in fields)
        for asked, reading in answers
    )
