"""What a row becomes: each prompt of its template, at each point of a sweep; what does not change is kept."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from pipeline.errors import JobFileError, ManifestError
from pipeline.manifest.expansion import Expansion, Templates
from pipeline.manifest.formats import read_rows
from pipeline.manifest.problems import Problems
from pipeline.manifest.row import FIELDS, Row
from pipeline.manifest.spool import Spooled, spool
from pipeline.manifest.sweep import Sweep, make_sweep
from tests.pipeline.manifest.submission import resolver, table
from tests.pipeline.templates.written import binder

BODY = """\
{"prompt": "a {red|blue} circle", "custom_id": "hero", "tags": {"campaign": "autumn"}}
{"prompt": "a {big|small} square", "seed": 7}
{"prompt": "no template"}
"""


def expansion(
    *, draws: int | None = None, limit: int = 1000, sweep: Sweep | None = None, images: int = 1, off: bool = False
) -> Expansion:
    """What a job makes of rows, with templates switched on."""
    templates = None if off else Templates(binder=binder({"colour": "red\ngreen"}), draws=draws, limit=limit)
    return Expansion(templates=templates, sweep=sweep or Sweep(), seed=0, images_per_prompt=images)


def sweep(*, together: bool = False, **axes: Iterable[object]) -> Sweep:
    """A sweep over these values."""
    return make_sweep({name: [FIELDS[name](one) for one in values] for name, values in axes.items()}, together=together)


def made(by: Expansion, body: str = BODY) -> list[Row]:
    """The rows that a manifest stands for."""
    problems = Problems("p.jsonl")
    rows = list(by.rows(read_rows(io.BytesIO(body.encode()), "p.jsonl", problems), problems))
    problems.raise_any()
    return rows


def spooled(by: Expansion, folder: Path, body: str = BODY) -> Spooled:
    """The requests files of a manifest."""
    problems = Problems("p.jsonl")
    rows = by.rows(read_rows(io.BytesIO(body.encode()), "p.jsonl", problems), problems)
    return spool(rows, resolver(), folder, problems)


def refusal(by: Expansion, folder: Path, body: str) -> list[str]:
    """What is said of a manifest that has problems."""
    with pytest.raises(ManifestError) as refused:
        spooled(by, folder, body)
    return str(refused.value).splitlines()


def prompts(rows: Iterable[Row]) -> list[str]:
    """Their prompts."""
    return [row.prompt for row in rows]


def test_braces_are_just_text_until_the_job_says_otherwise() -> None:
    """Without templates a prompt is what it was."""
    assert prompts(made(expansion(off=True))) == ["a {red|blue} circle", "a {big|small} square", "no template"]


def test_each_prompt_of_a_template_is_a_row_of_its_own() -> None:
    """Lines, tags and seeds stay; a custom id that would come twice is numbered."""
    rows = made(expansion())
    assert [(row.line, row.prompt, row.custom_id, row.seed) for row in rows] == [
        (1, "a red circle", "hero.0", None),
        (1, "a blue circle", "hero.1", None),
        (2, "a big square", None, 7),
        (2, "a small square", None, 7),
        (3, "no template", None, None),
    ]
    assert rows[1].tags == {"campaign": "autumn"}


def test_sweep_renders_every_row_at_every_point_and_tags_it() -> None:
    """The product of the axes, the last one fastest; each value becomes a tag for reports."""
    rows = made(expansion(off=True, sweep=sweep(guidance_scale=[5, 7.5], steps=[10, 20])), '{"prompt": "p"}')
    assert [(row.guidance_scale, row.steps, row.tags) for row in rows] == [
        (5.0, 10, {"guidance_scale": "5", "steps": "10"}),
        (5.0, 20, {"guidance_scale": "5", "steps": "20"}),
        (7.5, 10, {"guidance_scale": "7.5", "steps": "10"}),
        (7.5, 20, {"guidance_scale": "7.5", "steps": "20"}),
    ]


def test_zip_takes_the_axes_together_and_wants_them_of_one_length() -> None:
    """The n-th values go together."""
    points = sweep(together=True, width=[64, 128], height=[64, 256]).points
    assert [point.fields for point in points] == [{"width": 64, "height": 64}, {"width": 128, "height": 256}]
    with pytest.raises(JobFileError, match="must be of the same length: width has 1, height has 2"):
        sweep(together=True, width=[64], height=[64, 128])


def test_a_row_that_says_what_is_swept_is_refused(tmp_path: Path) -> None:
    """Neither silently wins; nor does a tag of the user's own get lost."""
    body = '{"prompt": "p", "steps": 5}\n{"prompt": "p", "tags": {"steps": "x"}}'
    assert refusal(expansion(off=True, sweep=sweep(steps=[1, 2])), tmp_path, body) == [
        "p.jsonl:1: steps is given here and swept by the job; remove it from one of them",
        "p.jsonl:2: tag steps is given here, and the sweep gives it to each value of steps; rename it",
    ]


