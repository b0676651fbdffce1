"""Job files: what is read, and what is said of everything that cannot be."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.jobfile.jobfile import MAX_NAME, NAME, slug
from jobs.jobfile.loading import Options, load, name_of
from jobs.jobfile.yaml_document import MAX_BYTES, read_document
from pipeline.errors import JobFileError

GOOD = """\
name: autumn
manifest: prompts/autumn.parquet
store: s3://acme/renders
model: sdxl
defaults: {width: 1024, steps: 30.0, guidance_scale: 7, negative_prompt: "blurry"}
images_per_prompt: 4
nodes: [{type: g6e.xlarge, market: spot, max: 8}]
budget: {usd: 25, usd_per_image: 0.004}
deadline: 2026-11-21T08:00:00+01:00
output: {format: webp, metadata: none}
"""


def written(folder: Path, text: str | bytes) -> str:
    """A job file with this text."""
    path = folder / "job.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def refusal(folder: Path, text: str | bytes, options: Options | None = None) -> str:
    """What is said of a job file, without the folder's name."""
    location = written(folder, text)
    with pytest.raises(JobFileError) as refused:
        load(location, options or Options())
    return str(refused.value).replace(location, "job.yaml")


def base(**changed: str) -> str:
    """A small good job file with some lines changed or added."""
    lines = {"manifest": "p.jsonl", "store": "out", "model": "shapes"} | changed
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def test_every_key_of_a_job_file_is_read(tmp_path: Path) -> None:
    """The example of the documentation gives the values that it shows."""
    job = load(written(tmp_path, GOOD), Options())
    assert job.manifest == str(tmp_path / "prompts/autumn.parquet")
    assert job.store == "s3://acme/renders"
    assert job.defaults.given() == {"width": 1024, "steps": 30, "guidance_scale": 7.0, "negative_prompt": "blurry"}
    assert job.nodes[0].type == "g6e.xlarge"
    assert job.deadline is not None
    assert job.deadline.isoformat() == "2026-11-21T07:00:00+00:00"
    assert job.output_settings().format == "webp"


