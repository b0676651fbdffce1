"""Names that users lay out: safe on every system and distinct, whatever rows hold."""

import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.manifest.name_template import NameTemplate, TemplateNames, slug
from pipeline.manifest.names import folded


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a name is made of."""

    row: int = 7
    index: int = 2
    custom_id: str | None = "hero"
    image_id: str = "ab" * 32
    prompt: str = "A Red, round circle!"
    seed: int = 5
    tags: dict[str, str] = field(default_factory=dict)


def names(template: str, *images: Image) -> list[str]:
    """The names of these images, which are a whole job."""
    made = TemplateNames(NameTemplate(template), images, count=len(images), extension="png")
    return [made.name(image) for image in images]


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{custom_id}-{seed}.{ext}", "hero-5.png"),
        ("{row}_{n}.{ext}", "000007_2.png"),
        ("{prompt}.{ext}", "a-red-round-circle.png"),
        ("{image_id}.{ext}", f"{'ab' * 32}.png"),
        ("{tag:campaign}/{custom_id}.{ext}", "autumn/hero.png"),
        ("{tag:gone}/x.{ext}", "none/x.png"),
        ("{tag:way}/{tag:way}.{ext}", "_._/_._.png"),
        ("{tag:up}/{tag:up}.{ext}", "_/_.png"),
        ("{tag:device}/{tag:device}.{ext}", "_con/_con.png"),
        ("{tag:file}/x.{ext}", "a.png_/x.png"),
        ("index.{ext}", "index.png"),
    ],
)
def test_braces_become_what_they_stand_for(template: str, name: str) -> None:
    """Values are cleaned: none of them makes a folder, leaves one, or looks like something else."""
    tags = {"campaign": "autumn", "way": "../", "up": "..", "device": "con", "file": "a.png"}
    assert names(template, Image(tags=tags)) == [name]


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{custom_id}", "must end with"),
        ("{custom_id}.png", "must end with"),
        ("{sead}.{ext}", "there are"),
        ("{tag:}.{ext}", "there are"),
        ("{ext}.{ext}", "once"),
        ("{custom_id.{ext}", "closing brace"),
        ("../{custom_id}.{ext}", "a name between"),
        ("/{custom_id}.{ext}", "a name between"),
        ("a//{custom_id}.{ext}", "a name between"),
        (".{ext}", "a name between"),
        ("a\\{seed}.{ext}", "must not hold"),
        ("a/b/c/d/e/{seed}.{ext}", "at most 4 folders"),
        ("x" * 500 + ".{ext}", "no longer than"),
    ],
)
def test_template_that_makes_no_sense_is_refused(template: str, problem: str) -> None:
    """With what is right."""
    with pytest.raises(ValueError, match=re.escape(problem)):
        NameTemplate(template)


def test_names_that_would_be_shared_are_told_apart_and_the_others_are_not() -> None:
    """By digits that follow from row and number of the image, so they are the same each time."""
    images = (Image(), Image(index=3), Image(row=8, custom_id="HERO"), Image(row=9, custom_id="other"))
    made = names("{custom_id}.{ext}", *images)
    assert [bool(re.search(r"~[0-9a-f]{12}\.png$", name)) for name in made] == [True, True, True, False]
    assert len({folded(name) for name in made}) == 4
    assert made == names("{custom_id}.{ext}", *images)


TEXT = st.text(st.one_of(st.sampled_from("aAé/\\.~:\0\n\u202e .COoNn{}％"), st.characters()), max_size=30)


@given(
    st.lists(
        st.builds(
            Image,
            row=st.integers(0, 9),
            index=st.integers(0, 3),
            custom_id=st.one_of(st.none(), TEXT),
            prompt=TEXT,
            tags=st.dictionaries(st.just("t"), TEXT),
        ),
        max_size=8,
        unique_by=lambda image: (image.row, image.index, image.custom_id),
    ),
    st.sampled_from(
        ["{tag:t}/{custom_id}.{ext}", "{tag:t}.{ext}", "{prompt}/{tag:t}-{n}.{ext}", "{custom_id}{tag:t}.{ext}"]
    ),
)
def test_no_text_leaves_the_folder_or_takes_the_name_of_another(images: list[Image], template: str) -> None:
    """Whatever rows hold, each image has a name of its own, of as many parts as the template has."""
    made = names(template, *images)
    parts = [name.split("/") for name in made]
    assert all(len(way) == template.count("/") + 1 for way in parts)
    assert all(part.strip(". ") and part[0] not in ".-~" and part.isprintable() for way in parts for part in way)
    assert all(len(part.encode()) <= 200 for way in parts for part in way)
    assert len({folded(name) for name in made}) == len(images)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [("Ein Kätzchen, 4k!", "ein-kätzchen-4k"), ("!!!", ""), ("a " * 100, "a-" * 29 + "a"), ("x" * 100, "x" * 60)],
)
def test_prompt_becomes_its_words(prompt: str, words: str) -> None:
    """Lower case, hyphens between them, not too long, cut between words where that can be."""
    assert slug(prompt) == words
