"""EC2's metadata service: tokens, notices, identity, and answers that no EC2 would give."""

import json
from collections.abc import Iterator

import pytest

from infra.providers.aws import AwsProvider, AwsSource
from infra.providers.metadata import MOST_BYTES
from infra.providers.reports import Identity, SilentError
from tests.infra.providers.clouds import NOW_NS, SECOND, AwsCloud, MetadataServer, iso, now_ns, serving

ACTION = "meta-data/spot/instance-action"
REBALANCE = "meta-data/events/recommendations/rebalance"


@pytest.fixture
def cloud() -> AwsCloud:
    """A spot instance without a notice."""
    return AwsCloud()


@pytest.fixture
def server(cloud: AwsCloud) -> Iterator[MetadataServer]:
    """Its metadata service."""
    with serving(cloud) as started:
        yield started


@pytest.fixture
def source(server: MetadataServer) -> AwsSource:
    """Found as botocore finds it."""
    found = AwsProvider().source({"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url + "/"}, now_ns)
    assert found is not None
    return found


def test_instance_says_who_it_is_and_since_when(source: AwsSource) -> None:
    """Identity document and life cycle make the identity."""
    assert source.identity() == Identity(
        provider="aws",
        node_id="i-0123456789abcdef0",
        node_type="g6e.xlarge",
        market="spot",
        region="us-east-1",
        zone="us-east-1b",
        launched_ns=NOW_NS - 300 * SECOND,
    )


def test_one_token_serves_many_questions_and_is_renewed_when_refused(
    cloud: AwsCloud, server: MetadataServer, source: AwsSource
) -> None:
    """The token is kept; a service that forgot it is asked for another, once."""
    assert source.notices() == source.notices() == ()
    assert sum(asked.startswith("PUT") for asked in server.asked) == 1
    cloud.tokens.clear()
    cloud.interrupt(100)
    (notice,) = source.notices()
    assert notice.kind == "reclaim"
    assert sum(asked.startswith("PUT") for asked in server.asked) == 2


@pytest.mark.parametrize("key", ["action", "instance-action"])
def test_interruption_is_a_reclaim_with_its_time(cloud: AwsCloud, source: AwsSource, key: str) -> None:
    """Both names of the field are read: the service's own, and that of Amazon's mock."""
    cloud.interrupt(100, key=key)
    (notice,) = source.notices()
    assert (notice.kind, notice.source, notice.deadline_ns) == ("reclaim", "aws", NOW_NS + 100 * SECOND)


def test_hibernation_begins_at_once(cloud: AwsCloud, source: AwsSource) -> None:
    """Its notice comes without the two minutes."""
    cloud.interrupt(100, action="hibernate")
    assert source.notices()[0].deadline_ns == NOW_NS


@pytest.mark.parametrize(("seconds", "believed"), [(-5, 0), (-(10**8), 0), (10**8, 120), (119, 119)])
def test_times_that_cannot_be_are_clamped(cloud: AwsCloud, source: AwsSource, seconds: int, believed: int) -> None:
    """A notice is at most two minutes ahead, and never behind."""
    cloud.interrupt(seconds)
    assert source.notices()[0].deadline_ns == NOW_NS + believed * SECOND


def test_notice_without_a_sane_time_means_now(cloud: AwsCloud, source: AwsSource) -> None:
    """That the node goes is sure, so it is taken seriously."""
    cloud.values[ACTION] = json.dumps({"action": "terminate", "time": "soon"})
    assert source.notices()[0].deadline_ns == NOW_NS


def test_recommendation_is_no_reclaim(cloud: AwsCloud, source: AwsSource) -> None:
    """Its instant is that of the recommendation; both may stand at once."""
    cloud.values[REBALANCE] = json.dumps({"noticeTime": iso(-7)})
    (notice,) = source.notices()
    assert (notice.kind, notice.deadline_ns) == ("rebalance", NOW_NS - 7 * SECOND)
    cloud.interrupt(60)
    assert {notice.kind for notice in source.notices()} == {"reclaim", "rebalance"}


@pytest.mark.parametrize(
    "rubbish", ["", "<html>", "[]", "{}", '{"action": "dance"}', '{"action": {}}', "[" * 60_000, '{"action": 1e999}']
)
def test_rubbish_is_no_notice(cloud: AwsCloud, source: AwsSource, rubbish: str) -> None:
    """An answer that makes no sense is said, and nothing is made of it."""
    cloud.values[ACTION] = rubbish
    with pytest.raises(SilentError, match="instance-action"):
        source.notices()


@pytest.mark.parametrize("status", [429, 500, 503, 403, 302])
def test_service_that_refuses_is_silent(server: MetadataServer, source: AwsSource, status: int) -> None:
    """Throttled, broken, forbidden, or redirecting elsewhere."""
    server.status = status
    with pytest.raises(SilentError, match=f"HTTP {status}"):
        source.notices()


def test_answer_without_end_is_cut_off(server: MetadataServer, source: AwsSource) -> None:
    """Neither a long answer nor one that drips byte by byte holds anybody up."""
    server.text = "x" * (MOST_BYTES + 1)
    with pytest.raises(SilentError, match="more than"):
        source.notices()
    server.text, server.drip = "", True
    with pytest.raises(SilentError, match="too long"):
        source.notices()


def test_odd_identity_gives_no_odd_names(cloud: AwsCloud, source: AwsSource) -> None:
    """What is no name of a type or zone is left out; without an instance's id there is no identity."""
    document = {"instanceId": "i-1", "instanceType": "<script>", "region": None, "availabilityZone": "x" * 500}
    cloud.identity = document | {"pendingTime": 7}
    assert source.identity() == Identity(provider="aws", node_id="i-1", market="spot")
    cloud.identity = {}
    with pytest.raises(SilentError, match="names no instance"):
        source.identity()


def test_botocores_variables_are_obeyed() -> None:
    """Metadata may be forbidden, or asked over IPv6."""
    assert AwsProvider().source({"AWS_EC2_METADATA_DISABLED": "TRUE"}, now_ns) is None
    assert AwsProvider().source({"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}, now_ns) is not None


@pytest.mark.parametrize("endpoint", ["https://127.0.0.1:1/", "http://", "ftp://x", "http://127.0.0.1:99999", "\n"])
def test_address_that_is_none_is_silent(endpoint: str) -> None:
    """A slip in the variable costs a line in the log."""
    with pytest.raises(SilentError):
        AwsSource(endpoint, now_ns=now_ns).notices()
