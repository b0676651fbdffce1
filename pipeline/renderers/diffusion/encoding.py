"""Text for the device: each distinct text encoded once and alone, kept in a cache bounded in bytes."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch

from pipeline.renderers.diffusion.families import Family
from pipeline.renderers.diffusion.text_encoders import TextEncoders
from pipeline.request import Lora, Request

Embeddings = dict[str, torch.Tensor]
"""Argument of the pipeline's call -> tensor of shape (1, ...)."""

_Key = tuple[str | None, str, bool, tuple[Lora, ...]]
"""Prompt (None: the negative text alone), negative text, guidance, LoRAs."""

_PROMPT_FIRST = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
_WITH_MASKS = (
    "prompt_embeds",
    "prompt_attention_mask",
    "negative_prompt_embeds",
    "negative_prompt_attention_mask",
)


class TextCache:
    """Embeddings of recent texts, on the device. For one thread.

    Args:
        pipe: whose encoders.
        family: how it encodes.
        limit_bytes: embeddings beyond that are forgotten, those used longest ago first.
        encoders: where they come and go: then all texts that are expected are encoded as soon as they are there.
    """

    def __init__(self, pipe: Any, family: Family, *, limit_bytes: int, encoders: TextEncoders | None = None) -> None:
        self._pipe = pipe
        self._encoders = encoders
        self._expected: tuple[Request, ...] = ()
        self._family = family
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[_Key, Embeddings] = OrderedDict()
        self.size_bytes = 0
        """Bytes of what is kept."""

    def expect(self, requests: Sequence[Request]) -> None:
        """These come next, and are encoded together with the first of them that is not kept."""
        self._expected = tuple(requests)

    def arguments(self, batch: Sequence[Request]) -> Embeddings:
        """The embeddings of a batch as arguments of the pipeline's call, a row per request."""
        rows = [self._embeddings(request) for request in batch]
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def _embeddings(self, request: Request) -> Embeddings:
        guided = is_guided(self._pipe, self._family, request.variant.guidance_scale)
        negative = request.negative_prompt if guided else ""
        key = (request.prompt, negative, guided, request.variant.loras)
        found = self._kept.get(key)
        if found is None and self._encoders is not None:
            self._encoders.bring()
            self._encode_expected(request)
            found = self._kept.get(key)
        if found is None:
            shared_key = (None, negative, guided, request.variant.loras)
            shared = self._kept.get(shared_key, {})
            found = encode(self._pipe, self._family, request.prompt, negative, guided=guided, known=shared)
            self._keep(key, found)
            if not shared:
                self._keep(shared_key, {name: found[name] for name in found if name.startswith("negative")})
        else:
            self._kept.move_to_end(key)
        return found

    def _encode_expected(self, like: Request) -> None:
        """All that comes under the same LoRAs, as far as there is room."""
        expected, self._expected = self._expected, ()
        for request in expected:
            if self.size_bytes < self._limit_bytes // 2 and request.variant.loras == like.variant.loras:
                self._embeddings(request)

    def _keep(self, key: _Key, embeddings: Embeddings) -> None:
        self._kept[key] = embeddings
        self.size_bytes += _size_bytes(embeddings)
        while self.size_bytes > self._limit_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self.size_bytes -= _size_bytes(oldest)


def is_guided(pipe: Any, family: Family, guidance_scale: float) -> bool:
    """Whether the pipeline runs classifier-free guidance at this scale, and so reads the negative prompt."""
    if not family.negative_prompt:
        return False
    backbone = getattr(pipe, family.backbone)
    return guidance_scale > 1 and getattr(backbone.config, "time_cond_proj_dim", None) is None


def encode(
    pipe: Any, family: Family, prompt: str, negative: str, *, guided: bool, known: Embeddings | None = None
) -> Embeddings:
    """Encode one text as the pipeline itself would; an empty negative text is none, as for the pipeline.

    Args:
        pipe: whose encoders.
        family: how it encodes.
        prompt: the text.
        negative: what it is guided away from.
        guided: whether it is.
        known: embeddings of this negative text, from a call before; they are not made again.
    """
    with torch.no_grad():
        encoded, names = _encode(pipe, family, prompt, None if known else negative or None, known or {}, guided=guided)
    return {name: tensor for name, tensor in zip(names, encoded, strict=True) if tensor is not None}


def _encode(
    pipe: Any, family: Family, prompt: str, negative: str | None, known: Embeddings, *, guided: bool
) -> tuple[Sequence[torch.Tensor | None], Sequence[str]]:
    device = pipe._execution_device  # noqa: SLF001 - the device that the pipeline's own call would encode on
    if family.name == "flux":
        embeds, pooled, _ = pipe.encode_prompt(prompt, None, device=device)
        return (embeds, pooled), ("prompt_embeds", "pooled_prompt_embeds")
    common: dict[str, Any] = {"device": device, "num_images_per_prompt": 1, "do_classifier_free_guidance": guided}
    common |= known
    if family.name == "sd3":
        return pipe.encode_prompt(prompt, None, None, negative_prompt=negative, **common), _PROMPT_FIRST
    if family.name == "pixart":
        return pipe.encode_prompt(prompt, negative_prompt=negative or "", **common), _WITH_MASKS
    return _first(pipe.encode_prompt(prompt, negative_prompt=negative, **common), guided=guided)


def _first(encoded: Sequence[torch.Tensor | None], *, guided: bool) -> tuple[Sequence[torch.Tensor | None], list[str]]:
    """Embeddings of the Stable Diffusions; what belongs to the negative text is dropped without guidance."""
    names = list(_PROMPT_FIRST[: len(encoded)])
    pairs = zip(encoded, names, strict=True)
    return [tensor if guided or not name.startswith("negative") else None for tensor, name in pairs], names


def _size_bytes(embeddings: Embeddings) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in embeddings.values())