def test_money_never_passes_through_a_float(tmp_path: Path) -> None:
    """Digits that no float holds are still there."""
    job = load(written(tmp_path, base(budget="{usd: 1234567.123456789, usd_per_image: 0.1}")), Options())
    assert job.budget.usd == Decimal("1234567.123456789")
    assert job.budget.usd_per_image == Decimal("0.1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (base(modle="x"), 'job.yaml:4: modle: unknown key, did you mean "model"?'),
        (base(defaults="{widht: 8}"), 'job.yaml:4: defaults.widht: unknown key, did you mean "width"?'),
        (base(zzz="1"), "job.yaml:4: zzz: unknown key; known are name, manifest"),
        (
            base(defaults="{width: wide}"),
            'job.yaml:4: defaults.width: must be a whole number from 8 to 16384, got "wide"',
        ),
        (base(defaults="{width: true}"), "must be a whole number from 8 to 16384, got true"),
        (base(defaults="{steps: 2.5}"), "must be a whole number from 1 to 1000, got 2.5"),
        (base(defaults="{guidance_scale: .nan}"), 'must be a number from 0 to 100, got ".nan"'),
        (base(defaults="{seed: 4294967296}"), "defaults.seed: must be a whole number from 0 to 4294967295"),
        (base(defaults="{seed: 4294967295}", images_per_prompt="2"), "give seeds up to 4294967296"),
        (base(defaults="7"), "job.yaml:4: defaults: must be a mapping, got 7"),
        (base(defaults="{negative_prompt: 7}"), "must be text, got 7; put it in quotes"),
        (base(defaults='{negative_prompt: "a\\eb"}'), "must not hold control characters"),
        (base(name="Bad Name"), 'try "bad-name"'),
        (base(name="a--b"), "single hyphens"),
        (base(name="x" * 61), "at most 60"),
        (base(images_per_prompt="0"), "job.yaml:4: images_per_prompt: must be a whole number from 1"),
        (base(sweep="{stepz: [1, 2]}"), 'job.yaml:4: sweep.stepz: unknown key, did you mean "steps"?'),
        (base(sweep="{steps: [1, 0]}"), "job.yaml:4: sweep.steps: must be a whole number from 1 to 1000, got 0"),
        (base(sweep="{seed: 9..3}"), 'job.yaml:4: sweep.seed: "9..3" must run upwards, over at most 10,000 values'),
        (
            base(sweep="{seed: 0..200, steps: 1..200}"),
            "job.yaml:4: sweep: has 40,200 points, at most 10,000 are allowed",
        ),
        (base(sweep="{mode: zip, seed: 0..1, steps: 5}"), "same length: seed has 2, steps has 1"),
        (base(sweep="{}"), "job.yaml:4: sweep: names no field; write such as {guidance_scale: [5, 7.5]}"),
        (base(sweep="[1]"), "job.yaml:4: sweep: must be a mapping, got a list"),
        (base(templates="yes"), "job.yaml:4: templates: must be true, false, or such as {mode: random, count: 10}"),
        (base(templates="{mode: all}"), 'job.yaml:4: templates.mode: must be exhaustive or random, got "all"'),
        (base(templates="{mode: exhaustive, count: 3}"), "templates: count is for mode: random"),
        (base(templates="{count: 30, limit: 10}"), "templates: count is 30 and limit 10; raise the limit"),
        (
            base(nodes="[{type: g5.xlarge, market: sopt}]"),
            'nodes[0].market: must be spot, on_demand or local, got "sopt"',
        ),
        (base(nodes="{type: a}"), "nodes: must be a list"),
        (base(nodes="[{max: 1}]"), "nodes[0].type: is missing"),
        (base(budget="{usd: 0}"), "must be more than 0; leave it out for no limit"),
        (base(budget="{usd: -1}"), "must be an amount in US dollars such as 25 or 0.004, got -1"),
        (base(budget='{usd: "25 USD"}'), 'got "25 USD"'),
        (base(budget="{usd: 0.0000000001}"), "at most nine digits after the point"),
        (base(deadline="2026-11-21T07:00:00"), "deadline: must have a time zone, such as 2026-11-21T07:00:00+00:00"),
        (base(deadline="tomorrow"), 'must be an instant such as 2026-11-21T07:00:00+00:00, got "tomorrow"'),
        (base(output="{format: gif}"), 'output.format: must be png, webp or jpeg, got "gif"'),
        (base(model="''"), "job.yaml:3: model: must not be empty"),
        ("manifest: p.jsonl\nstore: out\n", "job.yaml:1: model: is missing; say --model NAME"),
        ("manifest: p.jsonl\nmodel: shapes\n", "store: is missing; say --store URI, set SPOTRENDER_STORE"),
        ("", "is empty; a job file holds"),
        ("- a\n", "job.yaml:1: must be a mapping"),
        ("a: 1\na: 2\n", "job.yaml:2: a: is there twice (first on line 1)"),
        ("a: 1\n b: 2\n", "job.yaml:2: is not valid YAML"),
        ("a: [1, 2\n", "is not valid YAML"),
        ("a: 1\n---\nb: 1\n", "starts a second document"),
        ("a: !!python/object/apply:os.system [x]\n", "has the tag"),
        ("? [a]\n: 1\n", "a key must be a word"),
        (b"a: 1\nb: \xff\n", "job.yaml:2: is not UTF-8"),
        ('a: "\\ud800"\n', "job.yaml:1: holds half of a surrogate pair"),
        (b"a: \x00\n", "holds the control character U+0000"),
        ("a: " + "[" * 40 + "]" * 40, "nested deeper than"),
        ("a: &a [*a]\n", "holds too many values"),
        (b"#" * (MAX_BYTES + 1), "is larger than"),
        (
            base(nodes="[{type: a, market: spot}, {type: a, market: spot, only_for_deadline: true}]"),
            "nodes[1]: only_for_deadline: spot nodes are used first",
        ),
        (base(nodes="[{type: a, market: on_demand, only_for_deadline: true}]"), "so none would begin"),
    ],
)
def test_bad_job_file_is_refused_with_place_and_remedy(tmp_path: Path, text: str | bytes, said: str) -> None:
    """Every kind of mistake has a sentence that names the line, the key and what is right."""
    assert said in refusal(tmp_path, text)


def test_bomb_of_anchors_is_refused_at_once(tmp_path: Path) -> None:
    """Nine levels of nine references would be a billion values; they are never built."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert "too many values; write them without anchors" in refusal(tmp_path, "\n".join(lines))


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """A user mends a file in one go."""
    said = refusal(tmp_path, base(name="Bad Name", images_per_prompt="0", output="{format: gif}", budget="{usd: x}"))
    assert len(said.splitlines()) == 4


def test_job_file_that_is_not_there_is_named() -> None:
    """A wrong path is told as such."""
    with pytest.raises(JobFileError, match=r"missing\.yaml: cannot be read: No such file"):
        load("missing.yaml", Options())


def test_paths_are_relative_to_the_job_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever folder one stands in, a job file means the same."""
    (tmp_path / "deep").mkdir()
    location = written(tmp_path / "deep", base(manifest="../p.jsonl", store="out", model="./weights"))
    monkeypatch.chdir("/")
    job = load(location, Options())
    assert (job.manifest, job.store) == (str(tmp_path / "p.jsonl"), str(tmp_path / "deep/out"))
    assert job.model == str(tmp_path / "deep/weights")