def test_dice_depend_on_the_row_and_not_on_its_place() -> None:
    """A manifest gives the same prompts for ever, and rows put before it change none of them."""
    body = '{"prompt": "a {red|blue|green|black|white} {cat|dog|fish|bird}"}\n'
    first = prompts(made(expansion(draws=5), body))
    assert first == prompts(made(expansion(draws=5), '{"prompt": "another {x|y}"}\n' + body))[5:]
    assert first == prompts(made(expansion(draws=8), body))[:5]
    assert first == GOLDEN
    assert first != prompts(made(expansion(draws=5), body.replace('"}', '", "seed": 1}')))


GOLDEN = ["a blue fish", "a white fish", "a red dog", "a green bird", "a red dog"]
"""What dice make of that row; if it changes, every user's random manifest has become another one."""


def test_each_draw_has_seeds_of_its_own() -> None:
    """Dice may choose the same words twice; the images differ all the same."""
    rows = made(expansion(draws=3, images=2), '{"prompt": "a {red|blue} cat", "seed": 10}')
    assert [row.seed for row in rows] == [10, 12, 14]


def test_too_many_prompts_are_refused_before_any_is_made(tmp_path: Path) -> None:
    """The message names the count, the limit and the ways out; points of a sweep count too."""
    body = '{"prompt": "' + "{a|b}" * 60 + '"}\n{"prompt": "{a|b|c}"}'
    said = refusal(expansion(limit=5, sweep=sweep(seed=[1, 2])), tmp_path, body)
    assert said[0].startswith(
        "p.jsonl:1: prompt stands for 1,152,921,504,606,846,976 prompts at 2 points of the sweep,"
    )
    assert said[1].startswith("p.jsonl:2: prompt stands for 3 prompts at 2 points of the sweep, at most 5 requests are")


def test_faults_are_told_once_for_each_row(tmp_path: Path) -> None:
    """A template's column, a point that the model refuses, words that are no prompt: one line each."""
    body = "\n".join(f'{{"prompt": "{prompt}"}}' for prompt in ("{a|b", "{a|b|c}", "{ | |}", "__nowhere__"))
    said = refusal(expansion(sweep=sweep(width=[64, 65])), tmp_path, body)
    assert said == [
        'p.jsonl:1: prompt, column 1: "{" is never closed; write \\{ for a brace',
        'p.jsonl:2: width must be a multiple of 8 for model "shapes", got 65: write 64 or 72',
        "p.jsonl:3: a prompt of this template is empty; write what to draw, or remove the row",
        "p.jsonl:3: a prompt of this template is empty; write what to draw, or remove the row",
        'p.jsonl:3: width must be a multiple of 8 for model "shapes", got 65: write 64 or 72',
        "p.jsonl:4: prompt, column 1: __nowhere__: nowhere.txt: there is no such file",
    ]


def test_a_number_that_is_another_rows_id_is_found(tmp_path: Path) -> None:
    """`hero.1` cannot be both a custom id of the user's and the second prompt of `hero`."""
    body = '{"prompt": "{a|b}", "custom_id": "hero"}\n{"prompt": "c", "custom_id": "hero.1"}'
    assert refusal(expansion(), tmp_path, body) == [
        'p.jsonl:2: custom_id "hero.1" was given at line 1 already; every row needs its own'
    ]


def test_the_requests_are_frozen_written_out(tmp_path: Path) -> None:
    """The requests files hold final prompts, so whoever resumes a job needs neither templates nor wildcards."""
    result = spooled(expansion(sweep=sweep(seed=[1, 2])), tmp_path, '{"prompt": "a __colour__ cat"}')
    rows: list[Mapping[str, object]] = table(result)
    assert [(row["prompt"], row["seed"], row["row"], row["line"]) for row in rows] == [
        ("a red cat", 1, 0, 1),
        ("a red cat", 2, 1, 1),
        ("a green cat", 1, 2, 1),
        ("a green cat", 2, 3, 1),
    ]
    again = spooled(expansion(sweep=sweep(seed=[1, 2])), tmp_path / "again", '{"prompt": "a __colour__ cat"}')
    assert again.digest == result.digest
