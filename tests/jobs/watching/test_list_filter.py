"""Labels of jobs, and the jobs that somebody wants to see."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.stores.memory import MemoryStore
from jobs.freezing import freeze
from jobs.jobfile.loading import Options, load
from jobs.watching.list_filter import list_filter
from jobs.watching.listing import list_jobs
from jobs.watching.status import read_view, view, view_to_json
from pipeline.driving.control import put_settings
from pipeline.errors import JobFileError
from pipeline.job import JobState, Settings, settings_from_json, settings_to_json
from tests.jobs.made_job import NOW, make_job

FILE = """\
manifest: prompts.txt
store: out
model: synthetic
{more}
"""


def labeled(store: MemoryStore, name: str, *, owner: str = "", days: int = 0, **tags: str) -> str:
    """A job with these labels, so many days old."""
    state = JobState.RUNNING if owner == "bo" else JobState.SUCCEEDED
    job, _ = make_job(store, name=name, submitted_at=NOW - timedelta(days=days), state=state)
    put_settings(store, job.id, Settings(nodes=(), owner=owner, tags=tags))
    return job.id


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["autumn", "winter", "spring"]),
        ({"names": ["*n*r"]}, ["winter"]),
        ({"owners": ["ann"]}, ["autumn", "spring"]),
        ({"tags": ["team=shop"]}, ["autumn", "winter"]),
        ({"tags": ["team=shop", "draft"]}, ["winter"]),
        ({"tags": ["team=s*"], "owners": ["ann", "al"]}, ["autumn"]),
        ({"states": ["running"]}, ["winter"]),
        ({"since": "2d"}, ["autumn", "winter"]),
        ({"since": "2d", "states": ["SUCCEEDED"]}, ["autumn"]),
    ],
)
def test_jobs_are_chosen_by_every_filter_at_once(options: dict[str, Any], names: list[str]) -> None:
    """State, name, owner, labels and day; what is left out leaves all of them in."""
    store = MemoryStore()
    labeled(store, "autumn", owner="ann", team="shop")
    labeled(store, "winter", owner="bo", days=1, team="shop", draft="yes")
    labeled(store, "spring", owner="ann", days=9)
    given: dict[str, Any] = {"states": (), "names": (), "owners": (), "tags": (), "since": None} | options
    wanted = list_filter(**given, now=NOW)
    views = [view(one.job, one.status, now=NOW, settings=one.settings) for one in list_jobs(store)]
    assert [seen.job.name for seen in views if wanted.takes(seen)] == names


def test_state_that_there_is_not_is_refused_with_the_nearest() -> None:
    """A slip of the keyboard is no empty list."""
    with pytest.raises(JobFileError, match=r'--state: there is no state "RUNING", did you mean "RUNNING"'):
        list_filter(states=["runing"], names=(), owners=(), tags=(), since=None, now=NOW)


def test_labels_of_a_job_change_no_image(tmp_path: Path) -> None:
    """Owner, tags and retention are settings: the same images, the same job."""
    (tmp_path / "prompts.txt").write_text("a cat\n")
    frozen = []
    for number, more in enumerate(["", "owner: ann\ntags: {team: shop}\nretention: 30d"]):
        path = tmp_path / f"job{number}.yaml"
        path.write_text(FILE.format(more=more))
        with freeze(load(str(path), Options()), environ={}, stdin=None, now=NOW) as one:
            frozen.append(one)
    plain, labels = frozen
    assert plain.job == labels.job
    assert (labels.settings.owner, labels.settings.tags) == ("ann", {"team": "shop"})
    assert labels.settings.retention_seconds == 30 * 86_400
    assert settings_from_json(settings_to_json(labels.settings)) == replace(labels.settings)


@pytest.mark.parametrize("retention", ["30", "10m", "soon", "[1]", "1000000d"])
def test_retention_that_makes_no_sense_is_refused(tmp_path: Path, retention: str) -> None:
    """With its line, and what is right."""
    (tmp_path / "prompts.txt").write_text("a cat\n")
    path = tmp_path / "job.yaml"
    path.write_text(FILE.format(more=f"retention: {retention}"))
    with pytest.raises(JobFileError, match=r"job.yaml:4: retention: must be a time of at least an hour such as 30d"):
        load(str(path), Options())


def test_labels_are_shown_by_status_as_json() -> None:
    """Scripts read them there and in `list --json`."""
    store = MemoryStore()
    job = labeled(store, "autumn", owner="ann", team="shop")
    said = view_to_json(read_view(store, job, now=NOW))
    assert (said["owner"], said["tags"], said["retention_seconds"]) == ("ann", {"team": "shop"}, None)
