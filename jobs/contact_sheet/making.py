"""Makes the pages of a contact sheet, one after the other in bounded memory."""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from jobs.contact_sheet.grouping import Cell, Group, axes_of, groups
from jobs.contact_sheet.page import Format, Page, format_of
from jobs.delivery.handing_over import Order, ordered_images
from jobs.parallel import in_order
from pipeline.errors import NotFoundError
from pipeline.job import Job
from pipeline.ports import Store

_FORMATS = ("PNG", "WEBP", "JPEG")
_MOST_PIXELS = 16_384 * 16_384
_NAME = re.compile(r"sheet-(\d{4,})\.jpg")
_THREADS = 4


def make_sheets(
    store: Store, job: Job, axes: str, *, folder: Path, order: Order, on_page: Callable[[int], None] = lambda _n: None
) -> tuple[str, ...]:
    """Write `sheet-0001.jpg` and so on; gives their names. Images are read from the folder, else from the store.

    Args:
        store: where the job lies.
        job: whose images.
        axes: `prompt`, or one or two of the sweep's axes (tags, `seed`, `n`): the last one stands across.
        folder: where to, and where the images may be already.
        order: which images, and what they are called.
        on_page: told how many pages there are.

    Raises:
        JobFileError: axes that make no sense for these images.
        OSError: the folder cannot be written.
    """
    with ordered_images(store, job, order) as ordered, ThreadPoolExecutor(_THREADS) as executor:
        layout = format_of(job.name, axes_of(axes, ordered.images()), aspect=_aspect(job))

        def picture(cell: Cell) -> Image.Image | str:
            if cell.wanted is None:
                return ""
            if not cell.wanted.key:
                return cell.wanted.outcome or "not yet"
            place = folder / ordered.name(cell.wanted)
            try:
                return small(place.read_bytes() if place.is_file() else store.get(cell.wanted.key), layout.tile)
            except (NotFoundError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                return "unreadable"

        found = groups(ordered.images(), layout.axes, columns=layout.columns)
        made: list[str] = []
        for page in _pages(found, layout, lambda cells: list(in_order(executor, picture, cells, ahead=8))):
            made.append(f"sheet-{len(made) + 1:04d}.jpg")
            arriving = folder / f".{made[-1]}.part"
            page.save(arriving, "JPEG", quality=92, subsampling="4:4:4", optimize=True)
            arriving.replace(folder / made[-1])
            on_page(len(made))
        for old in folder.iterdir():
            if (number := _NAME.fullmatch(old.name)) and int(number[1]) > len(made):
                old.unlink()
    return tuple(made)


def check_axes(store: Store, job: Job, axes: str, *, order: Order) -> None:
    """Raises: JobFileError: axes that make no sense for these images."""
    with ordered_images(store, job, order) as ordered:
        axes_of(axes, ordered.images())


def _pages(
    found: Iterator[Group], layout: Format, pictures: Callable[[tuple[Cell, ...]], list[Image.Image | str]]
) -> Iterator[Image.Image]:
    """The pages, each when it is full."""
    number = 1
    page = Page(layout, number)
    for group in found:
        for place, line in enumerate(group.lines):
            begins = place == 0
            if not page.takes(heading=begins):
                yield page.finished()
                number += 1
                page = Page(layout, number)
            if begins or page.empty:
                page.head(group, again=not begins)
            page.add(line, pictures(line.cells))
    if not page.empty:
        yield page.finished()


def small(body: bytes, tile: tuple[int, int]) -> Image.Image:
    """A picture that fits into a tile. Raises: OSError, ValueError: no sound picture, or a huge one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have a bound of our own
        with Image.open(io.BytesIO(body), formats=_FORMATS) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise ValueError("too many pixels")
            picture.draft("RGB", (2 * tile[0], 2 * tile[1]))
            whole = picture.convert("RGB")
    scale = min(tile[0] / whole.width, tile[1] / whole.height)
    size = (max(1, round(whole.width * scale)), max(1, round(whole.height * scale)))
    return whole.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _aspect(job: Job) -> float:
    """Width over height of the job's pictures; 1 where they differ."""
    shapes = {variant.width / variant.height for variant in job.variants}
    return min(3.0, max(1 / 3, shapes.pop())) if len(shapes) == 1 else 1.0
