"""Whether a model fits on a card, how many images at once, and what would make it fit where it does not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.catalogue.gpus import Gpu
from pipeline.estimates.memory import Parts, Shape, largest_batch, limit, need, usable


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Something that makes it fit."""

    what: str
    """For a person: a smaller batch, a lever of the job file, another card."""
    settings: dict[str, str]
    """The same as levers of `performance:`, and `batch_size`; empty for another card."""
    needs_bytes: int
    batch: int
    """The largest batch that then fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFit:
    """One card."""

    gpu: Gpu
    fits: bool
    """At the batch that was asked for."""
    why_not: str
    """Empty where it fits."""
    needs_bytes: int
    usable_bytes: int
    """What the card has, less the headroom."""
    largest_batch: int
    """0: not even one image."""
    limit: str
    """What stops a larger batch."""
    alternatives: tuple[Alternative, ...] = ()
    """Where it does not fit."""


def fit_cards(parts: Parts, shape: Shape, cards: Sequence[Gpu], every_card: Sequence[Gpu]) -> tuple[CardFit, ...]:
    """Each card of `cards`.

    Args:
        parts: of the model.
        shape: how it is to be rendered.
        cards: that are asked for.
        every_card: among which another one may be named.
    """
    return tuple(_fit(parts, shape, card, every_card) for card in cards)


def _fit(parts: Parts, shape: Shape, card: Gpu, every_card: Sequence[Gpu]) -> CardFit:
    needs, room = need(parts, shape), usable(card)
    lacks = arithmetic_problem(card, shape)
    fits = lacks is None and needs.total <= room
    largest = 0 if lacks else largest_batch(parts, shape, room)
    return CardFit(
        gpu=card,
        fits=fits,
        why_not="" if fits else lacks or f"{needs.largest} {_gib(max(size for _, size in needs.items()))}",
        needs_bytes=needs.total,
        usable_bytes=room,
        largest_batch=largest,
        limit=limit(parts, shape, room),
        alternatives=() if fits else tuple(_alternatives(parts, shape, card, every_card, lacks=lacks)),
    )


def arithmetic_problem(card: Gpu, shape: Shape) -> str | None:
    """Why the card cannot compute so, and what it can; None where it can."""
    if card.peak_tflops(shape.precision) is None:
        return f"no {shape.precision} arithmetic: fp16 or fp32"
    if shape.quantization == "fp8" and card.fp8_tflops is None:
        return "no FP8 arithmetic: int8"
    return None


def _alternatives(
    parts: Parts, shape: Shape, card: Gpu, every_card: Sequence[Gpu], *, lacks: str | None
) -> Iterator[Alternative]:
    """What fits, what costs least time first."""
    room = usable(card)
    smaller = 0 if lacks else largest_batch(parts, shape, room)
    if smaller:
        settings = {"batch_size": str(smaller)}
        yield _alternative(parts, replace(shape, batch=smaller), room, f"batch {smaller}", settings)
    for what, changed in _ways(shape, "fp8" if card.fp8_tflops is not None else "int8"):
        if arithmetic_problem(card, changed) is None and need(parts, changed).total <= room:
            yield _alternative(parts, changed, room, what, _changes(shape, changed))
    others = [one for one in every_card if arithmetic_problem(one, shape) is None]
    larger = sorted(
        (one for one in others if need(parts, shape).total <= usable(one)), key=lambda one: (one.vram_gb, one.name)
    )
    if larger:
        yield _alternative(parts, shape, usable(larger[0]), f"another card: {larger[0].name}", {})


def _ways(shape: Shape, eight: str) -> Iterator[tuple[str, Shape]]:
    """Other ways to render the same on the same card; those that change nothing are left out."""
    ways = (
        ("precision fp16", replace(shape, precision="fp16")),
        ("tiles", replace(shape, memory="tiling")),
        (eight, replace(shape, quantization=eight)),
        ("text encoders on the host", replace(shape, memory="text_offload")),
        ("offload", replace(shape, memory="offload")),
        (f"{eight} and offload", replace(shape, quantization=eight, memory="offload")),
        ("offload layer by layer", replace(shape, memory="group_offload")),
    )
    yield from ((what, changed) for what, changed in ways if changed != shape)


def _changes(before: Shape, after: Shape) -> dict[str, str]:
    """The settings that make one shape of the other."""
    names = ("precision", "quantization", "memory")
    return {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}


def _alternative(parts: Parts, shape: Shape, room: int, what: str, settings: dict[str, str]) -> Alternative:
    return Alternative(
        what=what,
        settings=settings,
        needs_bytes=need(parts, shape).total,
        batch=largest_batch(parts, shape, room),
    )


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB"
