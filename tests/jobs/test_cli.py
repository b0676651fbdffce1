"""The command line: quick help, one JSON document, exit codes, errors that name the remedy."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from infra.stores.local import LocalStore
from jobs.cli import app, run
from pipeline import __version__
from pipeline.errors import InfrastructureError
from pipeline.job import JobState
from tests.imports import ROOT
from tests.jobs.made_job import make_job

HEAVY = ("torch", "ray", "boto3", "diffusers", "transformers", "pyarrow", "numpy", "pydantic", "PIL", "rich")
"""What `--help` does without."""

HELP = f"""
import sys
from jobs.cli import run
code = run(["--help"])
print([name for name in {HEAVY!r} if name in sys.modules], code)
"""


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A local store with one job, `demo`."""
    make_job(LocalStore(str(tmp_path / "store")))
    return str(tmp_path / "store")


def spotrender(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """The real command in its own process."""
    command = [sys.executable, "-m", "jobs.console", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, timeout=60, check=False
    )


INTERRUPTED = """
import os, signal, sys
from jobs.console import main

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "jobs.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
main()
"""
"""Ctrl-C in the middle of the command's imports."""


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    """What stdout holds, which must be one JSON document."""
    return json.loads(capsys.readouterr().out)


def commands() -> list[str]:
    """The names of all commands."""
    return sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_help_loads_nothing_heavy() -> None:
    """`spotrender --help` answers at once because it loads nothing that it does not need."""
    told = subprocess.run([sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.endswith("[] 0\n")


def test_commands_are_those_of_the_design() -> None:
    """What this version has of them."""
    assert commands() == [
        "cancel",
        "cluster",
        "compare",
        "deliver",
        "diff",
        "doctor",
        "download",
        "fit",
        "gc",
        "gpus",
        "list",
        "logs",
        "models",
        "nightly",
        "pause",
        "plan",
        "rehearse",
        "report",
        "reproduce",
        "resume",
        "retry",
        "set",
        "status",
        "submit",
        "validate",
        "verify",
        "wait",
    ]


@pytest.mark.parametrize("name", commands())
def test_every_command_is_in_the_readme(name: str) -> None:
    """With its name as one types it."""
    assert f"spotrender {name}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", commands())
def test_every_command_and_option_has_help(name: str) -> None:
    """Nobody has to read the source to use a command."""
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.help
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


def test_real_command_prints_help_and_version() -> None:
    """The console script works in its own process."""
    assert "Run a job, or resume it." in spotrender("--help").stdout
    assert spotrender("--version").stdout == f"spotrender {__version__}\n"
    assert spotrender().stdout == spotrender("--help").stdout


def test_ctrl_c_before_anything_has_begun_is_no_traceback() -> None:
    """Interrupted while it still imports, the command says so in one line."""
    command = [sys.executable, "-c", INTERRUPTED]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (130, "error: interrupted\n")


def test_output_cut_off_by_a_pipe_is_no_error(place: str) -> None:
    """`spotrender status | head` ends without a traceback."""
    command = [sys.executable, "-m", "jobs.console", "status", "demo", "--store", place]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        ended = subprocess.run(command, cwd=ROOT, stdout=gone, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["statsu"], "No such command 'statsu'. Did you mean 'status'?"),
        (["submit"], "Missing argument 'JOB.yaml|MANIFEST'; see spotrender --help"),
        (["list", "--strore", "x"], "No such option: --strore"),
        (["wait", "x", "--store", "memory:a", "--timeout", "-1"], "--timeout"),
        (["list"], "which store? Say --store URI, or set SPOTRENDER_STORE"),
        (["list", "--store", "ftp://x"], "ftp://"),
        (["status", "dmeo", "--store", "memory:none"], "it holds none at all"),
        (["validate", "none.yaml"], "none.yaml: cannot be read"),
        (["validate", "p.jsonl", "--store", "x"], "model: is missing; say --model NAME"),
        (["validate", "p.jsonl", "--store", "x", "--model", "sdlx"], 'did you mean "sdxl"'),
        (["validate", "none.jsonl", "--store", "x", "--model", "shapes", "--set", "wdth=1"], 'did you mean "width"'),
        (["submit", "none.jsonl", "--store", "x", "--model", "shapes", "--name", "A B"], 'try "a-b"'),
    ],
)
def test_what_the_user_must_mend_ends_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """The message goes to stderr and names the remedy; stdout stays empty, or holds it as JSON."""
    assert run(arguments) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert said in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert run([*arguments, "--json"]) == 2
    assert said in document(capsys)["error"]


