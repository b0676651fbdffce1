"""Templates and sweeps from a job file: switched on by it, wildcards from its folder, shown by `validate --show`."""

import json
import os
from pathlib import Path

import pytest

from jobs.cli import run
from jobs.jobfile.loading import Options, load
from jobs.submit import ValidationResult, validate
from pipeline.errors import ManifestError
from pipeline.templates.wildcards import MAX_WILDCARD_BYTES


def checked(folder: Path, prompt: str, *assignments: str, show: int = 10) -> ValidationResult:
    """What a manifest of one prompt becomes, with templates switched on."""
    (folder / "p.txt").write_text(f"{prompt}\n")
    options = Options(model="shapes", store=str(folder / "out"), assignments=("templates=true", *assignments))
    return validate(load(str(folder / "p.txt"), options), show=show)


def wildcard(folder: Path, name: str, text: str) -> Path:
    """A file of the folder `wildcards` beside the manifest."""
    path = folder / "wildcards" / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refused(folder: Path, prompt: str, *assignments: str) -> str:
    """What is said of a prompt that cannot be expanded."""
    with pytest.raises(ManifestError) as caught:
        checked(folder, prompt, *assignments)
    assert not (folder / "out").exists()
    return str(caught.value).replace(f"{folder}/", "")


def test_templates_and_sweep_of_a_job_are_counted_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`validate --show 3` says how many images there will be, and prints the first ones as they are rendered."""
    wildcard(tmp_path, "colour", "red\nblue\n")
    (tmp_path / "p.txt").write_text("a __colour__ {circle|square}\nplain\n")
    (tmp_path / "job.yaml").write_text(
        "manifest: p.txt\nstore: out\nmodel: shapes\ntemplates: true\nsweep: {seed: 0..2, guidance_scale: 1.50}\n"
    )
    assert run(["validate", str(tmp_path / "job.yaml"), "--show", "3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["rows"], result["images"]) == (2, 15)
    shown = [(one["prompt"], one["seed"], one["tags"]) for one in result["requests"]]
    assert shown == [("a red circle", seed, {"seed": str(seed), "guidance_scale": "1.5"}) for seed in range(3)]
    assert run(["validate", str(tmp_path / "job.yaml"), "--show", "1"]) == 0
    assert "a red circle" in capsys.readouterr().out


def test_job_id_follows_from_what_is_rendered(tmp_path: Path) -> None:
    """The template written out by hand is the same job; an edited wildcard is another one."""
    wildcard(tmp_path, "colour", "red\nblue\n")
    by_template = checked(tmp_path, "a __colour__ circle").job
    assert checked(tmp_path, "a red circle\na blue circle", "templates=false").job == by_template
    wildcard(tmp_path, "colour", "red\ngreen\n")
    assert checked(tmp_path, "a __colour__ circle").job != by_template


def test_dice_choose_so_many_of_each_row(tmp_path: Path) -> None:
    """`templates.count` draws from templates that nobody could render whole."""
    assert checked(tmp_path, "{a|b}" * 100, "templates.count=7").images == 7


def test_wildcards_may_lie_in_another_folder(tmp_path: Path) -> None:
    """`wildcards:` names it."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/colour.txt").write_text("red")
    found = checked(tmp_path, "a __colour__ circle", f"wildcards={tmp_path / 'lists'}")
    assert found.requests[0].prompt == "a red circle"


def test_wildcards_may_lie_in_a_store(tmp_path: Path) -> None:
    """Any URI that names a store will do; a missing one names the nearest."""
    wildcard(tmp_path, "colour", "red")
    where = f"wildcards=file://{tmp_path}/wildcards"
    assert checked(tmp_path, "a __colour__ circle", where).requests[0].prompt == "a red circle"
    assert 'there is no such file, did you mean "colour"?' in refused(tmp_path, "__color__", where)


def test_a_wildcard_never_leads_out_of_its_folder(tmp_path: Path) -> None:
    """Links that leave the folder, pipes, folders and huge files are refused unread; a misspelt name has a hint."""
    folder = wildcard(tmp_path, "colour", "red").parent
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "round.txt").symlink_to(folder / "round.txt")
    (folder / "folder.txt").mkdir()
    os.mkfifo(folder / "pipe.txt")
    os.truncate(wildcard(tmp_path, "huge", ""), MAX_WILDCARD_BYTES + 1)
    wildcard(tmp_path, "latin", "").write_bytes("gr\u00fcn\n".encode("latin-1"))
    for name, said in (
        ("link", "wildcards/link.txt: leads out of the folder of wildcards"),
        ("round", "wildcards/round.txt: cannot be read"),
        ("folder", "wildcards/folder.txt: is no file"),
        ("pipe", "wildcards/pipe.txt: is no file"),
        ("huge", "wildcards/huge.txt: has more than 4,194,304 bytes"),
        ("latin", "wildcards/latin.txt:1: byte 0xfc at column 3 is not UTF-8"),
        ("color", 'wildcards/color.txt: there is no such file, did you mean "colour"?'),
    ):
        assert f"p.txt:1: prompt, column 3: __{name}__: {said}" in refused(tmp_path, f"a __{name}__")
    assert checked(tmp_path, "a __../secret__").requests[0].prompt == "a __../secret__"
