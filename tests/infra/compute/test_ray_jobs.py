"""Handing a driver to a cluster through Ray's Jobs API, on a real head with its dashboard."""

import time
from collections.abc import Iterator

import pytest
from ray.job_submission import JobSubmissionClient

from infra.compute.ray_jobs import submit_driver
from pipeline.errors import ClusterRefusedError
from tests.infra.compute.jobs import PATIENCE_SECONDS
from tests.infra.compute.real_cluster import dashboard_arguments, running_cluster

TELL = "import os, pipeline; print('from', pipeline.__file__); print('said', os.environ['SAID'])"
"""A driver that tells where its code came from."""


@pytest.fixture(scope="module")
def dashboard() -> Iterator[str]:
    """Address of a running dashboard."""
    with running_cluster(num_cpus=1, **dashboard_arguments()) as cluster:
        yield cluster.dashboard


def log_at_end(dashboard: str, submission: str) -> str:
    """What a driver printed, once it has ended."""
    client = JobSubmissionClient(dashboard)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not client.get_job_status(submission).is_terminal():
        assert time.monotonic() < deadline, client.get_job_logs(submission)
        time.sleep(0.2)
    text: str = client.get_job_logs(submission)
    return text


def test_driver_runs_on_the_cluster_with_our_code_and_is_not_started_twice(dashboard: str) -> None:
    """The driver gets our packages; while it runs it is found again, and once it has ended it runs anew."""
    command = ["python", "-P", "-c", f"{TELL}; import time; time.sleep(3)"]
    first = submit_driver(dashboard, submission_id="catalogue-0123", command=command, environment={"SAID": "a b"})
    again = submit_driver(dashboard, submission_id="catalogue-0123", command=command, environment={"SAID": "a b"})
    assert (first, again) == ("catalogue-0123", "catalogue-0123")
    log = log_at_end(dashboard, first)
    assert "said a b" in log
    assert "/runtime_resources/py_modules_files/" in log
    command = ["python", "-c", "print('second')"]
    second = submit_driver(dashboard, submission_id="catalogue-0123", command=command, ship_code=False)
    assert second == "catalogue-0123-2"
    assert "second" in log_at_end(dashboard, second)


@pytest.mark.parametrize(
    ("address", "said"), [("10.0.0.5:6379", "http://"), ("http://127.0.0.1:1", "could not be handed over")]
)
def test_address_without_a_dashboard_is_refused(address: str, said: str) -> None:
    """What is no dashboard is told before anything is sent."""
    with pytest.raises(ClusterRefusedError, match=said):
        submit_driver(address, submission_id="catalogue-0123", command=["true"])
