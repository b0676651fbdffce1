"""Trains the autoencoder on drawn pictures, and measures the scale of its latents."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from configs.models.shapes_training.draw import SIDE, draw
from configs.models.shapes_training.grammar import Picture
from configs.models.shapes_training.networks import new_autoencoder
from configs.models.shapes_training.progress import (
    Average,
    learning_rate,
    load_if_present,
    save_atomically,
    set_rate,
)

BATCH = 16
CROPS = 32
CROP_SIDE = 64
PEAK_RATE = 2e-3
KL_WEIGHT = 2e-5
EDGE_WEIGHT = 4.0
SAVE_EVERY_STEPS = 100


def train_autoencoder(
    pictures: list[Picture], *, steps: int, seed: int, checkpoint: Path, log: Callable[[str], None]
) -> Any:
    """Return the averaged autoencoder after ``steps``, going on from ``checkpoint`` if there."""
    torch.manual_seed(seed)
    network = new_autoencoder()
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=1e-4)
    average = Average(decay=0.995)
    first = 0
    if state := load_if_present(checkpoint):
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        average.weights, first = state["average"], state["step"]
    started = time.monotonic()
    for step in range(first, steps):
        set_rate(optimizer, learning_rate(step, steps=steps, peak=PEAK_RATE))
        torch.manual_seed(seed * 1_000_003 + step)
        rng = random.Random(f"autoencoder/{seed}/{step}")
        # Edges are what is hard; crops around the shape show more of them for less work.
        pixels = _batch(pictures, rng=rng) if step % 3 == 0 else _crops(pictures, rng=rng)
        with torch.autocast("cpu", torch.bfloat16):
            latent = network.encode(pixels).latent_dist
            mean, log_variance = latent.mean.float(), latent.logvar.float()
            noisy = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
            decoded = network.decode(noisy).sample
        difference = decoded.float() - pixels
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        weight = 1.0 + EDGE_WEIGHT * _edges(pixels)
        loss = (weight * (difference.abs() + difference.square())).mean() + KL_WEIGHT * kl
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        average.update(network, step=step)
        if step % 50 == 0:
            seconds = (time.monotonic() - started) / (step - first + 1)
            error = difference.abs().mean().item()
            log(f"autoencoder {step}/{steps} l1 {error:.4f} kl {kl.item():.2f} {seconds:.2f} s/step")
        if (step + 1) % SAVE_EVERY_STEPS == 0 or step + 1 == steps:
            save_atomically(
                {
                    "network": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average.weights,
                    "step": step + 1,
                },
                checkpoint,
            )
    network.load_state_dict(average.weights)
    return network.eval()


def to_pixels(drawn: list["np.ndarray[tuple[int, ...], np.dtype[np.uint8]]"]) -> torch.Tensor:
    """Return RGB arrays as one tensor of shape (n, 3, side, side) from -1 to 1."""
    stacked = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float()
    return (stacked / 127.5 - 1.0).contiguous()


def _batch(pictures: list[Picture], *, rng: random.Random) -> torch.Tensor:
    """Draw one batch of pictures chosen at random."""
    return to_pixels([draw(rng.choice(pictures), rng=rng) for _ in range(BATCH)])


def _crops(pictures: list[Picture], *, rng: random.Random) -> torch.Tensor:
    """Draw one batch of square crops, each with some of its picture's shape."""
    crops = []
    for _ in range(CROPS):
        drawn = draw(rng.choice(pictures), rng=rng)
        rows, columns = np.nonzero((drawn != drawn[-1, -1]).any(axis=2))
        pick = rng.randrange(len(rows))
        top, left = (min(max(int(at[pick]) - rng.randrange(CROP_SIDE), 0), SIDE - CROP_SIDE) for at in (rows, columns))
        crops.append(drawn[top : top + CROP_SIDE, left : left + CROP_SIDE])
    return to_pixels(crops)


def _edges(pixels: torch.Tensor) -> torch.Tensor:
    """Mark each pixel whose 5x5 surroundings hold two colours, faint contrasts most.

    A mark is 2 over the contrast there, so from 1 for black on white to 3 at most; other pixels
    have 0.
    """
    most = torch.nn.functional.max_pool2d(pixels, 5, stride=1, padding=2)
    least = -torch.nn.functional.max_pool2d(-pixels, 5, stride=1, padding=2)
    contrast = (most - least).amax(dim=1, keepdim=True)
    return torch.where(contrast > 0.05, (2.0 / contrast.clamp(min=0.05)).clamp(max=3.0), 0.0)
