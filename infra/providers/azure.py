"""Microsoft Azure: instance metadata and Scheduled Events.

Source: Azure documentation, "Scheduled Events for Linux VMs" and "Azure Instance Metadata Service". A spot instance has
30 seconds or more; the first call in a machine's life may take two minutes; events may be cancelled.
"""

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from infra.providers.metadata import LINK_LOCAL, Metadata, document, instant_ns, name_in
from infra.providers.reports import SECOND_NS, Identity, Notice, SilentError, clamped
from infra.providers.static import StaticProvider

ENDPOINT = "SPOTRENDER_AZURE_METADATA_ENDPOINT"
"""Our own variable: Azure's tools have none for this service."""

_TIMEOUT_SECONDS = 3.0
_EVENTS_SECONDS = 150.0
_HEADERS = {"Metadata": "true"}
_INSTANCE = "/metadata/instance/compute?api-version=2021-02-01"
_EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"
_TAKES = ("Preempt", "Terminate", "Redeploy", "Reboot")
"""Events that end all processes; `Freeze` only pauses them for seconds."""
_STANDS = ("Scheduled", "Started")
_MOST_SECONDS = 15 * 60.0
_MARKETS = {"spot": "spot", "low": "spot", "regular": "on_demand"}


class AzureSource:
    """The metadata service of an Azure virtual machine.

    Args:
        endpoint: where it is.
        now_ns: the node's clock.
    """

    name = "azure"
    poll_seconds = 2.0

    def __init__(self, endpoint: str, *, now_ns: Callable[[], int]) -> None:
        self._service = Metadata(endpoint, timeout_seconds=_TIMEOUT_SECONDS)
        self._now_ns = now_ns
        self._machine = ""

    def identity(self) -> Identity:
        """The machine; its launch time is not told."""
        values = document(self._service.ask(_INSTANCE, headers=_HEADERS), "instance")
        self._machine = name_in(values.get("name"))
        node_id = name_in(values.get("vmId"))
        if not node_id or not self._machine:
            raise SilentError("instance: it names no machine")
        priority = values.get("priority")
        return Identity(
            provider=self.name,
            node_id=node_id,
            node_type=name_in(values.get("vmSize")),
            market=_MARKETS.get(str(priority).lower(), "") if priority else "on_demand",
            region=name_in(values.get("location")),
            zone=name_in(values.get("zone")),
        )

    def notices(self) -> tuple[Notice, ...]:
        """Events that end this very machine; those of its neighbours are listed too and are not meant."""
        if not self._machine:
            self.identity()
        answer = self._service.ask(_EVENTS, headers=_HEADERS, seconds=_EVENTS_SECONDS)
        events = document(answer, "scheduledevents").get("Events")
        if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
            raise SilentError(f"scheduledevents: not what was expected: {answer.text[:60]!r}")
        return tuple(self._notice(event) for event in events if self._is_meant(event))

    def _is_meant(self, event: Mapping[str, Any]) -> bool:
        resources = event.get("Resources")
        return (
            event.get("EventType") in _TAKES
            and event.get("EventStatus", "Scheduled") in _STANDS
            and isinstance(resources, list)
            and any(isinstance(name, str) and name.lower() == self._machine.lower() for name in resources)
        )

    def _notice(self, event: Mapping[str, Any]) -> Notice:
        """One that has started names no time any more."""
        now_ns = self._now_ns()
        deadline_ns = clamped(_instant_ns(event.get("NotBefore")) or now_ns, now_ns=now_ns, most_seconds=_MOST_SECONDS)
        return Notice(kind="reclaim", deadline_ns=deadline_ns, source=self.name, key=str(event.get("EventId"))[:100])


def _instant_ns(value: object) -> int | None:
    """`Mon, 19 Sep 2016 18:29:47 GMT`, or an ISO instant; None when it is neither."""
    if not isinstance(value, str) or not value or len(value) > 40:
        return None
    try:
        return int(parsedate_to_datetime(value).timestamp() * SECOND_NS)
    except (ValueError, OverflowError):
        return instant_ns(value)


class AzureProvider(StaticProvider):
    """Azure virtual machines."""

    name = "azure"
    vendors = ("Microsoft Corporation",)

    def source(self, environ: Mapping[str, str], now_ns: Callable[[], int]) -> AzureSource | None:
        """At the usual place, unless our own variable says another one."""
        return AzureSource(self.redirected(environ) or LINK_LOCAL, now_ns=now_ns)

    def redirected(self, environ: Mapping[str, str]) -> str:
        """The endpoint that the user set."""
        return environ.get(ENDPOINT, "").strip()
