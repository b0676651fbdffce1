"""Which cards are meant: names as people write them, and ranges of memory such as `24GB..80GB`."""

import re
from collections.abc import Sequence
from decimal import Decimal

from jobs.planning.catalogue import known_gpu
from pipeline.catalogue.catalogue import Catalogue
from pipeline.catalogue.gpus import Gpu
from pipeline.errors import JobFileError

_SIZE, _UNIT = r"([0-9]{1,4}(?:\.[0-9]{1,3})?)\s*", "G(?:i?B)?"
_RANGE = re.compile(rf"(?:{_SIZE}(?:{_UNIT})?)?\s*\.\.\s*(?:{_SIZE}(?:{_UNIT})?)?|{_SIZE}{_UNIT}", re.IGNORECASE)


def chosen_cards(catalogue: Catalogue, written: str | None) -> list[Gpu]:
    """The cards that are meant, in the catalogue's order; all where nothing is said.

    Args:
        catalogue: of all cards.
        written: names and ranges with commas between them: `L4, RTX 4090`, `24GB..80GB`, `..24GB`, `48GB`.

    Raises:
        JobFileError: an unknown name, a range that is none, or one that matches no card.
    """
    if written is None:
        return list(catalogue.gpus.values())
    wanted: set[str] = set()
    for part in (one.strip() for one in written.split(",")):
        if not part:
            raise JobFileError(f'gpu: "{written}" names a card that is empty; write L4, or 24GB..80GB')
        wanted |= {gpu.name for gpu in _meant(catalogue, part)}
    return [gpu for gpu in catalogue.gpus.values() if gpu.name in wanted]


def _meant(catalogue: Catalogue, part: str) -> Sequence[Gpu]:
    """The cards of one name or range."""
    match = _RANGE.fullmatch(part)
    if match is None:
        if ".." in part:
            raise JobFileError(f'gpu: "{part}" is no range of memory; write 24GB..80GB, 24GB.. or ..24GB')
        return [known_gpu(catalogue, part)]
    low, high, alone = (None if size is None else Decimal(size) for size in match.groups())
    if low is None and high is None and alone is None:
        raise JobFileError(f'gpu: "{part}" is no range of memory; write 24GB..80GB, 24GB.. or ..24GB')
    least, most = (alone, alone) if alone is not None else (low or Decimal(0), high or Decimal("Infinity"))
    if least > most:
        raise JobFileError(f'gpu: "{part}" begins above its end; write {high}GB..{low}GB')
    found = [gpu for gpu in catalogue.gpus.values() if least <= gpu.vram_gb <= most]
    if not found:
        sizes = ", ".join(f"{size}" for size in sorted({gpu.vram_gb for gpu in catalogue.gpus.values()}))
        raise JobFileError(f'gpu: no card of the catalogue has "{part}"; they have {sizes} GB')
    return found
