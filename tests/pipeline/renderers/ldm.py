"""A Stable Diffusion pipeline in the layout of the original single-file checkpoints, for tests that load one."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def save_single_file(pipe: Any, path: Path) -> Path:
    """Write UNet, VAE and text encoder of an SD 1.x pipeline as one safetensors file."""
    layers = pipe.unet.config.layers_per_block
    weights = {f"model.diffusion_model.{_unet(name, layers)}": value for name, value in pipe.unet.state_dict().items()}
    blocks = len(pipe.vae.config.block_out_channels)
    for name, value in pipe.vae.state_dict().items():
        key, matrix = _vae(name, blocks), re.search(r"attentions\..*\.(to_\w|to_out\.0)\.weight", name)
        weights[f"first_stage_model.{key}"] = value[:, :, None, None] if matrix else value
    for name, value in pipe.text_encoder.state_dict().items():
        inside = name if name.startswith("text_model.") else f"text_model.{name}"
        weights[f"cond_stage_model.transformer.{inside}"] = value
    save_file({name: value.contiguous().to(torch.float32) for name, value in weights.items()}, path)
    return path


def _unet(name: str, layers: int) -> str:
    """The original name of a UNet weight; `layers` resnets in each block of the way down, one more on the way up."""
    for ours, theirs in _TOP.items():
        if name.startswith(f"{ours}."):
            return theirs + name[len(ours) :]
    match = re.fullmatch(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.*)", name)
    if match:
        way, block, part, layer, rest = match.groups()
        index = int(block) * (layers + 1) + int(layer) + (1 if way == "down" else 0)
        place = f"{'input' if way == 'down' else 'output'}_blocks.{index}"
        return f"{place}.0.{_renamed(rest, _RESNET)}" if part == "resnets" else f"{place}.1.{rest}"
    match = re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d+)\.(.*)", name)
    if match:
        part, layer, rest = match.groups()
        return (
            f"middle_block.{2 * int(layer)}.{_renamed(rest, _RESNET)}"
            if part == "resnets"
            else f"middle_block.1.{rest}"
        )
    match = re.fullmatch(r"down_blocks\.(\d+)\.downsamplers\.0\.conv\.(.*)", name)
    if match:
        return f"input_blocks.{(int(match[1]) + 1) * (layers + 1)}.0.op.{match[2]}"
    match = re.fullmatch(r"up_blocks\.(\d+)\.upsamplers\.0\.conv\.(.*)", name)
    if match:
        return f"output_blocks.{int(match[1]) * (layers + 1) + layers}.2.conv.{match[2]}"
    raise ValueError(name)


def _vae(name: str, blocks: int) -> str:
    """The original name of a VAE weight."""
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    match = re.fullmatch(r"(.*)mid_block\.attentions\.0\.(.*)", name)
    if match:
        return f"{match[1]}mid.attn_1.{_renamed(match[2], _ATTENTION)}"
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{blocks - 1 - int(m[1])}.block", name)
    return re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{blocks - 1 - int(m[1])}.upsample", name)


def _renamed(rest: str, names: dict[str, str]) -> str:
    """The rest of a name with its first part in the original words."""
    for ours, theirs in names.items():
        if rest.startswith(f"{ours}."):
            return theirs + rest[len(ours) :]
    raise ValueError(rest)
