"""Trains a finished model further, with small shapes shown twice as often: they are what it finds hardest.

``python -m configs.models.shapes_training.refine --model FOLDER --out FOLDER`` keeps tokenizer and autoencoder as they
are and resumes from the checkpoint in ``--work``.
"""

import argparse
import random
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor

from configs.models.shapes_training.grammar import all_pictures, is_held_out
from configs.models.shapes_training.latents import Latents, encode
from configs.models.shapes_training.progress import (
    Average,
    every_parameter,
    learning_rate,
    load_if_present,
    save_atomically,
    set_rate,
    timestamped,
)
from configs.models.shapes_training.train_denoiser import velocity_error

PEAK_RATE = 3e-4
SAVE_EVERY_STEPS = 25


def main() -> None:
    """Read the command line, train on, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the pipeline to start from")
    parser.add_argument("--out", type=Path, required=True, help="folder for the refined pipeline")
    parser.add_argument("--work", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    asked.work.mkdir(parents=True, exist_ok=True)
    log, started = timestamped(), time.monotonic()
    load: Any = StableDiffusionPipeline
    pipe = load.from_pretrained(asked.model, local_files_only=True)
    latents = _latents(pipe.vae, seed=asked.seed)
    log(f"{len(latents.pictures)} latents")
    checkpoint = asked.work / "refined.pt"
    _refine(pipe, latents, steps=asked.steps, seed=asked.seed, checkpoint=checkpoint, log=log)
    pipe.save_pretrained(asked.out)
    # Half of the bytes; diffusers loads it as 32-bit floats unless told otherwise.
    pipe.unet.half().save_pretrained(asked.out / "unet")
    log(f"wrote {asked.out} after {time.monotonic() - started:.0f} s")


def _latents(autoencoder: Any, *, seed: int) -> Latents:
    """Encode drawings of all pictures that may be shown, and once more of the small ones."""
    pictures = [picture for picture in all_pictures() if not is_held_out(picture)]
    shown = pictures * 2 + [picture for picture in pictures if picture.size == "small"] * 2
    values = encode(autoencoder, shown, rng=random.Random(f"refine/{seed}"))
    return Latents(values=values * autoencoder.config.scaling_factor, pictures=shown)


def _refine(pipe: Any, latents: Latents, *, steps: int, seed: int, checkpoint: Path, log: Any) -> None:
    """Train denoiser and text encoder on in place; they end as the average over the last steps."""
    both: Any = torch.nn.ModuleDict({"unet": pipe.unet.float().train(), "text": pipe.text_encoder.float().train()})
    pipe.unet.set_attn_processor(AttnProcessor())
    optimizer = torch.optim.AdamW(every_parameter(both), lr=PEAK_RATE, weight_decay=1e-2, betas=(0.9, 0.98))
    average, first = Average(decay=0.99), 0
    if state := load_if_present(checkpoint):
        both.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        average.weights, first = state["average"], state["step"]
    started, total = time.monotonic(), 0.0
    for step in range(first, steps):
        set_rate(optimizer, learning_rate(step, steps=steps, peak=PEAK_RATE))
        loss = velocity_error(
            latents, pipe.unet, pipe.text_encoder, pipe.tokenizer, pipe.scheduler, seed=seed, step=step
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimizer.step()
        average.update(both, step=step)
        total += loss.item()
        if (step + 1) % SAVE_EVERY_STEPS == 0 or step + 1 == steps:
            seconds = (time.monotonic() - started) / (step - first + 1)
            log(f"refined {step + 1}/{steps} loss {total / SAVE_EVERY_STEPS:.4f} {seconds:.2f} s/step")
            total = 0.0
            state = {"network": both.state_dict(), "optimizer": optimizer.state_dict()}
            save_atomically({**state, "average": average.weights, "step": step + 1}, checkpoint)
    both.load_state_dict(average.weights)
    pipe.unet.eval()
    pipe.text_encoder.eval()


if __name__ == "__main__":
    main()
