"""Amazon EC2: instance metadata, version 2 (a session token first), as botocore finds it.

Source: EC2 user guide, "Use the Instance Metadata Service", "Spot Instance interruption notices" and "Rebalance
recommendations". A notice comes about two minutes ahead, as a best effort.
"""

import http.client
import time
from collections.abc import Callable, Mapping

from infra.providers.metadata import LINK_LOCAL, Answer, Metadata, document, instant_ns, name_in
from infra.providers.reports import Identity, Notice, SilentError, clamped
from infra.providers.static import StaticProvider

_IPV6 = "http://[fd00:ec2::254]"
_TOKEN_SECONDS = 21_600
_RENEW_AFTER_SECONDS = _TOKEN_SECONDS * 0.8
_TIMEOUT_SECONDS = 2.0
_NOTICE_SECONDS = 120.0
_ACTIONS = ("terminate", "stop", "hibernate")


class AwsSource:
    """The metadata service of an EC2 instance.

    Args:
        endpoint: where it is.
        now_ns: the node's clock.
    """

    name = "aws"
    poll_seconds = 3.0

    def __init__(self, endpoint: str, *, now_ns: Callable[[], int]) -> None:
        self._service = Metadata(endpoint, timeout_seconds=_TIMEOUT_SECONDS)
        self._now_ns = now_ns
        self._token, self._token_at = "", 0.0

    def identity(self) -> Identity:
        """From the instance identity document, and the life cycle beside it."""
        values = document(self._get("/latest/dynamic/instance-identity/document"), "identity document")
        node_id = name_in(values.get("instanceId"))
        if not node_id:
            raise SilentError("identity document: it names no instance")
        cycle = self._get("/latest/meta-data/instance-life-cycle")
        return Identity(
            provider=self.name,
            node_id=node_id,
            node_type=name_in(values.get("instanceType")),
            market=("spot" if cycle.text.strip() == "spot" else "on_demand") if cycle.status == 200 else "",
            region=name_in(values.get("region")),
            zone=name_in(values.get("availabilityZone")),
            launched_ns=instant_ns(values.get("pendingTime")) or 0,
        )

    def notices(self) -> tuple[Notice, ...]:
        """Interruption and rebalance recommendation; each is 404 as long as there is none."""
        return tuple(one for one in (self._interruption(), self._rebalance()) if one is not None)

    def _interruption(self) -> Notice | None:
        answer = self._get("/latest/meta-data/spot/instance-action")
        if answer.status == http.client.NOT_FOUND:
            return None
        values = document(answer, "instance-action")
        action = values.get("action", values.get("instance-action"))  # a mock of Amazon's own has the second name
        if action not in _ACTIONS:
            raise SilentError(f"instance-action: not what was expected: {answer.text[:60]!r}")
        now_ns = self._now_ns()
        at_ns = None if action == "hibernate" else instant_ns(values.get("time"))  # hibernation begins at once
        deadline_ns = clamped(at_ns or now_ns, now_ns=now_ns, most_seconds=_NOTICE_SECONDS)
        return Notice(kind="reclaim", deadline_ns=deadline_ns, source=self.name, key=f"{action} {values.get('time')}")

    def _rebalance(self) -> Notice | None:
        answer = self._get("/latest/meta-data/events/recommendations/rebalance")
        if answer.status == http.client.NOT_FOUND:
            return None
        told = document(answer, "rebalance").get("noticeTime")
        at_ns, now_ns = instant_ns(told), self._now_ns()
        if at_ns is None:
            raise SilentError(f"rebalance: not what was expected: {answer.text[:60]!r}")
        return Notice(kind="rebalance", deadline_ns=min(at_ns, now_ns), source=self.name, key=str(told))

    def _get(self, path: str) -> Answer:
        """Ask with a token; a service that does not take it any more gets a new one."""
        answer = self._service.ask(path, headers={"X-aws-ec2-metadata-token": self._current_token()})
        if answer.status == http.client.UNAUTHORIZED:
            self._token = ""
            answer = self._service.ask(path, headers={"X-aws-ec2-metadata-token": self._current_token()})
        if answer.status not in {http.client.OK, http.client.NOT_FOUND}:
            raise SilentError(f"{path}: HTTP {answer.status}")
        return answer

    def _current_token(self) -> str:
        """The session token, renewed in time."""
        if not self._token or time.monotonic() - self._token_at > _RENEW_AFTER_SECONDS:
            asked = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)}
            answer = self._service.ask("/latest/api/token", method="PUT", headers=asked)
            token = answer.text.strip()
            if answer.status != http.client.OK or not token.isascii() or not token.isprintable() or not token:
                raise SilentError(f"/latest/api/token: HTTP {answer.status}, no token")
            self._token, self._token_at = token, time.monotonic()
        return self._token


class AwsProvider(StaticProvider):
    """EC2 instances."""

    name = "aws"
    vendors = ("Amazon EC2", "ec2")

    def source(self, environ: Mapping[str, str], now_ns: Callable[[], int]) -> AwsSource | None:
        """Where botocore's variables say; none where they forbid it."""
        if environ.get("AWS_EC2_METADATA_DISABLED", "").strip().lower() == "true":
            return None
        ipv6 = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").strip().lower() == "ipv6"
        endpoint = self.redirected(environ) or (_IPV6 if ipv6 else LINK_LOCAL)
        return AwsSource(endpoint, now_ns=now_ns)

    def redirected(self, environ: Mapping[str, str]) -> str:
        """The endpoint that the user set."""
        return environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "").strip()
