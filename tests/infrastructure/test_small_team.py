"""What a small team has, on this machine: a store, a head, three spot nodes and Prometheus, set up as the README says.

Each machine is a network namespace with an address of its own. The commands are those of the documentation, as they are
written there; only addresses and names of this test's are put in their place.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from infra.compute.code_version import code_root
from tests.chaos.command import PATIENCE_SECONDS
from tests.chaos.manifest import write_manifest
from tests.chaos.outside import OutsideView
from tests.chaos.promises import assert_books_balance, assert_each_is_counted_once, assert_every_image_is_there
from tests.infra.servers import S3Server, rclone_server
from tests.infrastructure.documentation import commands
from tests.infrastructure.hosts import OUTSIDE, Host, network
from tests.infrastructure.prometheus import ALERTS, Prometheus, wait_until_ready

pytestmark = pytest.mark.namespaces

PROMPTS = 240
NOTICE_SECONDS = 8.0
PRICE = Decimal("0.37")
NODES = ("gpu1", "gpu2", "gpu3")

TOKEN, HEAD, NODE, DOCTOR, _, SUBMIT, WAIT = range(7)
"""What the lines of the README are for."""

JOB = f"""name: autumn
manifest: autumn.jsonl
store: STORE
model: synthetic
model_options: {{seconds_per_batch: "0.7"}}
batch_size: 2
nodes: [{{type: box, market: spot, max: 3, usd_per_hour: {PRICE}, gpu: cpu}}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Everything that was set up."""

    hosts: dict[str, Host]
    server: S3Server
    prometheus: Prometheus
    folder: Path

    @property
    def store(self) -> str:
        """Of the job."""
        return self.server.uri("renders")

    def documented(self, line: int, *, more: str = "") -> str:
        """A line of the README with this team's names in it."""
        text = commands("## Going to a cluster")[line]
        text = text.replace("HEAD", self.hosts["head"].address).replace("s3://acme/renders", self.store)
        return f"{text.replace('autumn.yaml', str(self.folder / 'autumn.yaml'))} {more}".strip()

    def on_head(self, line: int) -> Any:
        """What a line of the README prints as JSON, in a shell of the head that has the token."""
        return json.loads(self.hosts["head"].run(f"export RAY_AUTH_MODE=token; {self.documented(line, more='--json')}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """The job when it has ended."""

    team: Team
    wanted: dict[str, str]
    """Custom id -> image id."""
    doctor: Any
    submitted: Any
    seen: Any
    """Its status while it ran."""
    ended: Any
    """What `wait` said."""
    counted: float
    """Images that Prometheus saw done."""


@pytest.fixture(scope="module")
def aftermath() -> Iterator[Aftermath]:
    """A job handed to the cluster; one of its nodes is announced and switched off."""
    folder = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    try:
        with small_team(folder) as team:
            wanted = write_manifest(folder / "autumn.jsonl", prompts=PROMPTS)
            (folder / "autumn.yaml").write_text(JOB.replace("STORE", team.store))
            doctor, submitted = team.on_head(DOCTOR), team.on_head(SUBMIT)
            view = OutsideView(team.server, "renders")
            until(lambda: len(view.record_keys()) >= 6)
            until(lambda: bool(team.prometheus.query("sum(ray_spotrender_images_done) > 0")))
            seen = json.loads(team.hosts["head"].run(f"spotrender status autumn --store {team.store} --json"))
            (folder / "gpu2" / "notice").write_text(str(NOTICE_SECONDS))
            time.sleep(NOTICE_SECONDS)
            team.hosts["gpu2"].switch_off()
            ended = team.on_head(WAIT)
            yield Aftermath(
                team=team,
                wanted=wanted,
                doctor=doctor,
                submitted=submitted,
                seen=seen,
                ended=ended,
                counted=team.prometheus.value("max(max_over_time(ray_spotrender_images_done[10m]))"),
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def small_team(folder: Path) -> Iterator[Team]:
    """The machines, with Ray running on them as the README says."""

    def environment(name: str) -> dict[str, str]:
        """A home, a folder for Ray and a place for the notice of each host's own, and room for four on one machine."""
        home = folder / name
        home.mkdir()
        return {
            "HOME": str(home),
            "RAY_TMPDIR": str(folder / "r"),
            "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(code_root()),
            "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": "80000000",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_metrics_report_interval_ms": "1000",
            "RAY_raylet_start_wait_time_s": "150",
            "CUDA_VISIBLE_DEVICES": "",
            "SPOTRENDER_NOTICE_FILE": str(home / "notice"),
        }

    with network(("head", *NODES), environment=environment) as hosts, rclone_server(folder / "s3", host=OUTSIDE) as s3:
        variables = "".join(f"export {name}={value}; " for name, value in s3.environment().items())
        for host in hosts.values():
            (Path(host.environment["HOME"]) / ".bash_env").write_text(variables)
        team = Team(
            hosts={name: with_store(host) for name, host in hosts.items()},
            server=s3,
            prometheus=Prometheus(f"http://{hosts['head'].address}:9090"),
            folder=folder,
        )
        head = team.hosts["head"]
        head.run(f"{team.documented(TOKEN)} && {team.documented(HEAD)}")
        token = (folder / "head" / ".ray" / "auth_token").read_text()
        for name in NODES:
            (folder / name / ".ray").mkdir()
            (folder / name / ".ray" / "auth_token").write_text(token)
            (folder / name / ".ray" / "auth_token").chmod(0o600)
            team.hosts[name].run(f"export RAY_AUTH_MODE=token; {team.documented(NODE)}")
        with watched(team):
            yield team


def with_store(host: Host) -> Host:
    """The host with the store's credentials in the environment of each of its shells."""
    own = {**host.environment, "BASH_ENV": str(Path(host.environment["HOME"]) / ".bash_env")}
    return Host(name=host.name, address=host.address, namespace=host.namespace, environment=own)


@contextmanager
def watched(team: Team) -> Iterator[None]:
    """Prometheus runs beside the head with the project's own configuration, which Ray tells where to look."""
    shipped = (ALERTS.parent / "prometheus.yml").read_text(encoding="utf-8")
    text = shipped.replace("/tmp/ray/", f"{team.folder}/r/ray/").replace("15s", "1s").replace("10s", "1s")
    (team.folder / "prometheus.yml").write_text(text.replace("alerts.yml", str(ALERTS)))
    head = team.hosts["head"]
    arguments = [
        f"--config.file={team.folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={team.folder / 'prometheus'}",
        f"--web.listen-address={head.address}:9090",
    ]
    with head.running("prometheus", *arguments) as process:
        wait_until_ready(f"http://{head.address}:9090/-/ready", process, team.folder / "prometheus.yml")
        yield


def until(reached: Callable[[], bool]) -> None:
    """Wait for what must come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.3)


def test_doctor_sees_the_whole_cluster(aftermath: Aftermath) -> None:
    """From the head: four nodes, and a store that all of them may use."""
    found = {check["name"]: check["message"] for check in aftermath.doctor["checks"]}
    assert "4 nodes" in found["cluster"]
    assert aftermath.team.store in found["store"]


def test_cluster_drives_the_job_to_its_end(aftermath: Aftermath) -> None:
    """Handed over, seen while it runs, waited for: every image is there, once, though a node was taken."""
    assert (aftermath.submitted["state"], aftermath.submitted["total"]) == ("PENDING", PROMPTS)
    assert aftermath.seen["total"] == PROMPTS
    assert (aftermath.ended["state"], aftermath.ended["rendered"]) == ("SUCCEEDED", PROMPTS)
    view = OutsideView(aftermath.team.server, "renders")
    assert_every_image_is_there(view, set(aftermath.wanted.values()))
    assert_each_is_counted_once(view)


def test_ledger_knows_the_node_that_was_taken(aftermath: Aftermath) -> None:
    """Its session ended by a reclaim, the others were released; all books balance at the price of the job file."""
    view = OutsideView(aftermath.team.server, "renders")
    assert_books_balance(view, usd_per_hour=PRICE)
    sessions = view.nodes_ledger()
    assert {(row["node_type"], row["market"], row["gpu"]) for row in sessions} == {("box", "spot", "cpu")}
    assert sorted(row["terminated_by"] for row in sessions) == ["reclaimed", "released", "released"]


def test_report_and_prometheus_tell_the_same_images(aftermath: Aftermath) -> None:
    """The report is read from the store by whoever may; Prometheus counts what it saw of the driver."""
    text = aftermath.team.hosts["head"].run(f"spotrender report autumn --store {aftermath.team.store} --json")
    assert f'"rendered": {PROMPTS}' in text
    assert 0 < aftermath.counted <= PROMPTS
