"""`notify:` from the job file to a local server, and what is kept of it in the store."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.stores.memory import MemoryStore
from jobs.changing import change, describe
from jobs.cli import run
from jobs.jobfile.loading import Options, load
from jobs.nightly.nightly_file import job_of, load_nightly
from jobs.telling import Telling
from jobs.wiring import settings_of
from pipeline.driving.control import latest_settings, put_settings
from pipeline.errors import JobFileError, LeaseLostError, StoreUnavailableError
from pipeline.job import JobState, Settings, settings_from_json, settings_to_json
from pipeline.status import starting_status
from tests.infra.notifiers.receiver import Receiver, receiver
from tests.jobs.made_job import NOW, make_job

JOB = """\
name: cats
manifest: prompts.jsonl
store: out
model: synthetic
notify: %s
"""
KEY = "correct-horse-battery"
PATH = "T0123/B4567/a-token-in-a-path"


@pytest.fixture
def there() -> Iterator[Receiver]:
    """Somebody who wants to hear."""
    with receiver() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a manifest in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "a cat"}\n{"prompt": "a dog"}\n')
    return tmp_path


def submitted(folder: Path, notify: str) -> int:
    """The exit code of a job with such receivers."""
    (folder / "job.yaml").write_text(JOB % notify)
    return run(["submit", "job.yaml", "--address", "in-process", "--json"])


def events(there: Receiver) -> list[str]:
    """What was told, in order."""
    return [posted.values["event"] for posted in there.posted]


def test_job_is_told_from_its_start_to_its_end(
    folder: Path, there: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To a URL out of the environment, signed; neither URL nor key is anywhere in the store or in the output."""
    monkeypatch.setenv("HOOK", f"{there.url}/{PATH}")
    monkeypatch.setenv("HOOK_KEY", KEY)
    assert submitted(folder, "[{webhook_env: HOOK, secret_env: HOOK_KEY}]") == 0
    assert events(there) == ["started", "finished"]
    assert all("webhook-signature" in posted.headers for posted in there.posted)
    said = there.posted[-1].values
    assert (said["status"]["state"], said["status"]["rendered"]) == ("SUCCEEDED", 2)
    output = capsys.readouterr()
    assert said["job"] == json.loads(output.out)["job"]
    kept = b"".join(path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file())
    for secret in (KEY, PATH):
        assert secret.encode() not in kept
        assert secret not in output.out + output.err


def test_job_that_its_budget_stops_says_so(folder: Path, there: Receiver) -> None:
    """The notice that it is nearly spent, and the end with its remedy."""
    (folder / "prompts.jsonl").write_text("".join(f'{{"prompt": "cat {n}"}}\n' for n in range(200)))
    assert submitted(folder, f"[{{webhook: '{there.url}/x'}}]\nbudget: {{usd: 0.000000001}}") == 4
    assert sorted(events(there)) == ["budget", "failed", "started"]
    last = there.posted[-1].values
    assert (last["event"], last["status"]["state"]) == ("failed", "STOPPED")
    assert "raise budget.usd and submit again" in last["text"]


def test_only_what_is_wanted_is_told(folder: Path, there: Receiver) -> None:
    """`on:` is a list of occasions."""
    assert submitted(folder, f"[{{webhook: '{there.url}/x', on: [failed, finished]}}]") == 0
    assert events(there) == ["finished"]


