"""Trains the denoiser and the text encoder together, on cached latents."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTokenizer

from configs.models.shapes_training.grammar import phrase
from configs.models.shapes_training.latents import Latents
from configs.models.shapes_training.networks import new_text_encoder, new_unet
from configs.models.shapes_training.progress import (
    Average,
    every_parameter,
    learning_rate,
    load_if_present,
    save_atomically,
    set_rate,
)

BATCH = 64
PEAK_RATE = 8e-4
DROP_TEXT = 0.1
SAVE_EVERY_STEPS = 100


def train_denoiser(
    latents: Latents,
    *,
    tokenizer: CLIPTokenizer,
    scheduler: Any,
    steps: int,
    seed: int,
    checkpoint: Path,
    log: Callable[[str], None],
) -> tuple[Any, Any]:
    """Return the averaged denoiser and text encoder after ``steps``, resuming if possible."""
    torch.manual_seed(seed)
    unet, text_encoder = new_unet(), new_text_encoder(tokenizer)
    both: Any = torch.nn.ModuleDict({"unet": unet, "text": text_encoder})
    # In bf16 on a CPU, plain attention goes backward four times as fast as the fused one.
    unet.set_attn_processor(AttnProcessor())
    optimizer = torch.optim.AdamW(every_parameter(both), lr=PEAK_RATE, weight_decay=1e-2, betas=(0.9, 0.98))
    average = Average(decay=0.998)
    first = 0
    if state := load_if_present(checkpoint):
        both.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        average.weights, first = state["average"], state["step"]
    started, total = time.monotonic(), 0.0
    for step in range(first, steps):
        set_rate(optimizer, learning_rate(step, steps=steps, peak=PEAK_RATE))
        loss = velocity_error(latents, unet, text_encoder, tokenizer, scheduler, seed=seed, step=step)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimizer.step()
        average.update(both, step=step)
        total += loss.item()
        if (step + 1) % 50 == 0:
            seconds = (time.monotonic() - started) / (step - first + 1)
            log(f"denoiser {step + 1}/{steps} loss {total / 50:.4f} {seconds:.2f} s/step")
            total = 0.0
        if (step + 1) % SAVE_EVERY_STEPS == 0 or step + 1 == steps:
            save_atomically(
                {
                    "network": both.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average.weights,
                    "step": step + 1,
                },
                checkpoint,
            )
    both.load_state_dict(average.weights)
    return unet.eval(), text_encoder.eval()


def velocity_error(
    latents: Latents,
    unet: Any,
    text_encoder: Any,
    tokenizer: CLIPTokenizer,
    scheduler: Any,
    *,
    seed: int,
    step: int,
) -> torch.Tensor:
    """Return the velocity error on one batch; the batch depends on seed and step alone."""
    rng = random.Random(f"denoiser/{seed}/{step}")
    torch.manual_seed(seed * 1_000_003 + step)
    chosen = [rng.randrange(len(latents.pictures)) for _ in range(BATCH)]
    prompts = ["" if rng.random() < DROP_TEXT else phrase(latents.pictures[i], rng=rng) for i in chosen]
    tokens = tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt")
    clean = latents.values[chosen]
    noise = torch.randn_like(clean)
    # Stratified over the batch: each step sees the whole range of noise.
    steps = scheduler.config.num_train_timesteps
    times = ((torch.arange(BATCH) + torch.rand(BATCH)) * steps / BATCH).long().clamp(0, steps - 1)
    noisy = scheduler.add_noise(clean, noise, times)
    velocity = scheduler.get_velocity(clean, noise, times)
    states = text_encoder(tokens.input_ids)[0]
    with torch.autocast("cpu", torch.bfloat16):
        predicted = unet(noisy, times, states).sample
    return torch.nn.functional.mse_loss(predicted.float(), velocity)
