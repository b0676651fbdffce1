"""Azure's metadata service: Scheduled Events, cancelled ones, those of neighbours, identity."""

from collections.abc import Iterator

import pytest

from infra.providers.azure import ENDPOINT, AzureProvider, AzureSource
from infra.providers.reports import Identity, SilentError
from tests.infra.providers.clouds import NOW_NS, SECOND, AzureCloud, MetadataServer, now_ns, serving


@pytest.fixture
def cloud() -> AzureCloud:
    """A spot machine without an event."""
    return AzureCloud()


@pytest.fixture
def server(cloud: AzureCloud) -> Iterator[MetadataServer]:
    """Its metadata service."""
    with serving(cloud) as started:
        yield started


@pytest.fixture
def source(server: MetadataServer) -> AzureSource:
    """Found by our own variable."""
    found = AzureProvider().source({ENDPOINT: server.url}, now_ns)
    assert found is not None
    return found


def test_machine_says_who_it_is(source: AzureSource) -> None:
    """Priority `Spot` is the spot market."""
    assert source.identity() == Identity(
        provider="azure",
        node_id="02aab8a4-74ef-476e-8182-f6d2ba4166a6",
        node_type="Standard_NC4as_T4_v3",
        market="spot",
        region="westeurope",
        zone="2",
    )


@pytest.mark.parametrize(("priority", "market"), [("", "on_demand"), ("Regular", "on_demand"), (["x"], "")])
def test_priority_tells_the_market(cloud: AzureCloud, source: AzureSource, priority: object, market: str) -> None:
    """Plain machines have none; what is no priority tells nothing."""
    cloud.compute["priority"] = priority
    assert source.identity().market == market


def test_eviction_of_this_machine_is_a_reclaim(cloud: AzureCloud, source: AzureSource) -> None:
    """Those of other machines, and pauses, stand in the same document and are not meant."""
    cloud.announce(40, machine="gpu-4")
    cloud.announce(40, kind="Freeze")
    assert source.notices() == ()
    cloud.announce(40, machine="GPU-3")
    (notice,) = source.notices()
    assert (notice.kind, notice.source, notice.deadline_ns) == ("reclaim", "azure", NOW_NS + 40 * SECOND)


def test_started_event_names_no_time_and_means_now(cloud: AzureCloud, source: AzureSource) -> None:
    """`NotBefore` is empty then."""
    cloud.announce(None)
    assert source.notices()[0].deadline_ns == NOW_NS


@pytest.mark.parametrize("how", ["gone", "Canceled", "Completed"])
def test_cancelled_event_is_no_notice_any_more(cloud: AzureCloud, source: AzureSource, how: str) -> None:
    """It leaves the document, or its status says so."""
    cloud.announce(40)
    assert source.notices()
    if how == "gone":
        cloud.events.clear()
    else:
        cloud.events[0]["EventStatus"] = how
    assert source.notices() == ()


@pytest.mark.parametrize(("seconds", "believed"), [(-(10**6), 0), (10**7, 900)])
def test_times_that_cannot_be_are_clamped(cloud: AzureCloud, source: AzureSource, seconds: int, believed: int) -> None:
    """No event is more than a quarter of an hour ahead, and none behind."""
    cloud.announce(seconds)
    assert source.notices()[0].deadline_ns == NOW_NS + believed * SECOND


@pytest.mark.parametrize("time", ["soon", "9" * 4000, "Mon, 99 Foo 9999 99:99:99 GMT"])
def test_event_without_a_sane_time_means_now(cloud: AzureCloud, source: AzureSource, time: str) -> None:
    """That the machine goes is sure."""
    cloud.announce(40, NotBefore=time)
    assert source.notices()[0].deadline_ns == NOW_NS


@pytest.mark.parametrize("rubbish", ["", "<html>", "[]", "{}", '{"Events": 7}', '{"Events": [7]}'])
def test_rubbish_is_no_notice(server: MetadataServer, source: AzureSource, rubbish: str) -> None:
    """A document that is none is said, and nothing is made of it."""
    source.identity()
    server.text = rubbish
    with pytest.raises(SilentError, match="scheduledevents"):
        source.notices()


def test_events_with_odd_fields_are_passed_over(cloud: AzureCloud, source: AzureSource) -> None:
    """One odd event hides no real one."""
    cloud.events += [{}, {"EventType": ["Preempt"]}, {"EventType": "Preempt", "Resources": "gpu-3"}]
    cloud.announce(40)
    assert len(source.notices()) == 1


def test_slow_first_answer_is_waited_for(cloud: AzureCloud, server: MetadataServer, source: AzureSource) -> None:
    """The events' first call may take two minutes where all others must not."""
    source.identity()
    cloud.announce(40)
    server.delay_seconds = 3.2
    assert source.notices()
    with pytest.raises(SilentError, match=r"timed out|TimeoutError"):
        source.identity()
