"""Trains the shapes model from nothing and writes it as a diffusers pipeline folder.

``python -m configs.models.shapes_training.train --out FOLDER`` resumes from the
checkpoints in ``--work`` where a run was stopped; the same seed gives the same data.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline

from configs.models.shapes_training.grammar import all_pictures, is_held_out, vocabulary
from configs.models.shapes_training.latents import cache_latents
from configs.models.shapes_training.networks import new_scheduler
from configs.models.shapes_training.progress import timestamped
from configs.models.shapes_training.train_autoencoder import train_autoencoder
from configs.models.shapes_training.train_denoiser import train_denoiser
from configs.models.shapes_training.words import build_tokenizer


def main() -> None:
    """Read the command line, train the parts in order, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the finished pipeline")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--autoencoder-steps", type=int, default=2500)
    parser.add_argument("--denoiser-steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    asked.work.mkdir(parents=True, exist_ok=True)
    log, started = timestamped(), time.monotonic()
    pictures = [picture for picture in all_pictures() if not is_held_out(picture)]
    log(f"training on {len(pictures)} combinations")
    tokenizer = build_tokenizer(vocabulary(), folder=asked.out / "tokenizer")
    autoencoder = train_autoencoder(
        pictures,
        steps=asked.autoencoder_steps,
        seed=asked.seed,
        checkpoint=asked.work / "autoencoder.pt",
        log=log,
    )
    latents = cache_latents(autoencoder, pictures, seed=asked.seed)
    log(f"{len(latents.pictures)} latents, scaling factor {autoencoder.config.scaling_factor}")
    unet, text_encoder = train_denoiser(
        latents,
        tokenizer=tokenizer,
        scheduler=new_scheduler(),
        steps=asked.denoiser_steps,
        seed=asked.seed,
        checkpoint=asked.work / "denoiser.pt",
        log=log,
    )
    assemble: Any = StableDiffusionPipeline
    pipeline = assemble(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(asked.out)
    # Half of the bytes; diffusers loads it as 32-bit floats unless told otherwise.
    unet.half().save_pretrained(asked.out / "unet")
    log(f"wrote {asked.out} after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
