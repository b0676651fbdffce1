"""Google Compute Engine: the metadata server, as Google's own libraries find it.

Source: Compute Engine documentation, "View and query VM metadata", "Preemptible VM instances" and "Query metadata
server for maintenance event notices". A preempted instance has 30 seconds; one that maintenance ends has one minute,
and one hour where it has GPUs.
"""

import http.client
from collections.abc import Callable, Mapping

from infra.compute.gpu import gpu_present
from infra.providers.metadata import LINK_LOCAL, Metadata, name_in
from infra.providers.reports import SECOND_NS, Identity, Notice, SilentError
from infra.providers.static import StaticProvider

_TIMEOUT_SECONDS = 2.0
_FLAVOUR = {"Metadata-Flavor": "Google"}
_PREEMPTION_SECONDS = 30
_MAINTENANCE_SECONDS = 60
_GPU_MAINTENANCE_SECONDS = 3600
_TERMINATES = "TERMINATE_ON_HOST_MAINTENANCE"
_STAYS = {"NONE", "MIGRATE_ON_HOST_MAINTENANCE"}


class GcpSource:
    """The metadata server of a Compute Engine instance.

    Args:
        endpoint: where it is.
        now_ns: the node's clock.
        gpu: whether it has any.
    """

    name = "gcp"
    poll_seconds = 2.0

    def __init__(self, endpoint: str, *, now_ns: Callable[[], int], gpu: bool) -> None:
        self._service = Metadata(endpoint, timeout_seconds=_TIMEOUT_SECONDS)
        self._now_ns = now_ns
        self._maintenance_seconds = _GPU_MAINTENANCE_SECONDS if gpu else _MAINTENANCE_SECONDS

    def identity(self) -> Identity:
        """Type and zone come with the project's number before them; the launch time is not told."""
        node_id = name_in(self._value("id"))
        zone = name_in(self._value("zone")).rpartition("/")[2]
        if not node_id:
            raise SilentError("instance/id: it names no instance")
        return Identity(
            provider=self.name,
            node_id=node_id,
            node_type=name_in(self._value("machine-type")).rpartition("/")[2],
            market={"TRUE": "spot", "FALSE": "on_demand"}.get(self._value("scheduling/preemptible").upper(), ""),
            region=zone.rpartition("-")[0],
            zone=zone,
        )

    def notices(self) -> tuple[Notice, ...]:
        """Preemption, and maintenance that ends the instance; live migration is none of our business."""
        found = []
        preempted, maintenance = self._value("preempted").upper(), self._value("maintenance-event")
        if preempted not in {"TRUE", "FALSE"} or maintenance not in {_TERMINATES, *_STAYS}:
            raise SilentError(f"not what was expected: {preempted[:30]!r}, {maintenance[:30]!r}")
        if preempted == "TRUE":
            found.append(self._notice(_PREEMPTION_SECONDS, "preempted"))
        if maintenance == _TERMINATES:
            found.append(self._notice(self._maintenance_seconds, "maintenance"))
        return tuple(found)

    def _notice(self, seconds: int, key: str) -> Notice:
        return Notice(kind="reclaim", deadline_ns=self._now_ns() + seconds * SECOND_NS, source=self.name, key=key)

    def _value(self, key: str) -> str:
        """One value of the instance. Raises: SilentError: it is not Google who answers."""
        answer = self._service.ask(f"/computeMetadata/v1/instance/{key}", headers=_FLAVOUR)
        if answer.status != http.client.OK or answer.headers.get("metadata-flavor") != "Google":
            raise SilentError(f"instance/{key}: HTTP {answer.status}, no answer of Google's metadata server")
        return answer.text.strip()


class GcpProvider(StaticProvider):
    """Compute Engine instances."""

    name = "gcp"
    vendors = ("Google",)

    def source(self, environ: Mapping[str, str], now_ns: Callable[[], int]) -> GcpSource | None:
        """Where the variables of Google's libraries say; none where they forbid it."""
        if environ.get("NO_GCE_CHECK", "").strip().lower() == "true":
            return None
        return GcpSource(self.redirected(environ) or LINK_LOCAL, now_ns=now_ns, gpu=gpu_present())

    def redirected(self, environ: Mapping[str, str]) -> str:
        """The host that the user set."""
        return environ.get("GCE_METADATA_HOST", "").strip()
