"""One page of a contact sheet, filled from above; a line that does not fit begins the next page."""

from dataclasses import dataclass

from PIL import Image, ImageDraw

from jobs.contact_sheet.grouping import Axes, Group, Line
from jobs.contact_sheet.lettering import write

PAPER, TILE, INK, SOFT, RULE = "#faf9f7", "#eceae6", "#1d1d1f", "#7b7974", "#dcd9d3"
"""Colours: the page, a tile without an image, headings, labels, lines."""

MARGIN, GAP = 56, 16
_LONGEST = 2900
"""Pixels of a page downwards, at most; a page of one line may be longer."""

_HEAD, _TITLE, _LABEL = 34, 22, 15
_ROUND = 8
_SCALE = 4
"""Corners are drawn so much larger, and made small, so that they are smooth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How a sheet is laid out."""

    job: str
    axes: Axes
    columns: int
    tile: tuple[int, int]
    """Width and height of a picture's place."""

    @property
    def gutter(self) -> int:
        """Room for the labels of lines."""
        return 150 if self.axes.across else 0

    @property
    def width(self) -> int:
        """Of a page."""
        return 2 * MARGIN + self.gutter + self.columns * (self.tile[0] + GAP) - GAP

    @property
    def line_height(self) -> int:
        """Of a line of pictures with its labels."""
        return self.tile[1] + GAP + (0 if self.axes.across else _LABEL + 14)

    @property
    def subtitle(self) -> str:
        """What the sheet shows."""
        if not self.axes.across:
            return "by prompt"
        return f"{self.axes.across} across" + (f", {self.axes.down} down" if self.axes.down else "")


def format_of(job: str, axes: Axes, *, aspect: float) -> Format:
    """The layout of a sheet: few columns are large, many are small.

    Args:
        job: its name.
        axes: of the sheet.
        aspect: width over height of the pictures; 1 where they differ.
    """
    columns = len(axes.columns) if axes.across else 6
    side = max(112, min(300, 2100 // columns - GAP))
    tile = (side, round(side / aspect)) if aspect >= 1 else (round(side * aspect), side)
    return Format(job=job, axes=axes, columns=max(1, columns), tile=(max(64, tile[0]), max(64, tile[1])))


class Page:
    """One page.

    Args:
        layout: of the sheet.
        number: of the page, from 1.
    """

    def __init__(self, layout: Format, number: int) -> None:
        self._layout = layout
        self._image = Image.new("RGB", (layout.width, _LONGEST + layout.line_height), PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._mask = _rounded(layout.tile)
        self.empty = True
        inner = layout.width - 2 * MARGIN
        self._y = MARGIN + write(self._draw, (MARGIN, MARGIN), layout.job, size=_HEAD, colour=INK, width=inner - 120)
        write(
            self._draw,
            (layout.width - MARGIN, MARGIN + 14),
            f"page {number}",
            size=_LABEL,
            colour=SOFT,
            width=110,
            anchor="ra",
        )
        self._y += write(self._draw, (MARGIN, self._y), layout.subtitle, size=_LABEL + 2, colour=SOFT, width=inner)

    def takes(self, *, heading: bool) -> bool:
        """Whether one more line fits, with its heading if it has one."""
        more = self._layout.line_height + (4 * _TITLE + 60 if heading else 0)
        return self.empty or self._y + more <= _LONGEST - MARGIN

    def head(self, group: Group, *, again: bool) -> None:
        """The heading of a group, and above its columns what they are."""
        layout, inner = self._layout, self._layout.width - 2 * MARGIN
        self._y += 26
        self._draw.line((MARGIN, self._y, layout.width - MARGIN, self._y), fill=RULE, width=1)
        self._y += 20
        title = f"{group.title} (continued)" if again else group.title
        self._y += write(self._draw, (MARGIN, self._y), title, size=_TITLE, colour=INK, width=inner, lines=2)
        if group.note:
            self._y += write(self._draw, (MARGIN, self._y), group.note, size=_LABEL, colour=SOFT, width=inner)
        self._y += 12
        if layout.axes.across:
            for place, value in enumerate(layout.axes.columns):
                middle = self._left(place) + layout.tile[0] // 2
                text = f"{layout.axes.across} {value}" if place == 0 and layout.tile[0] >= 200 else value
                write(
                    self._draw,
                    (middle, self._y),
                    text,
                    size=_LABEL,
                    colour=SOFT,
                    width=layout.tile[0],
                    anchor="ma",
                )
            self._y += _LABEL + 12

    def add(self, line: Line, pictures: list[Image.Image | str]) -> None:
        """A line: pictures no larger than their places, or words in place of one."""
        width, height = self._layout.tile
        if line.label:
            room = self._layout.gutter - GAP
            write(self._draw, (MARGIN, self._y + 4), line.label, size=_LABEL, colour=SOFT, width=room, lines=5)
        for place, (cell, picture) in enumerate(zip(line.cells, pictures, strict=True)):
            left, top = self._left(place), self._y
            if isinstance(picture, str):
                if cell.wanted is not None:
                    self._image.paste(TILE, (left, top), self._mask)
                    middle = (left + width // 2, top + height // 2 - _LABEL // 2)
                    write(self._draw, middle, picture, size=_LABEL, colour=SOFT, width=width - 16, anchor="ma")
            else:
                tile = Image.new("RGB", (width, height), TILE)
                tile.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
                self._image.paste(tile, (left, top), self._mask)
            if cell.label:
                write(self._draw, (left, top + height + 7), cell.label, size=_LABEL, colour=SOFT, width=width)
        self._y += self._layout.line_height
        self.empty = False

    def finished(self) -> Image.Image:
        """The page, as long as what is on it."""
        return self._image.crop((0, 0, self._layout.width, self._y - GAP + MARGIN))

    def _left(self, place: int) -> int:
        """Where a column begins."""
        return MARGIN + self._layout.gutter + place * (self._layout.tile[0] + GAP)


def _rounded(size: tuple[int, int]) -> Image.Image:
    """A mask with round corners."""
    large = Image.new("L", (size[0] * _SCALE, size[1] * _SCALE), 0)
    box = (0, 0, large.width - 1, large.height - 1)
    ImageDraw.Draw(large).rounded_rectangle(box, radius=_ROUND * _SCALE, fill=255)
    return large.resize(size, Image.Resampling.LANCZOS)
