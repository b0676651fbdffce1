"""What each field of a row takes, and what is said of a value that it does not take."""

import math
from typing import Any

import pytest

from pipeline.manifest.problems import Problems
from pipeline.manifest.row import LoraChoice, Row, row_of

ACCEPTED: list[tuple[str, Any, Any]] = [
    ("prompt", "🔴 a red circle 👩‍🚀", "🔴 a red circle 👩‍🚀"),
    ("prompt", "דג כחול على خلفية", "דג כחול على خلفية"),
    ("prompt", "two\tcells\nand lines\r\n", "two\tcells\nand lines\r\n"),
    ("prompt", "x" * 100_000, "x" * 100_000),
    ("custom_id", "../..//CON ", "../..//CON "),
    ("custom_id", "x" * 512, "x" * 512),
    ("negative_prompt", "", ""),
    ("seed", 0, 0),
    ("seed", 2**32 - 1, 2**32 - 1),
    ("guidance_scale", 7, 7.0),
    ("guidance_scale", 0, 0.0),
    ("guidance_scale", 100.0, 100.0),
    ("scheduler", "", ""),
    ("loras", ["a", {"source": "b", "scale": 0.5}], (LoraChoice("a"), LoraChoice("b", 0.5))),
    ("loras", [], ()),
    ("tags", {"b": "2", "a": ""}, {"a": "", "b": "2"}),
    ("seed", None, None),
]

REFUSED: list[tuple[str, Any, str]] = [
    ("prompt", "", "prompt is empty; write what to draw"),
    ("prompt", " \t\n\u3000", "prompt is empty"),
    ("prompt", 7, "prompt must be text, got 7"),
    ("prompt", ["a"], "prompt must be text, got a list"),
    ("prompt", "x" * 100_001, "prompt has 100,001 characters, at most 100,000 are allowed"),
    ("prompt", "a\x00b", r"prompt holds the control character \x00 at position 2; remove it"),
    ("prompt", "a\x1b[31m", r"prompt holds the control character \x1b at position 2"),
    ("prompt", "a\x85", r"prompt holds the control character \x85"),
    ("prompt", "a\ud83d", r"prompt holds half of a surrogate pair, \ud83d, at position 2"),
    ("negative_prompt", "\udc00", "negative_prompt holds half of a surrogate pair"),
    ("custom_id", "", "custom_id is empty"),
    ("custom_id", "  ", "custom_id is empty"),
    ("custom_id", 12, "custom_id must be text, got 12"),
    ("custom_id", "a\nb", r"custom_id holds the control character \n at position 2"),
    ("custom_id", "x" * 513, "custom_id has 513 characters, at most 512"),
    ("seed", "x", 'seed must be a whole number from 0 to 4294967295, got "x"'),
    ("seed", "7", 'seed must be a whole number from 0 to 4294967295, got "7"'),
    ("seed", -1, "got -1"),
    ("seed", 2**32, "got 4294967296"),
    ("seed", 10**5000, "got a number of more than 20 digits"),
    ("seed", 3.0, "got 3.0"),
    ("seed", True, "seed must be a whole number from 0 to 4294967295, got true"),
    ("width", 0, "width must be a whole number from 1 to"),
    ("width", 10**9, "got 1000000000"),
    ("height", "512", 'got "512"'),
    ("steps", 0, "steps must be a whole number from 1 to 1000, got 0"),
    ("steps", 1001, "got 1001"),
    ("steps", False, "got false"),
    ("guidance_scale", math.nan, "guidance_scale must be a number from 0 to 100, got nan"),
    ("guidance_scale", math.inf, "got inf"),
    ("guidance_scale", -0.5, "got -0.5"),
    ("guidance_scale", 10**400, "got a number of more than 20 digits"),
    ("guidance_scale", True, "got true"),
    ("guidance_scale", "7", 'got "7"'),
    ("scheduler", 1, "scheduler must be text, got 1"),
    ("model", "", "model is empty"),
    ("loras", "a", "loras must be a list"),
    ("loras", [1], "loras must hold sources"),
    ("loras", [{"scale": 1}], "loras must hold sources"),
    ("loras", [{"source": "a", "weight": 1}], "loras must hold sources"),
    ("loras", [{"source": "a", "scale": "1"}], "must be a number from -10 to 10"),
    ("loras", ["a"] * 17, "loras must be a list of at most 16"),
    ("tags", ["a"], "tags must be an object"),
    ("tags", {"a": 1}, 'tags "a" must be text, got 1'),
    ("tags", {"": "x"}, "is empty"),
    ("tags", {"a": "b\nc"}, "holds a tab or a line end"),
    ("tags", {str(n): "" for n in range(65)}, "tags must be an object of at most 64"),
    ("promt", "x", 'unknown field "promt": did you mean prompt?'),
    ("cfg", 7, "did you mean guidance_scale?"),
    ("Seed", 7, "did you mean seed?"),
    ("campaign", "autumn", '{"tags": {"campaign": ...}}'),
    ("\x1b[2J", 1, r"unknown field "),
]


def _checked(field: str, value: Any) -> tuple[Row, Problems]:
    problems = Problems("prompts.jsonl")
    return row_of({"prompt": "a circle"} | {field: value}, 412, problems), problems


@pytest.mark.parametrize(
    ("field", "value", "typed"), ACCEPTED, ids=[f"{case[0]}-{n}" for n, case in enumerate(ACCEPTED)]
)
def test_a_sound_value_is_taken_as_its_type(field: str, value: Any, typed: Any) -> None:
    """What a field takes comes out typed, and without a problem."""
    row, problems = _checked(field, value)
    assert problems.messages() == ()
    assert row.sound
    assert getattr(row, field) == typed
    assert type(getattr(row, field)) is type(typed)


@pytest.mark.parametrize(
    ("field", "value", "message"), REFUSED, ids=[f"{case[0]!a}-{n}" for n, case in enumerate(REFUSED)]
)
def test_a_wrong_value_is_named_with_line_field_and_remedy(field: str, value: Any, message: str) -> None:
    """Every wrong value gives one problem at its line that says what was found, safe for a terminal."""
    row, problems = _checked(field, value)
    assert problems.count == 1
    text = problems.messages()[0]
    assert text.startswith("prompts.jsonl:412: ")
    assert message in text
    assert text.isprintable()
    assert len(text) < 400
    assert not row.sound


def test_a_row_without_prompt_says_so_once() -> None:
    """A prompt that is absent or null is one problem, beside the others of the row."""
    for values in ({"seed": -1}, {"seed": -1, "prompt": None}):
        problems = Problems("p.jsonl")
        row_of(values, 1, problems)
        assert problems.count == 2
        assert any("prompt is missing" in text for text in problems.messages())


def test_the_fields_that_decide_the_variant_are_the_choices() -> None:
    """The slice that keys the cache of variants holds exactly the seven fields from model to loras."""
    row = Row(1, "p", "m", 1, 2, 3, 4.0, "s", (), "n", 5, "c", {})
    assert row.choices() == (row.model, row.width, row.height, row.steps, row.guidance_scale, row.scheduler, row.loras)
