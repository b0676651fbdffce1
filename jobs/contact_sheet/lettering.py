"""Text on a picture: any words that others wrote, on one line or a few, never wider than there is room."""

from functools import lru_cache

from PIL import ImageDraw, ImageFont

from jobs.terminal_text import printable

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_LATIN_END = 0x250
"""Up to here the font that comes with Pillow has every letter."""

_MARKS = "\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u20ac"
"""And these: dashes, quotes, the ellipsis, the euro."""

_WIDER = (
    "NotoSansCJK-Regular.ttc",
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "Arial Unicode.ttf",
    "PingFang.ttc",
    "msyh.ttc",
)
"""Fonts with more letters, where the system has one."""

_MOST_CHARACTERS = 600


@lru_cache(maxsize=64)
def font(size: int, *, wide: bool = False) -> Font:
    """A font of so many pixels; `wide` for words beyond Latin letters."""
    for name in _WIDER if wide else ():
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    *,
    size: int,
    colour: str,
    width: int,
    lines: int = 1,
    anchor: str = "la",
) -> int:
    """Write a text; gives the pixels that it took downwards.

    Args:
        draw: on what.
        place: left or middle (by the anchor), and top.
        text: of anybody; controls and marks that turn a line around are taken out.
        size: pixels of the font.
        colour: of the letters.
        width: pixels that a line may take.
        lines: at most so many; what does not fit ends in an ellipsis.
        anchor: `la` for left, `ma` for the middle, `ra` for right.
    """
    plain = " ".join(printable(text[:_MOST_CHARACTERS]).replace("\ufffd", "").split())
    letters = font(size, wide=any(ord(letter) >= _LATIN_END and letter not in _MARKS for letter in plain))
    step = round(size * 1.35)
    wrapped = wrap(plain, letters, width, lines)
    for number, line in enumerate(wrapped):
        draw.text((place[0], place[1] + number * step), line, font=letters, fill=colour, anchor=anchor)
    return step * len(wrapped)


def wrap(text: str, letters: Font, width: int, lines: int) -> list[str]:
    """The text in at most so many lines, broken at blanks; what is left ends in an ellipsis."""
    made: list[str] = []
    rest = text
    while rest and len(made) < lines:
        if letters.getlength(rest) <= width:
            return [*made, rest]
        last = len(made) == lines - 1
        room = _longest(rest, letters, width - (letters.getlength("...") if last else 0))
        head = rest[:room]
        if last:
            return [*made, f"{head.rstrip()}..."]
        cut = head.rfind(" ") if " " in head and rest[room : room + 1] != " " else room
        made.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return made


def _longest(text: str, letters: Font, width: float) -> int:
    """How many characters fit, one at least."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if letters.getlength(text[:middle]) <= width else (low, middle - 1)
    return low
