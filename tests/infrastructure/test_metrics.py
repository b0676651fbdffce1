"""A real Prometheus scrapes a running job: every query of the dashboard has an answer, and alerts fire as told."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from infra.compute.local_cluster import LocalCluster, LocalNode, local_cluster
from infra.stores.local import LocalStore
from jobs.cli import run
from pipeline.metrics import METRICS, PREFIX
from tests.chaos.command import Command, command
from tests.infrastructure.gpu_teller import JOB as GPU_JOB
from tests.infrastructure.prometheus import ALERTS, Prometheus, prometheus

CLUSTER = ALERTS.parents[1]
DASHBOARD = CLUSTER / "grafana" / "spotrender.json"

QUICK = {"RAY_metrics_report_interval_ms": "1000", "CUDA_VISIBLE_DEVICES": "", "SPOTRENDER_LOCAL_USD_PER_HOUR": "0.37"}

PATIENCE_SECONDS = 150.0


def expressions() -> list[tuple[str, str]]:
    """Panel and query, for all of the dashboard, as Grafana would send them for all jobs."""
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [
        (panel["title"], target["expr"].replace("$job", ".*").replace("$__rate_interval", "1m"))
        for panel in document["panels"]
        for target in panel.get("targets", ())
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A job that was watched until all was seen, and then stopped."""

    prometheus: Prometheus
    unanswered: tuple[str, ...]
    """Panels whose query had no answer."""
    ended: tuple[int, Any]
    """Exit code and document of the driver."""
    images: float
    """Images done, as the metrics said at the end."""
    store: str
    announced: LocalNode
    """The node that was announced, and then went."""


