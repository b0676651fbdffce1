"""The watch over one node: clouds found by themselves, silence said once, cancelled notices, who goes before whom."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.providers.azure import ENDPOINT
from infra.providers.reports import Identity, Notice, SilentError, Source
from infra.providers.sources import CLOUDS, candidates, makers, named_sources, worth_watching
from infra.providers.static import NOTICE_FILE, FileSource
from infra.providers.watch import NodeWatch, Report
from tests.infra.providers.clouds import NOW_NS, SECOND, AwsCloud, AzureCloud, GcpCloud, now_ns, serving

PATIENCE_SECONDS = 30.0

REDIRECTS = {
    "aws": (AwsCloud, "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
    "gcp": (GcpCloud, "GCE_METADATA_HOST"),
    "azure": (AzureCloud, ENDPOINT),
}
"""Each cloud's stand-in, and the variable that leads to it."""


def hurry(closed: threading.Event, seconds: float) -> None:
    """Pauses of the watch, shortened."""
    closed.wait(min(seconds, 0.02))


def wait_for(watch: NodeWatch, found: Callable[[Report], Any]) -> Report:
    """The first report that has what is wanted."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not found(report := watch.report(0.2)):
        assert time.monotonic() < deadline, report
    return report


@contextmanager
def watching(environ: dict[str, str], **options: Any) -> Iterator[NodeWatch]:
    """A watch that finds out for itself who speaks for the node."""
    watch = NodeWatch(*candidates(environ, now_ns=now_ns, node_id="ray7"), environ=environ, pause=hurry, **options)
    watch.start()
    try:
        yield watch
    finally:
        watch.close()


class Told:
    """A source that says what a test tells it to; an exception is raised."""

    name = "aws"
    poll_seconds = 0.01

    def __init__(self) -> None:
        self.who: Identity | Exception = Identity(provider="aws", node_id="i-1")
        self.stands: tuple[Notice, ...] | Exception = ()
        self.asked = 0

    def identity(self) -> Identity | None:
        """As told."""
        if isinstance(self.who, Exception):
            raise self.who
        return self.who

    def notices(self) -> tuple[Notice, ...]:
        """As told."""
        self.asked += 1
        if isinstance(self.stands, Exception):
            raise self.stands
        return self.stands


@contextmanager
def watching_over(source: Source) -> Iterator[NodeWatch]:
    """A watch over this source alone."""
    watch = NodeWatch((source,), environ={}, pause=hurry)
    watch.start()
    try:
        yield watch
    finally:
        watch.close()


def reclaim(seconds: float, key: str = "k") -> Notice:
    """One of these seconds."""
    return Notice(kind="reclaim", deadline_ns=NOW_NS + round(seconds * SECOND), source="aws", key=key)


@pytest.mark.parametrize("name", [cloud.name for cloud in CLOUDS])
def test_every_cloud_is_found_and_followed_by_its_own_redirection(name: str) -> None:
    """Nothing but the variable of its own tools says which cloud it is."""
    kind, variable = REDIRECTS[name]
    cloud: Any = kind()
    with serving(cloud) as server, watching({variable: server.url}) as watch:
        report = wait_for(watch, lambda report: report.settled and report.complete)
        assert report.identity is not None
        assert (report.identity.provider, report.identity.market) == (name, "spot")
        assert report.notices == ()
        if name == "aws":
            cloud.interrupt(60)
        elif name == "gcp":
            cloud.values["preempted"] = "TRUE"
        else:
            cloud.announce(60)
        (notice,) = wait_for(watch, lambda report: report.notices).notices
        assert (notice.kind, notice.source) == ("reclaim", name)


def test_wrong_clouds_at_one_address_are_told_apart() -> None:
    """Of three that are asked at one place, only the one whose protocol is spoken there is believed."""
    cloud = AwsCloud()
    with serving(cloud) as server:
        environ = {variable: server.url for _, variable in REDIRECTS.values()}
        with watching(environ) as watch:
            report = wait_for(watch, lambda report: report.settled)
            assert report.identity is not None
            assert report.identity.provider == "aws"
            assert not report.troubles


def test_machine_without_any_service_is_settled_and_says_nothing() -> None:
    """Candidates that do not answer are no trouble, but where the firmware names one of them it is one."""
    nowhere = {variable: "http://127.0.0.1:1" for _, variable in REDIRECTS.values()}
    with watching(nowhere) as watch:
        report = wait_for(watch, lambda report: report.settled)
        assert (report.identity, report.notices, report.troubles) == (None, (), ())
    with watching(nowhere, expected=frozenset({"aws"})) as watch:
        (trouble,) = wait_for(watch, lambda report: report.troubles).troubles
        assert "one of its machines" in trouble


@pytest.mark.parametrize("error", [SilentError("HTTP 429"), ValueError("a bug"), MemoryError()])
def test_source_that_fails_is_said_once_and_asked_on(error: Exception) -> None:
    """Whatever it raises; what it tells afterwards counts."""
    source = Told()
    source.stands = error
    with watching_over(source) as watch:
        assert len(wait_for(watch, lambda report: report.troubles).troubles) == 1
        source.stands = (reclaim(50),)
        report = wait_for(watch, lambda report: report.notices)
        assert len(report.troubles) == 1


def test_notices_are_heard_from_a_source_that_does_not_know_who_it_is() -> None:
    """Identity and notices fail each by itself."""
    source = Told()
    source.who, source.stands = SilentError("HTTP 500"), (reclaim(50),)
    with watching_over(source) as watch:
        assert wait_for(watch, lambda report: report.notices).identity is None


def test_silence_after_a_notice_does_not_cancel_it_and_its_disappearance_does() -> None:
    """A service that breaks down takes nothing back; one that says that there is none does."""
    source = Told()
    source.stands = (reclaim(50),)
    with watching_over(source) as watch:
        wait_for(watch, lambda report: report.notices)
        source.stands = SilentError("down")
        wait_for(watch, lambda report: report.troubles)
        assert watch.report(0).notices == (reclaim(50),)
        source.stands = ()
        wait_for(watch, lambda report: not report.notices)


def test_notice_keeps_its_earliest_deadline() -> None:
    """A time that is clamped to now would else move on with every question."""
    source = Told()
    source.stands = (reclaim(30),)
    with watching_over(source) as watch:
        wait_for(watch, lambda report: report.notices)
        asked, source.stands = source.asked, (reclaim(45), reclaim(90, "other"))
        assert {n.deadline_ns for n in wait_for(watch, lambda report: len(report.notices) == 2).notices} == {
            NOW_NS + 30 * SECOND,
            NOW_NS + 90 * SECOND,
        }
        assert source.asked > asked


def test_environment_of_the_node_goes_before_its_cloud() -> None:
    """What whoever runs the node wrote down is what it is."""
    said = {"SPOTRENDER_NODE_TYPE": "rented-4090", "SPOTRENDER_MARKET": "on-demand", "SPOTRENDER_ZONE": "<odd>"}
    with serving(AwsCloud()) as server, watching({"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url} | said) as watch:
        identity = wait_for(watch, lambda report: report.settled).identity
        assert identity is not None
        assert (identity.provider, identity.node_type, identity.market) == ("aws", "rented-4090", "on_demand")
        assert identity.zone == "us-east-1b"


def test_pod_is_known_by_its_environment_and_its_cloud_goes_before() -> None:
    """A pod on a cloud's node is that cloud's; one where no service answers is Kubernetes' own."""
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "SPOTRENDER_NODE_NAME": "pool-7"}
    with watching(pod | {"GCE_METADATA_HOST": "127.0.0.1:1"}) as watch:
        identity = wait_for(watch, lambda report: report.settled).identity
        assert identity == Identity(provider="kubernetes", node_id="pool-7")
    with serving(GcpCloud()) as server, watching(pod | {"GCE_METADATA_HOST": server.url}) as watch:
        identity = wait_for(watch, lambda report: report.settled and report.identity).identity
        assert identity is not None
        assert (identity.provider, identity.node_id) == ("gcp", "pool-7")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", 0), ("45", 45), ("45.5\n", 45.5), ("1e9", 3600), ("-3", 0), ("nan", 0), ("inf", 0), ("soon", 0), ("\x00", 0)],
)
def test_file_tells_the_seconds_that_are_left(tmp_path: Path, text: str, seconds: float) -> None:
    """Empty, or what makes no sense, means now: the file itself is the notice."""
    path = tmp_path / "notice"
    source = FileSource(path, now_ns=now_ns)
    assert source.notices() == ()
    path.write_text(text)
    (notice,) = source.notices()
    assert (notice.kind, notice.deadline_ns) == ("reclaim", NOW_NS + round(seconds * SECOND))


