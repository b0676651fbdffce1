"""Google's metadata server: preemption, maintenance, identity."""

from collections.abc import Iterator

import pytest

from infra.providers.gcp import GcpProvider, GcpSource
from infra.providers.reports import Identity, SilentError
from tests.infra.providers.clouds import NOW_NS, SECOND, GcpCloud, MetadataServer, now_ns, serving


@pytest.fixture
def cloud() -> GcpCloud:
    """A spot instance without a notice."""
    return GcpCloud()


@pytest.fixture
def server(cloud: GcpCloud) -> Iterator[MetadataServer]:
    """Its metadata server."""
    with serving(cloud) as started:
        yield started


@pytest.fixture
def source(server: MetadataServer) -> GcpSource:
    """Found as Google's libraries find it."""
    found = GcpProvider().source({"GCE_METADATA_HOST": server.url.removeprefix("http://")}, now_ns)
    assert found is not None
    return found


def test_instance_says_who_it_is(source: GcpSource) -> None:
    """Type and zone come without the project before them."""
    assert source.identity() == Identity(
        provider="gcp",
        node_id="1234567890123456789",
        node_type="g2-standard-8",
        market="spot",
        region="europe-west4",
        zone="europe-west4-a",
    )


def test_preempted_instance_has_half_a_minute(cloud: GcpCloud, source: GcpSource) -> None:
    """Before it there is nothing."""
    assert source.notices() == ()
    cloud.values["preempted"] = "TRUE"
    (notice,) = source.notices()
    assert (notice.kind, notice.source, notice.deadline_ns) == ("reclaim", "gcp", NOW_NS + 30 * SECOND)


@pytest.mark.parametrize(("gpu", "seconds"), [(False, 60), (True, 3600)])
def test_maintenance_that_ends_the_instance_is_a_reclaim(
    cloud: GcpCloud,
    server: MetadataServer,
    gpu: bool,  # noqa: FBT001 - a case
    seconds: int,
) -> None:
    """With GPUs it is announced an hour ahead; live migration is none."""
    source = GcpSource(server.url, now_ns=now_ns, gpu=gpu)
    cloud.values["maintenance-event"] = "MIGRATE_ON_HOST_MAINTENANCE"
    assert source.notices() == ()
    cloud.values["maintenance-event"] = "TERMINATE_ON_HOST_MAINTENANCE"
    (notice,) = source.notices()
    assert notice.deadline_ns == NOW_NS + seconds * SECOND


@pytest.mark.parametrize("rubbish", ["", "<html>", "maybe", "0"])
def test_rubbish_is_no_notice(cloud: GcpCloud, source: GcpSource, rubbish: str) -> None:
    """Only TRUE and FALSE are answers."""
    cloud.values["preempted"] = rubbish
    with pytest.raises(SilentError, match="not what was expected"):
        source.notices()


def test_another_cloud_at_the_address_is_not_google(cloud: GcpCloud, source: GcpSource) -> None:
    """Google's server names itself in every answer."""
    cloud.flavour = "Other"
    with pytest.raises(SilentError, match="no answer of Google's"):
        source.identity()


@pytest.mark.parametrize("status", [429, 503, 404])
def test_service_that_refuses_is_silent(server: MetadataServer, source: GcpSource, status: int) -> None:
    """Nothing is made of it."""
    server.status = status
    with pytest.raises(SilentError, match=f"HTTP {status}"):
        source.notices()


def test_googles_own_switch_is_obeyed() -> None:
    """As in Google's libraries, nothing is asked then."""
    assert GcpProvider().source({"NO_GCE_CHECK": "true"}, now_ns) is None