def test_unexpected_error_is_one_line_and_a_traceback_only_on_demand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours is owned as such; what is no bug (a store that is down) is not called one."""
    monkeypatch.setattr("jobs.watching.listing.list_jobs", lambda _store: 1 / 0)
    assert run(["list", "--store", "memory:a"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ZeroDivisionError: division by zero\nthis is a bug in spotrender")
    assert "Traceback" not in told
    assert run(["--debug", "list", "--store", "memory:a"]) == 1
    assert "Traceback" in capsys.readouterr().err

    def down(_store: object) -> None:
        raise InfrastructureError("the network is away")

    monkeypatch.setattr("jobs.watching.listing.list_jobs", down)
    assert run(["list", "--store", "memory:a"]) == 1
    assert capsys.readouterr().err == "error: the network is away\n"


def test_interruption_ends_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is no error of anybody."""

    def interrupted(_store: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobs.watching.listing.list_jobs", interrupted)
    assert run(["list", "--store", "memory:a"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_escapes_in_a_message_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A hostile name is shown, not obeyed."""
    assert run(["status", "\x1b[2Jx", "--store", "memory:none"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_status_list_and_wait_tell_of_a_job(capsys: pytest.CaptureFixture[str], place: str) -> None:
    """For a person and as JSON."""
    assert run(["status", "demo", "--store", place]) == 0
    assert "SUCCEEDED" in capsys.readouterr().out
    assert run(["status", "demo", "--store", place, "--json"]) == 0
    assert document(capsys)["rendered"] == 3
    assert run(["list", "--store", place, "--json"]) == 0
    assert [job["name"] for job in document(capsys)] == ["demo"]
    assert run(["list", "--store", place]) == 0
    assert "3/3" in capsys.readouterr().out
    assert run(["wait", "demo", "--store", place, "--json"]) == 0
    assert document(capsys)["state"] == "SUCCEEDED"


def test_store_is_taken_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Everywhere, without `--store`."""
    monkeypatch.setenv("SPOTRENDER_STORE", place)
    assert run(["status", "demo", "--json"]) == 0
    assert document(capsys)["name"] == "demo"


def test_wait_ends_with_the_exit_code_of_the_state(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Also when its time is over first."""
    make_job(LocalStore(str(tmp_path)), state=JobState.CANCELED, name="canceled")
    make_job(LocalStore(str(tmp_path)), state=JobState.RUNNING, name="running")
    assert run(["wait", "canceled", "--store", str(tmp_path)]) == 5
    assert run(["wait", "running", "--store", str(tmp_path), "--timeout", "0"]) == 124
    assert "driver silent since" in capsys.readouterr().out


def test_download_and_verify_from_the_command_line(
    capsys: pytest.CaptureFixture[str], place: str, tmp_path: Path
) -> None:
    """Fetch, look, damage, look again, repair."""
    folder = tmp_path / "mine"
    assert run(["download", "demo", "--store", place, "--to", str(folder), "--json"]) == 0
    assert document(capsys)["fetched"] == 3
    assert run(["verify", "demo", "--store", place]) == 0
    assert "3 images" in capsys.readouterr().out
    next(Path(place).joinpath("images").rglob("*.png")).unlink()
    assert run(["verify", "demo", "--store", place, "--quick", "--json"]) == 3
    assert [finding["problem"] for finding in document(capsys)["findings"]] == ["missing"]
    assert run(["download", "demo", "--store", place, "--to", str(tmp_path / "other")]) == 3
    assert "is missing in the store" in capsys.readouterr().out
    assert run(["verify", "demo", "--store", place, "--repair"]) == 3
    assert "took 1 record back" in capsys.readouterr().out
    assert run(["verify", "demo", "--store", place, "--json"]) == 0
    assert document(capsys)["checked"] < 3


def test_doctor_ends_with_2_when_something_must_be_mended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A bad store is a failure; a whole machine is none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["doctor", "--store", str(tmp_path / "store"), "--json"]) == 0
    assert {check["name"] for check in document(capsys)["checks"]} >= {"torch", "ray", "store"}
    assert run(["doctor", "--store", "ftp://x"]) == 2
    assert "fail  store:" in capsys.readouterr().out
