"""Turns training pictures into latents once, so that the denoiser need not encode them."""

import random
from dataclasses import dataclass
from typing import Any

import torch

from configs.models.shapes_training.draw import draw
from configs.models.shapes_training.grammar import Picture
from configs.models.shapes_training.networks import LATENT_CHANNELS
from configs.models.shapes_training.train_autoencoder import to_pixels

DRAWINGS_PER_PICTURE = 4
_BATCH = 32
_LEAST_POWER = 3e-3
_LOG_VARIANCE = -6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Latents:
    """The training pictures as the autoencoder sees them."""

    values: torch.Tensor
    """Latents of shape (n, 8, 16, 16), scaled to a standard deviation of 1."""
    pictures: list[Picture]
    """What each of the n latents shows."""


def cache_latents(autoencoder: Any, pictures: list[Picture], *, seed: int) -> Latents:
    """Whiten the autoencoder's latents, set its scaling factor, encode several drawings of every picture."""
    rng = random.Random(f"latents/{seed}")
    whiten(autoencoder, encode(autoencoder, rng.sample(pictures, 512), rng=rng))
    shown = pictures * DRAWINGS_PER_PICTURE
    with torch.autocast("cpu", torch.bfloat16):
        values = encode(autoencoder, shown, rng=rng)
    factor = round(1.0 / values.std().item(), 5)
    autoencoder.register_to_config(scaling_factor=factor)
    return Latents(values=values * factor, pictures=shown)


def whiten(autoencoder: Any, sample: torch.Tensor) -> None:
    """Give the latent channels mean 0, deviation 1 and no correlation, changing no picture.

    The raw channels are nearly copies of one another, so that noise would drown the little
    in which they differ: the colours. A pipeline has only one scaling factor for all
    channels, so the change of basis is folded into the 1x1 convolutions next to the
    latents, one undoing the other. The posterior's variance does not survive a change of
    basis; it becomes a small constant.
    """
    mean = sample.mean((0, 2, 3))
    points = sample.permute(0, 2, 3, 1).reshape(-1, LATENT_CHANNELS) - mean
    power, axes = torch.linalg.eigh(points.T @ points / len(points))
    deviation = power.clamp(min=power.max().item() * _LEAST_POWER).sqrt()
    forward, backward = axes / deviation @ axes.T, axes * deviation @ axes.T
    into, out_of = autoencoder.quant_conv, autoencoder.post_quant_conv
    with torch.no_grad():
        rows = into.weight[:LATENT_CHANNELS, :, 0, 0]
        into.weight[:LATENT_CHANNELS, :, 0, 0] = forward @ rows
        into.bias[:LATENT_CHANNELS] = forward @ (into.bias[:LATENT_CHANNELS] - mean)
        into.weight[LATENT_CHANNELS:] = 0.0
        into.bias[LATENT_CHANNELS:] = _LOG_VARIANCE
        out_of.bias += out_of.weight[:, :, 0, 0] @ mean
        out_of.weight[:, :, 0, 0] = out_of.weight[:, :, 0, 0] @ backward


def encode(autoencoder: Any, pictures: list[Picture], *, rng: random.Random) -> torch.Tensor:
    """Draw and encode ``pictures``, batch by batch."""
    means = []
    with torch.no_grad():
        for start in range(0, len(pictures), _BATCH):
            drawn = [draw(picture, rng=rng) for picture in pictures[start : start + _BATCH]]
            means.append(autoencoder.encode(to_pixels(drawn)).latent_dist.mean.float())
    return torch.cat(means)
