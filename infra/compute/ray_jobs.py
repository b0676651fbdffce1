"""Hands a whole driver to a Ray cluster, through its Jobs API, and returns while it runs there."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient
from tenacity import retry, retry_if_exception_message, stop_after_delay, wait_fixed

from infra.compute.ray_session import REMEDY, quiet, shipped_packages
from pipeline.errors import ClusterRefusedError


def submit_driver(
    address: str,
    *,
    submission_id: str,
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    working_dir: str | None = None,
    ship_code: bool = True,
) -> str:
    """Start a command on the cluster's head; returns the id under which Ray knows it.

    A driver of that id that still runs is left alone: submitting the same thing twice is the same job. One that has
    ended is submitted anew under the id with a number, as Ray keeps ids for good.

    Args:
        address: of the cluster's dashboard, such as `http://10.0.0.5:8265`.
        submission_id: derived from the job's id.
        command: such as `python -P -m jobs.console submit ... --address auto`, where `-P` keeps the folder that the
            driver happens to start in out of its imports; never by `uv run`, which Ray would repeat in each worker.
        environment: for the driver; is shown to everyone who can see the dashboard, so it must hold no secret.
        working_dir: folder with what the command names by relative path (job file, manifest); sent along.
        ship_code: send our packages; False where the cluster's image holds them.

    Raises:
        ClusterRefusedError: nothing answers there, it wants another token, or it refuses the job.
    """
    if not address.startswith(("http://", "https://")):
        raise ClusterRefusedError(
            f"{address}: --detach goes to the cluster's dashboard: give its address, such as http://10.0.0.5:8265"
        )
    runtime_env: dict[str, Any] = {}
    if ship_code:
        runtime_env["py_modules"] = shipped_packages()
    if working_dir is not None:
        runtime_env["working_dir"] = working_dir
    if environment:
        runtime_env["env_vars"] = dict(environment)
    try:
        with quiet():
            client = JobSubmissionClient(address)
            name, running = _free_id(client, submission_id)
            if not running:
                _submit(client, entrypoint=shlex.join(command), submission_id=name, runtime_env=runtime_env)
        return name
    except AuthenticationError as error:
        raise ClusterRefusedError(f"{address}: does not take the job from this process: {REMEDY}") from error
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ClusterRefusedError(
            f"{address}: the job could not be handed over ({reason}); check that the Ray dashboard runs there"
        ) from error


@retry(
    retry=retry_if_exception_message(match="(?s).*No available agent"),
    wait=wait_fixed(1),
    stop=stop_after_delay(30),
    reraise=True,
)
def _submit(client: JobSubmissionClient, **job: Any) -> None:
    """Submit; a cluster that has only just started has no agent for it yet, and says so."""
    client.submit_job(**job)


def _free_id(client: JobSubmissionClient, wanted: str) -> tuple[str, bool]:
    """An id for this driver, and whether it runs under it already."""
    known = {job.submission_id: job for job in client.list_jobs() if job.submission_id}
    name, number = wanted, 1
    while name in known:
        if not known[name].status.is_terminal():
            return name, True
        number += 1
        name = f"{wanted}-{number}"
    return name, False