def test_options_override_the_file_and_are_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is typed now counts more than what was written once."""
    location = written(tmp_path, base(defaults="{width: 64, height: 64}"))
    monkeypatch.chdir("/")
    options = Options(store="there", workers=3, assignments=("width=768", "output.format=webp", "budget.usd=0.1"))
    job = load(location, options)
    assert (job.store, job.workers, job.defaults.width, job.defaults.height) == ("/there", 3, 768, 64)
    assert (job.output.format, job.budget.usd) == ("webp", Decimal("0.1"))


def test_manifest_with_options_is_the_same_as_a_job_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The short form and the long form make one and the same job."""
    monkeypatch.chdir(tmp_path)
    long = written(tmp_path, base(name="p", defaults="{width: 64}", images_per_prompt="2"))
    short = Options(model="shapes", store="out", images_per_prompt=2, assignments=("width=64",))
    assert load("p.jsonl", short) == load(long, Options())


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("width=wide", '--set defaults.width: must be a whole number from 8 to 16384, got "wide"'),
        ("wdth=1", '--set: unknown key "wdth", did you mean "width"?'),
        ("width", '--set: must look like width=768, got "width"'),
        ("output.format=gif", "--set output.format: must be png, webp or jpeg"),
        ("output.fromat=png", '--set output.fromat: unknown key, did you mean "format"?'),
    ],
)
def test_bad_option_is_named_as_an_option(assignment: str, said: str) -> None:
    """No line number is made up for what was typed."""
    with pytest.raises(JobFileError) as refused:
        load("p.jsonl", Options(model="shapes", store="out", assignments=(assignment,)))
    assert said in str(refused.value)


def test_store_of_the_environment_is_the_last_resort(tmp_path: Path) -> None:
    """The file's own store counts more than the environment's."""
    without = base().replace("store: out\n", "")
    assert load(written(tmp_path, without), Options(), fallback_store="s3://a/b").store == "s3://a/b"
    assert load(written(tmp_path, base()), Options(), fallback_store="s3://a/b").store == str(tmp_path / "out")


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        ("/a/Autumn Catalogue!.jsonl.gz", "autumn-catalogue"),
        ("s3://acme/x/prompts_2026.parquet", "prompts-2026"),
        ("-", "stdin"),
        ("/a/日本.txt", "job"),
        ("/a/v1.2.csv", "v1-2"),
    ],
)
def test_job_is_called_like_its_manifest(manifest: str, name: str) -> None:
    """Without a name the file's name is made into one."""
    assert name_of(manifest) == name


@given(st.text())
def test_slug_of_any_text_is_a_name(text: str) -> None:
    """Whatever a file is called, the name made of it is allowed."""
    made = slug(text)
    assert NAME.fullmatch(made)
    assert len(made) <= MAX_NAME


@given(
    st.recursive(
        st.text() | st.integers(-(10**30), 10**30) | st.booleans() | st.none(),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=6,
    )
)
def test_json_is_read_as_it_stands(value: object) -> None:
    """JSON is YAML: quoted words stay words, numbers are numbers."""
    text = json.dumps({"key": value}).encode()
    assert read_document(text, name="x").values == {"key": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("1e3", Decimal(1000)),
        ("010", 10),
        ("0x10", "0x10"),
        ("~", None),
        (".5", Decimal("0.5")),
    ],
)
def test_plain_words_are_read_as_yaml_1_2_has_them(text: str, value: object) -> None:
    """No country becomes false, and no time of day becomes a number."""
    assert read_document(f"key: {text}".encode(), name="x").values == {"key": value}


@pytest.mark.parametrize(
    ("text", "option", "fixed", "tuned"),
    [
        (base(), None, None, False),
        (base(batch_size="3"), None, 3, False),
        (base(batch_size="auto"), None, None, True),
        (base(batch_size="auto"), "6", 6, False),
        (base(batch_size="3"), "auto", None, True),
    ],
)
def test_batch_size_is_a_number_or_left_to_the_workers(
    tmp_path: Path,
    text: str,
    option: str | None,
    fixed: int | None,
    tuned: bool,  # noqa: FBT001 - a table of cases
) -> None:
    """The option goes before the file."""
    job = load(written(tmp_path, text), Options(batch_size=option))
    assert (job.fixed_batch, job.tuned) == (fixed, tuned)


@pytest.mark.parametrize("wrong", ["0", "2.5", "many", "true"])
def test_batch_size_that_is_none_is_refused_with_what_it_may_be(tmp_path: Path, wrong: str) -> None:
    """In the file with its line, on the command line with the option's name."""
    assert "job.yaml:4: batch_size: must be auto or a whole number from 1" in refusal(tmp_path, base(batch_size=wrong))
    assert "--batch-size: must be auto or a whole number from 1" in refusal(tmp_path, base(), Options(batch_size=wrong))
