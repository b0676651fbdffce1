"""Contact sheets: what stands together, and pages that no text can spoil."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from infra.stores.memory import MemoryStore
from jobs.committed import Wanted
from jobs.contact_sheet.grouping import Axes, Group, axes_of, groups
from jobs.contact_sheet.lettering import font, wrap, write
from jobs.contact_sheet.making import make_sheets, small
from jobs.delivery.handing_over import Order
from pipeline.errors import JobFileError
from tests.jobs.made_job import make_job, picture


def image(row: int, prompt: str, seed: int = 0, **tags: str) -> Wanted:
    """One image of a sweep."""
    return Wanted(
        row=row,
        index=0,
        custom_id=f"id-{row}",
        image_id="",
        prompt=prompt,
        seed=seed,
        outcome="rendered",
        key="k",
        sha256="",
        bytes=1,
        tags=tags,
    )


SWEPT = [
    image(number, prompt, seed, steps=steps, cfg=cfg)
    for number, (prompt, steps, cfg, seed) in enumerate(
        (prompt, steps, cfg, seed)
        for prompt in ("a", "b")
        for steps in ("4", "20")
        for cfg in ("7.5", "10", "5")
        for seed in (0, 1)
    )
]


def made(axes: str, columns: int = 4) -> tuple[Axes, list[Group]]:
    """The groups of the sweep."""
    found = axes_of(axes, SWEPT)
    return found, list(groups(SWEPT, found, columns=columns))


def test_images_of_a_prompt_follow_each_other_with_what_tells_them_apart() -> None:
    """In lines of so many."""
    _, (first, second) = made("prompt")
    assert [first.title, second.title] == ["a", "b"]
    assert [len(line.cells) for line in first.lines] == [4, 4, 4]
    assert first.lines[0].cells[0].label == "cfg 7.5, steps 4, seed 0"


def test_one_axis_stands_across_and_all_else_down() -> None:
    """Numbers by their size."""
    axes, (first, _) = made("cfg")
    assert axes.columns == ("5", "7.5", "10")
    assert [line.label for line in first.lines] == [
        "steps 4, seed 0",
        "steps 4, seed 1",
        "steps 20, seed 0",
        "steps 20, seed 1",
    ]
    cells = [[cell.wanted.row if cell.wanted else None for cell in line.cells] for line in first.lines]
    assert cells == [[4, 0, 2], [5, 1, 3], [10, 6, 8], [11, 7, 9]]


def test_two_axes_make_a_table_for_each_prompt_and_for_what_is_on_neither() -> None:
    """The first one down, the second across."""
    _, tables = made("steps,cfg")
    assert [(table.title, table.note) for table in tables] == [
        ("a", "seed 0"),
        ("a", "seed 1"),
        ("b", "seed 0"),
        ("b", "seed 1"),
    ]
    assert [line.label for line in tables[0].lines] == ["steps 4", "steps 20"]


@pytest.mark.parametrize("axes", ["stps", "steps,cfg,seed", "steps,steps", "", "prompt,cfg"])
def test_axes_that_make_no_sense_are_refused(axes: str) -> None:
    """With the nearest one, or what there is."""
    with pytest.raises(JobFileError, match="--sheet"):
        axes_of(axes, SWEPT)


def test_axis_with_too_many_values_is_refused() -> None:
    """Nobody could see anything."""
    with pytest.raises(JobFileError, match="too many"):
        axes_of("seed", [image(seed, "a", seed) for seed in range(30)])


@pytest.mark.parametrize("text", ["x" * 10_000, "a b " * 5000, "\u202e\x1b[31m\x00\ud800", "大きな円" * 200, ""])
def test_any_text_stays_within_its_room(text: str) -> None:
    """Cut with an ellipsis; letters that turn lines around are taken out."""
    canvas = Image.new("RGB", (220, 80), "white")
    write(ImageDraw.Draw(canvas), (10, 10), text, size=15, colour="black", width=200, lines=2)
    assert canvas.crop((213, 0, 220, 80)).getextrema() == ((255, 255),) * 3
    assert all(font(15).getlength(line) <= 200 for line in wrap("word " * 100, font(15), 200, 3))


def test_pages_split_and_pages_of_before_go(tmp_path: Path) -> None:
    """Images that are missing, unreadable or failed leave a tile that says so."""
    store = MemoryStore()
    job, images = make_job(store, [f"id-{number}" for number in range(20)], failed=("id-3",), missing=("id-4",))
    store.delete(images[0].key)
    store.put(images[1].key, b"no picture")
    (tmp_path / "sheet-0099.jpg").write_bytes(b"")
    names = make_sheets(store, job, "prompt", folder=tmp_path, order=Order())
    assert len(names) > 1
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    with Image.open(tmp_path / names[0]) as page:
        assert page.height <= 3400
        page.load()


def test_picture_keeps_its_shape() -> None:
    """It is never larger than its tile."""
    assert small(picture(3), (200, 100)).size == (100, 100)
