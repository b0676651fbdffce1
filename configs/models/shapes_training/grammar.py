"""What the shapes model can be asked for, and in which words.

A :class:`Picture` is one combination of the grammar; :func:`phrase` says it in English.
Combinations for which :func:`is_held_out` is true are never shown in training.
"""

import hashlib
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Colour = Literal["red", "green", "blue", "yellow", "orange", "purple", "white", "black"]
Kind = Literal["circle", "square", "triangle", "star"]
Size = Literal["small", "medium", "large"]
Position = Literal["center", "top", "bottom", "left", "right"]

PALETTE: dict[Colour, tuple[int, int, int]] = {
    "red": (220, 30, 35),
    "green": (30, 150, 60),
    "blue": (30, 80, 215),
    "yellow": (250, 225, 40),
    "orange": (250, 135, 20),
    "purple": (130, 40, 165),
    "white": (250, 250, 250),
    "black": (10, 10, 10),
}
"""The RGB value that each colour word is drawn in."""

COLOURS: tuple[Colour, ...] = tuple(PALETTE)
KINDS: tuple[Kind, ...] = ("circle", "square", "triangle", "star")
SIZES: tuple[Size, ...] = ("small", "medium", "large")
POSITIONS: tuple[Position, ...] = ("center", "top", "bottom", "left", "right")

_POSITION_PHRASES: dict[Position, tuple[str, ...]] = {
    "center": ("", "", "", "in the center", "in the centre", "in the middle"),
    "top": ("at the top", "at the top", "on top", "top"),
    "bottom": ("at the bottom", "at the bottom", "on the bottom", "bottom"),
    "left": ("on the left", "on the left", "to the left", "at the left", "left"),
    "right": ("on the right", "on the right", "to the right", "at the right", "right"),
}
_BACKGROUND_PHRASES = (
    "on {a} background",
    "on {a} background",
    "on {bare}",
    "{bare} background",
    "against {a} background",
    "with {a} background",
)
_OPENINGS = ("", "", "", "", "a picture of ", "a drawing of ", "an image of ")
_SEPARATORS = (" ", " ", ", ")
_HELD_OUT_ONE_IN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One combination of the grammar: a single shape on a plain background."""

    kind: Kind
    """The shape that is drawn."""
    colour: Colour
    """The shape's colour; never the background's."""
    background: Colour
    """The colour of everything else."""
    size: Size
    """How large the shape is; "medium" need not be said."""
    position: Position
    """Where the shape lies; "center" need not be said."""


def all_pictures() -> Iterator[Picture]:
    """Yield every combination of the grammar, 3,360 in all, in a fixed order."""
    for kind, colour, background, size, position in itertools.product(KINDS, COLOURS, COLOURS, SIZES, POSITIONS):
        if colour != background:
            yield Picture(kind=kind, colour=colour, background=background, size=size, position=position)


def is_held_out(picture: Picture) -> bool:
    """Say whether a combination is kept out of training, about one in ten, by its hash."""
    parts = (picture.kind, picture.colour, picture.background, picture.size, picture.position)
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") % _HELD_OUT_ONE_IN == 0


def phrase(picture: Picture, *, rng: random.Random) -> str:
    """Ask for ``picture`` in one of the grammar's phrasings, chosen by ``rng``."""
    size = picture.size
    if size == "medium" and rng.random() < 0.6:
        shape = f"{picture.colour} {picture.kind}"
    else:
        shape = f"{size} {picture.colour} {picture.kind}"
    opening = rng.choice(_OPENINGS)
    if opening or rng.random() < 0.7:
        shape = with_article(shape)
    position = rng.choice(_POSITION_PHRASES[picture.position])
    background = rng.choice(_BACKGROUND_PHRASES).format(a=with_article(picture.background), bare=picture.background)
    rest = [part for part in (position, background) if part]
    if rng.random() < 0.3:
        rest.reverse()
    text = opening + shape
    for part in rest:
        bare = part in {picture.position, f"{picture.background} background"}
        text += (", " if bare else rng.choice(_SEPARATORS)) + part
    return text + rng.choice(("", "", "", "."))


def plain_phrase(picture: Picture) -> str:
    """Ask for ``picture`` in the grammar's plainest words."""
    size = "" if picture.size == "medium" else f"{picture.size} "
    shape = with_article(f"{size}{picture.colour} {picture.kind}")
    where = "" if picture.position == "center" else f" {_POSITION_PHRASES[picture.position][0]}"
    return f"{shape}{where} on {with_article(picture.background)} background"


def with_article(words: str) -> str:
    """Put "a" or "an" before ``words``."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def vocabulary() -> list[str]:
    """Return every word and mark that the phrasings use, sorted: one token each."""
    texts = [*COLOURS, *KINDS, *SIZES, *POSITIONS, "a an background", ", ."]
    texts += [text for texts_ in _POSITION_PHRASES.values() for text in texts_]
    texts += [text.format(a="a", bare="") for text in _BACKGROUND_PHRASES]
    texts += [*_OPENINGS, "shape shapes and of in", "big huge tiny little"]
    return sorted({word for text in texts for word in text.split()})
