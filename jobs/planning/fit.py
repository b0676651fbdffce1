"""Will it fit: what a model needs of a GPU, before one is rented."""

import re
from dataclasses import dataclass
from pathlib import Path

from jobs.planning.card_choice import chosen_cards
from jobs.planning.catalogue import known_model, read_catalogue
from jobs.planning.model_parts import catalogue_parts, folder_parts
from pipeline.catalogue.catalogue import Catalogue
from pipeline.errors import JobFileError, ModelError
from pipeline.estimates.fitting import CardFit, fit_cards
from pipeline.estimates.memory import HEADROOM, Need, Parts, Shape, need
from pipeline.performance import CHOICES

_SIZE = re.compile(r"([0-9]{1,5})[xX]([0-9]{1,5})")
_LARGEST = 8192
_FOLDER_SIDE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The answer."""

    model: str
    shape: Shape
    counted: str
    """Where weights and memory come from."""
    need: Need
    """At the batch that was asked for."""
    total_bytes: int
    headroom: float
    cards: tuple[CardFit, ...]

    @property
    def refused(self) -> bool:
        """Whether none of the cards takes it."""
        return not any(card.fits for card in self.cards)


def fit(
    model: str,
    *,
    gpu: str | None = None,
    size: str | None = None,
    batch: int = 1,
    precision: str | None = None,
    quantization: str = "none",
    memory: str = "fit",
    catalogue: Catalogue | None = None,
) -> Fit:
    """What a model needs, and on which cards it fits.

    Args:
        model: a name or repository of the catalogue, or a folder of diffusers.
        gpu: which cards, see `chosen_cards`; all where not given.
        size: `1024x768`; the model's own where not given.
        batch: images at once.
        precision: `fp32`, `fp16` or `bf16`; the model's own where not given.
        quantization: of the denoiser: `none`, `int8`, `fp8`, `int4`.
        memory: `fit`, `tiling`, `text_offload`, `offload` or `group_offload`.
        catalogue: that of `read_catalogue` where it was read already.

    Raises:
        JobFileError: an unknown model, card or value.
        ModelError: a folder that holds no model, or one whose memory cannot be told.
    """
    catalogue = catalogue or read_catalogue()
    for name, value, choices in (
        ("precision", precision, (None, "fp32", "fp16", "bf16")),
        ("quantization", quantization, CHOICES["quantization"]),
        ("memory", memory, tuple(one for one in CHOICES["memory"] if one != "auto")),
    ):
        if value not in choices:
            words = ", ".join(one for one in choices if one)
            raise JobFileError(f'{name}: must be one of {words}, got "{value}"')
    if not 1 <= batch <= 1024:
        raise JobFileError(f"batch: must be a whole number from 1 to 1024, got {batch}")
    cards = chosen_cards(catalogue, gpu)
    sides = None if size is None else _sides(size)
    folder = Path(model).expanduser()
    if catalogue.model(model) is None and folder.exists():
        width, height = sides or (_FOLDER_SIDE, _FOLDER_SIDE)
        parts, counted = _of_folder(folder, width, height), "weights from the files' headers, memory from a dry run"
        precision = precision or "fp16"
    else:
        known = known_model(catalogue, model)
        width, height = sides or (known.width, known.height)
        parts, precision = catalogue_parts(catalogue, model), precision or known.precision
        counted = "counted from the configuration of its parts, as in configs/model_counts.json"
    shape = Shape(
        width=width, height=height, batch=batch, precision=precision, quantization=quantization, memory=memory
    )
    needed = need(parts, shape)
    return Fit(
        model=parts.name,
        shape=shape,
        counted=counted,
        need=needed,
        total_bytes=needed.total,
        headroom=HEADROOM,
        cards=fit_cards(parts, shape, cards, list(catalogue.gpus.values())),
    )


def _of_folder(folder: Path, width: int, height: int) -> Parts:
    """The model in a folder. Raises: ModelError: it is a single file, or no model."""
    if not folder.is_dir():
        raise ModelError(f"{folder}: is a single file, which does not say what it is made of; give the folder")
    return folder_parts(folder, width=width, height=height)


def _sides(text: str) -> tuple[int, int]:
    """Width and height. Raises: JobFileError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or not all(64 <= int(side) <= _LARGEST and int(side) % 8 == 0 for side in match.groups()):
        raise JobFileError(f'size: must be such as 1024x768, multiples of 8 from 64 to {_LARGEST}, got "{text}"')
    return int(match[1]), int(match[2])