def test_receivers_that_cannot_be_told_hurt_no_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what to mend, renders everything, and ends as ever."""
    assert submitted(folder, "[{webhook_env: NOT_SET}, {apprise_env: NOT_SET_EITHER, on: [budget]}]") == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["state"] == "SUCCEEDED"
    said = " ".join(output.err.split())
    assert "notify[0]: the variable NOT_SET is not set where the driver runs; nothing is told there" in said
    assert "notify[1]: the variable NOT_SET_EITHER" in said


@pytest.mark.parametrize(
    ("notify", "says"),
    [
        ("[{}]", "job.yaml:5: notify[0]: must name one receiver"),
        ("[{webhook: https://a/b, apprise_env: X}]", "got webhook and apprise_env"),
        ("[{webhook: ftp://a/b}]", "must begin with https:// or http://"),
        ("[{webhook: 'https://me:s3cretword@a/b'}]", "must hold no user and no password"),
        ("[{webhook: 'https://a/b?token=s3cretword'}]", "webhook_env: NAME"),
        ("[{webhook_env: 'https://a/s3cretword'}]", "must be the name of an environment variable"),
        ("[{apprise_env: 'slack://s3cretword/b'}]", "must be the name of an environment variable"),
        ("[{apprise_env: X, secret_env: Y}]", "secret_env signs posts to a webhook"),
        ("[{webhook: https://a/b, on: [finnished]}]", "finished"),
        ("[{webhook: https://a/b, on: []}]", "must hold at least one of started, finished"),
        ("[{webhok: https://a/b}]", "webhook"),
        ("{webhook: https://a/b}", "job.yaml:5: notify"),
    ],
)
def test_receiver_that_makes_no_sense_is_refused(folder: Path, notify: str, says: str) -> None:
    """With its line, before anything is written, and without repeating what may be a secret."""
    (folder / "job.yaml").write_text(JOB % notify)
    with pytest.raises(JobFileError) as refused:
        load("job.yaml", Options())
    assert says in str(refused.value)
    assert "s3cretword" not in str(refused.value)


def test_receivers_are_settings_that_may_change() -> None:
    """`set` takes them as the job file does, shows them, and takes them away."""
    store = MemoryStore("memory:notify")
    job, _ = make_job(store)
    put_settings(store, job.id, Settings(nodes=()))
    change(store, "demo", ["notify=[{webhook_env: HOOK, on: [failed]}]"], environ={})
    _, settings = latest_settings(store, job.id)
    assert [values["url_env"] for values in settings.notify] == ["HOOK"]
    assert settings_from_json(settings_to_json(settings)) == settings
    assert ("notify", "webhook HOOK (failed)") in describe(settings)
    with pytest.raises(JobFileError):
        change(store, "demo", ["notify=[{webhook_env: no name}]"], environ={})
    change(store, "demo", ["notify="], environ={})
    assert latest_settings(store, job.id)[1].notify == ()


def test_nightly_entry_says_who_is_told_of_its_runs(folder: Path) -> None:
    """Before the job file's own."""
    (folder / "job.yaml").write_text(JOB % "[{webhook_env: OF_THE_JOB}]")
    entry = "{name: %s, cron: '0 2 * * *', job: job.yaml%s}"
    more = ", notify: [{apprise_env: OF_THE_ENTRY, on: [failed]}]"
    (folder / "nightly.yaml").write_text(f"store: out\nnightly: [{entry % ('a', more)}, {entry % ('b', '')}]")
    file = load_nightly("nightly.yaml")
    told = [settings_of(job_of(file, one, NOW), {}).notify for one in file.nightly]
    assert [values["url_env"] for (values,) in told] == ["OF_THE_ENTRY", "OF_THE_JOB"]


def test_driver_that_ends_in_an_error_is_told(there: Receiver) -> None:
    """But not one that another driver took over from; and no secret of the environment is in the text."""
    settings = Settings(nodes=(), notify=({"notifier": "webhook", "url": there.url, "on": ["failed"]},))
    told = Telling({"STORE_PASSWORD": KEY})
    told.begin(lambda: settings)
    told.broke("demo", LeaseLostError("another driver"), fence=1)
    told.broke("demo", StoreUnavailableError(f"no answer to {KEY}"), fence=1)
    told.broke("demo", ValueError(KEY), fence=2)
    told.close()
    assert events(there) == ["failed", "failed"]
    assert "no answer to [hidden]" in there.posted[0].values["text"]
    assert KEY.encode() not in b"".join(posted.body for posted in there.posted)


def test_status_that_makes_no_sense_ends_no_job(caplog: pytest.LogCaptureFixture) -> None:
    """What is told beside a job never raises into it."""
    told = Telling({})
    start = starting_status("demo", total=1, earlier=None, now="never", fence=1)
    told.begin(lambda: Settings(nodes=(), deadline=NOW))
    for _ in range(2):
        told.look(replace(start, state=JobState.RUNNING, phase="rendering"))
    told.close()
    assert caplog.text.count("notify: ValueError") == 1
