"""Delivered files have safe names that no file system takes for each other."""

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.manifest.names import custom_ids_of, delivery_names
from tests.pipeline.manifest.submission import resolver, spooled

ODD = st.text(
    st.one_of(st.sampled_from("aAbBéÉßẞıİiIſs\u0301\u0308ＡａΣσς./\\:~-_ \u202e\x00😀\ud800CON0"), st.characters()),
    max_size=40,
)
IDS = st.lists(
    st.one_of(st.none(), ODD, st.text(max_size=300)),
    max_size=12,
    unique_by=lambda one: object() if one is None else one,
)


def _names(ids: list[str | None], images: int = 1, extension: str = "png") -> list[str]:
    names = delivery_names(ids, rows=len(ids), images_per_row=images, extension=extension)
    return [
        names.name(row=row, custom_id=custom_id, index=index)
        for row, custom_id in enumerate(ids)
        for index in range(images)
    ]


@pytest.mark.parametrize(
    ("custom_id", "name"),
    [
        ("hero", "hero.png"),
        ("Hero 01", "Hero 01.png"),
        ("été 😀", "été 😀.png"),
        ("שלום", "שלום.png"),
        ("a.b", "a.b.png"),
        ("../../etc/passwd", "_._.._etc_passwd.png"),
        ("..", "_.png"),
        (".hidden", "_hidden.png"),
        ("-rf", "_rf.png"),
        ("~root", "_root.png"),
        ("C:\\x", "C__x.png"),
        ("CON", "_CON.png"),
        ("nul.txt", "_nul.txt.png"),
        ("com1 .x", "_com1 .x.png"),
        ("COM\u00b9", "_COM\u00b9.png"),
        ("console", "console.png"),
        ("trailing. . ", "trailing.png"),
        ("  ", "_.png"),
        ("a\u202egnp", "a_gnp.png"),
        ("a\nb\x00c", "a_b_c.png"),
        ("e\u0301", "é.png"),
    ],
)
def test_a_custom_id_becomes_a_safe_name(custom_id: str, name: str) -> None:
    """What is safe stays as it is; what some system would trip over is replaced."""
    assert _names([custom_id]) == [name]


def test_rows_without_custom_id_are_numbered() -> None:
    """The manifest row, from 0, padded so that names sort, stands for the id."""
    assert _names([None, "a", None]) == ["000000.png", "a.png", "000002.png"]


def test_several_images_of_a_row_are_numbered() -> None:
    """`{custom_id}-{index}` when rows have several images, also where another id looks like that."""
    assert _names(["x", "x-1"], images=2, extension="webp") == ["x-0.webp", "x-1.webp", "x-1-0.webp", "x-1-1.webp"]


@pytest.mark.parametrize(
    "ids",
    [
        ["a", "A"],
        ["é", "e\u0301"],
        ["a/b", "a_b"],
        ["straße", "STRASSE"],
        ["x" * 200 + "1", "x" * 200 + "2"],
        ["000001", None],
        ["a ", "a"],
    ],
)
def test_ids_that_some_system_confuses_get_a_suffix(ids: list[str | None]) -> None:
    """Both sides of a collision carry a short hash of their id; others stay plain."""
    names = _names([*ids, "other"])
    assert names[-1] == "other.png"
    assert all(re.search(r"~[0-9a-f]{12}\.png$", name) for name in names[:2])


def test_a_name_does_not_depend_on_what_is_downloaded() -> None:
    """The names of some rows are the same when only these are asked for, in any order."""
    ids: list[str | None] = ["a", "A", None, "b", "a/b", "a_b"]
    names = delivery_names(ids, rows=len(ids), images_per_row=1, extension="png")
    backwards = [names.name(row=row, custom_id=ids[row], index=0) for row in (5, 1, 0)]
    whole = _names(ids)
    assert backwards == [whole[5], whole[1], whole[0]]


@given(IDS, st.integers(1, 2))
@example(["a", "A", "a~2d711642b726"], 1)
@example(["a", "A", "a～2d711642b726"], 1)
def test_names_are_distinct_and_stay_in_their_folder(ids: list[str | None], images: int) -> None:
    """For any ids the names differ under case folding and normalisation, and name a plain file of 200 bytes at most."""
    names = _names(ids, images)
    for form in ("NFC", "NFD"):
        assert len(
            {unicodedata.normalize(form, unicodedata.normalize(form, name).casefold()) for name in names}
        ) == len(names)
        assert len({unicodedata.normalize(form, name).upper() for name in names}) == len(names)
    for name in names:
        assert Path("/folder", name).resolve().parent == Path("/folder")
        assert len(name.encode()) <= 200
        assert name.isprintable()
        assert not re.search(r'[<>:"/\\|?*]', name)
        assert not name.startswith((".", "-", "~", " "))


def test_custom_ids_come_back_from_the_requests_files(tmp_path: Path) -> None:
    """One id a manifest row, in order, however many images a row has."""
    body = b"prompt,custom_id\na,x\nb,\nc,y\n"
    result = spooled(body, tmp_path, "p.csv", by=resolver(images_per_prompt=3))
    assert list(custom_ids_of(result.files)) == ["x", None, "y"]