def test_file_may_name_an_instant_or_only_recommend(tmp_path: Path) -> None:
    """An ISO instant, or `rebalance`."""
    path = tmp_path / "notice"
    source = FileSource(path, now_ns=now_ns)
    path.write_text("2026-11-18T11:07:40Z")
    assert source.notices()[0].deadline_ns == 1_795_000_060 * SECOND
    path.write_text("rebalance\n")
    assert source.notices()[0].kind == "rebalance"


def test_folder_or_pipe_in_the_files_place_is_a_trouble(tmp_path: Path) -> None:
    """Neither is a notice, and neither holds the watch up."""
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(SilentError, match="cannot be read"):
            FileSource(odd, now_ns=now_ns).notices()


def test_named_provider_alone_is_asked_and_the_file_beside_it(tmp_path: Path) -> None:
    """The configuration goes before detection; `{node}` in the file's name is Ray's id of the node."""
    environ = {NOTICE_FILE: str(tmp_path / "{node}.notice"), "AWS_EC2_METADATA_DISABLED": "true"}
    (tmp_path / "ray7.notice").write_text("10")
    for name, asked in (("static", []), ("gcp", ["gcp"]), ("kubernetes", ["kubernetes"]), ("aws", [])):
        *others, file = named_sources(name, environ, now_ns=now_ns, node_id="ray7")
        assert [other.name for other in others] == asked
        assert file.notices()[0].deadline_ns == NOW_NS + 10 * SECOND


def test_laptop_is_not_worth_watching_and_a_cloud_machine_is(tmp_path: Path) -> None:
    """The firmware names the maker; nobody is asked over the network for that."""
    vendor = tmp_path / "sys_vendor"
    for text, found in (("LENOVO\n", set()), ("Amazon EC2\n", {"aws"}), ("Google\n", {"gcp"})):
        vendor.write_text(text)
        assert makers((vendor, tmp_path / "missing")) == found
        assert worth_watching({}, dmi=(vendor,)) == bool(found)
    assert worth_watching({NOTICE_FILE: "/x"}, dmi=())
    assert worth_watching({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, dmi=())
    assert worth_watching({"GCE_METADATA_HOST": "x"}, dmi=())