@contextmanager
def teller(cluster: LocalCluster) -> Iterator[list[int]]:
    """GPU figures, which no worker here has; gives the ports at which the cluster's nodes serve metrics."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.infrastructure.gpu_teller", cluster.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.communicate()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One job on three nodes, of which one is announced and goes and another one dies."""
    folder = tmp_path_factory.mktemp("watched")
    store = LocalStore(str(folder / "store"))
    rows = [{"prompt": f"prompt {number}"} for number in range(4000)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    values = {
        "manifest": str(folder / "prompts.jsonl"),
        "store": store.uri,
        "model": "synthetic",
        "model_options": {"seconds_per_batch": "0.4"},
        "batch_size": 2,
        "nodes": [{"type": "local", "market": "local", "max": 3}],
        "budget": {"usd": 50},
    }
    (folder / "job.yaml").write_text(json.dumps(values), encoding="utf-8")
    (folder / "prometheus").mkdir()
    with local_cluster(environment=QUICK) as cluster:
        nodes = [cluster.add() for _ in range(3)]
        cluster.settle()
        submit = ["submit", str(folder / "job.yaml"), "--address", cluster.address]
        with (
            teller(cluster) as ports,
            prometheus(folder / "prometheus", ports) as server,
            command(submit, environment=QUICK) as driver,
        ):
            images = f"sum(last_over_time(ray_{PREFIX}images_done[1m]))"
            driver.until(lambda: bool(server.query(f"{images} > 10")))
            rob(cluster, nodes, driver, server, store)
            unanswered = wait_for_answers(server, driver)
            seen = server.value(images)
            driver.interrupt()
            yield Watched(
                prometheus=server,
                unanswered=unanswered,
                ended=driver.end(),
                images=seen,
                store=store.uri,
                announced=nodes[0],
            )


def rob(cluster: LocalCluster, nodes: list[LocalNode], driver: Command, server: Prometheus, store: LocalStore) -> None:
    """Take one node after a notice, and another without; the driver runs on the head."""
    cluster.announce(nodes[0], seconds=90)
    noticed = f"sum(max_over_time(ray_{PREFIX}notices_total[10m])) > 0"
    driver.until(lambda: bool(server.query(noticed)) and logged_on(nodes[0], store))
    cluster.kill(nodes[0])
    cluster.kill(nodes[1])
    cluster.add()
    counted = [
        f"sum(max_over_time(ray_{PREFIX}{name}[10m])) >= 1" for name in ("preemptions_total", "nodes_lost_total")
    ]
    driver.until(lambda: all(server.query(one) for one in counted))


def logged_on(node: LocalNode, store: LocalStore) -> bool:
    """Whether a worker of this node has put a log with a batch in it."""
    bodies = [store.get(info.key) for info in store.list("jobs/") if "/logs/worker-" in info.key]
    lines = [json.loads(line) for body in bodies for line in body.splitlines()]
    return any(node.node_id.startswith(line["node"][:12]) and "is committed" in line["message"] for line in lines)


def wait_for_answers(server: Prometheus, driver: Command) -> tuple[str, ...]:
    """Ask every query until it has an answer; gives the panels of those that had none in time."""
    waiting = expressions()
    deadline = time.monotonic() + PATIENCE_SECONDS

    def all_answered() -> bool:
        waiting[:] = [one for one in waiting if not server.query(one[1])]
        return not waiting or time.monotonic() > deadline

    driver.until(all_answered)
    return tuple(f"{title}: {expression}" for title, expression in waiting)


def test_every_query_of_the_dashboard_has_an_answer(watched: Watched) -> None:
    """While the job ran; GPU figures come from a stand-in."""
    assert watched.unanswered == ()
    assert len(expressions()) > 35


def test_metrics_agree_with_the_result(watched: Watched) -> None:
    """Images, reclaims and dollars, as near as seconds allow; a stopped job says what it had."""
    code, result = watched.ended
    assert (code, result["state"]) == (130, "PAUSED")
    server = watched.prometheus
    assert 10 < watched.images <= result["rendered"]
    assert server.value(f"sum(max_over_time(ray_{PREFIX}preemptions_total[10m]))") == pytest.approx(1)
    assert server.value(f"sum(max_over_time(ray_{PREFIX}nodes_lost_total[10m]))") == pytest.approx(1)
    spent = server.value(f"sum(max_over_time(ray_{PREFIX}spend_usd[10m]))")
    assert 0 < spent <= float(Decimal(result["usd"])) * 1.001


def test_logs_of_nodes_that_are_gone_are_there(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    """With job, node, task and attempt on every line of an attempt; a node that is announced leaves all of its own."""
    job = watched.ended[1]["job"]
    assert run(["logs", job, "--store", watched.store, "--level", "debug", "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)
    batches = [line for line in lines if "is committed" in line["message"]]
    assert batches
    assert all(line["job"] == job and line["task"] and line["attempt"] and line["node"] for line in batches)
    nodes = {line["node"] for line in batches}
    assert any(watched.announced.node_id.startswith(node[:12]) for node in nodes)
    assert len(nodes) >= 2
    assert run(["logs", job, "--store", watched.store, "--task", batches[0]["task"], "--json"]) == 0
    of_task = json.loads(capsys.readouterr().out)
    assert batches[0] in of_task
    assert {line["task"] for line in of_task} == {batches[0]["task"]}


def test_what_is_exported_is_in_the_table(watched: Watched) -> None:
    """Every name with its kind, and no label beside those of the table, Ray's own and Prometheus'."""
    server = watched.prometheus
    names = [name for name in server.ask("label/__name__/values") if name.startswith(f"ray_{PREFIX}")]
    suffix = re.compile(r"_(bucket|sum|count)$")
    told = {suffix.sub("", name.removeprefix(f"ray_{PREFIX}")) for name in names}
    assert told == set(METRICS)
    rays = {"Component", "NodeAddress", "SessionName", "Version", "WorkerId", "__name__", "instance", "le"}
    for name, metric in METRICS.items():
        kind = "" if metric.kind != "histogram" else "_bucket"
        for series in server.query(f"last_over_time(ray_{PREFIX}{name}{kind}[10m])"):
            labels = {label for label in series["metric"] if not label.startswith("otel_scope")} - rays
            assert labels == {"job", *metric.labels}, name
    jobs = {
        series["metric"]["job"]
        for series in server.query(f"count by (job) (last_over_time(ray_{PREFIX}gpu_seconds_total[10m]))")
    }
    assert len(jobs - {GPU_JOB}) == 1


def test_rules_are_evaluated(watched: Watched) -> None:
    """By the server itself, each without an error."""
    rules = [rule for group in watched.prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) >= 7
    assert [rule for rule in rules if rule["health"] != "ok" or rule.get("lastError")] == []


def test_dashboard_and_rules_name_only_metrics_of_the_table() -> None:
    """A query of a name that nobody tells would stay empty for ever; what nobody shows need not be told."""
    texts = [expression for _, expression in expressions()]
    shown = set(re.findall(rf"ray_{PREFIX}(\w+)", "\n".join([*texts, ALERTS.read_text(encoding="utf-8")])))
    plain = {re.sub(r"_bucket$", "", name) for name in shown}
    assert plain <= set(METRICS)
    assert set(METRICS) - plain == {"driver_heartbeat_timestamp_seconds"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", str(ALERTS)),
        ("check", "config", "--syntax-only", str(ALERTS.with_name("prometheus.yml"))),
        ("test", "rules", str(Path(__file__).with_name("alerts_test.yml"))),
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing(arguments: tuple[str, ...]) -> None:
    """The rules parse, fire where they should, and stay silent where they should not."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
