"""The nightly file and its commands: what is refused, what is shown, what there is to install."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import run as command
from jobs.nightly.nightly_file import load_nightly
from jobs.nightly.running import exit_code
from jobs.nightly.state import Run
from pipeline.errors import JobFileError
from pipeline.job import JobState
from tests.jobs.nightly.desk import DUE, GONE, JOB, NIGHTLY, Desk


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('cron: "61 2 * * *"', 'nightly.yaml:4: nightly[0].cron: "61 2 * * *": bad minute'),
        ("timezone: Europe/Berlim", 'got "Europe/Berlim", did you mean "Europe/Berlin"?'),
        ("timezone: ../../etc/passwd", "nightly[0].timezone: must be a time zone such as Europe/Berlin"),
        ("concurency: queue", 'nightly[0].concurency: unknown key, did you mean "concurrency"?'),
        ("concurrency: both", "must be forbid, queue or replace"),
        ("catch_up: {all: 0}", "all must be a whole number from 1 to 100, got 0"),
        ("catch_up: some", "must be none, last, all or {all: 20}"),
        ("deadline: 25:00", 'must be a time such as "07:00"'),
        ("budget: {usd: 0}", "nightly[0].budget.usd: must be more than 0"),
        ("name: Cat Pictures", 'try "cat-pictures"'),
    ],
)
def test_what_makes_no_sense_has_its_line_and_remedy(tmp_path: Path, line: str, said: str) -> None:
    """Each key of an entry."""
    key = line.partition(":")[0]
    kept = [one for one in NIGHTLY.splitlines() if not one.strip(" -").startswith(f"{key}:")]
    if key == "name":
        kept.insert(2, f"  - {line}")
    else:
        kept.insert(3, f"    {line}")
    (tmp_path / "nightly.yaml").write_text("\n".join(kept))
    with pytest.raises(JobFileError) as refused:
        load_nightly(str(tmp_path / "nightly.yaml"))
    assert said in str(refused.value)
    assert f"nightly.yaml:{3 if key == 'name' else 4}: " in str(refused.value)


def test_shipped_example_is_a_nightly_file() -> None:
    """`configs/nightly.yaml` is read as it stands."""
    from importlib.resources import as_file, files

    with as_file(files("configs") / "nightly.yaml") as path:
        assert [entry.name for entry in load_nightly(str(path)).nightly] == ["catalogue", "weekly-posters"]


def test_per_run_seeds_are_for_schedules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plain submit says so, with what to write instead."""
    (tmp_path / "job.yaml").write_text(JOB + "store: out\n")
    assert command(["validate", str(tmp_path / "job.yaml")]) == 2
    assert "job.yaml:4: defaults.seed: per_run is for jobs of `spotrender nightly`" in capsys.readouterr().err


def test_commands_show_what_will_run_and_what_ran(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """As text and as JSON; nothing is due in the present."""
    desk.call(at=DUE)
    file = str(desk.folder / "nightly.yaml")

    def said(*arguments: str) -> Any:
        assert command(["nightly", *arguments, file, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert [one["entry"] for one in said("next")] == ["cat"] * 3
    (ran,) = said("list")
    assert (ran["state"], ran["images"], ran["local"]) == ("SUCCEEDED", 2, "2026-11-21 02:00")
    assert command(["nightly", "list", file]) == 0
    assert "2026-11-21 02:00  cat  SUCCEEDED  night-2026-11-21-" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["cron", "systemd", "kubernetes"])
def test_units_call_the_file_wherever_it_lies(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    """Folders with blanks and per cent signs are what those files want them to be."""
    folder = tmp_path / "my 100% renders"
    folder.mkdir()
    (folder / "nightly.yaml").write_text(NIGHTLY)
    assert command(["nightly", "install", str(folder / "nightly.yaml"), f"--{kind}"]) == 0
    text = capsys.readouterr().out
    blank = {"cron": r"my 100\% renders/nightly.yaml'", "systemd": 'my 100%% renders/nightly.yaml"'}
    assert blank.get(kind, 'my 100% renders/nightly.yaml"') in text
    assert ("--wait" in text) is (kind != "cron"), "only cron lets a run outlive the call"
    assert command(["nightly", "install", str(folder / "nightly.yaml")]) == 2


def test_states_of_jobs_are_exit_codes() -> None:
    """Of several runs the highest."""
    runs = [
        Run(due=DUE, started_at=DUE, owner=GONE, state=state.value, ended_at=DUE)
        for state in (JobState.SUCCEEDED, JobState.COMPLETED_WITH_FAILURES)
    ]
    assert exit_code(runs) == 3
