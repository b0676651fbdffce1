"""Pods: who the node is stands in the pod's environment, put there by the downward API or the pod's template.

The end of a pod needs no question: kubelet sends SIGTERM to `ray start --block`, which marks its node draining in Ray
for the grace period that it was started with (`RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S`), and a drain is a notice.
"""

from collections.abc import Callable, Mapping

from infra.providers.reports import Identity, Notice
from infra.providers.static import StaticProvider

IN_POD = "KUBERNETES_SERVICE_HOST"
"""Kubernetes sets it in every pod."""


class PodSource:
    """The pod that this process runs in; its fields come from `static.configured`."""

    name = "kubernetes"
    poll_seconds = 60.0

    def identity(self) -> Identity:
        """That it is a pod."""
        return Identity(provider=self.name)

    def notices(self) -> tuple[Notice, ...]:
        """They come as drains of Ray."""
        return ()


class KubernetesProvider(StaticProvider):
    """Nodes of a Kubernetes cluster that no cloud's metadata service tells more of."""

    name = "kubernetes"

    def source(self, environ: Mapping[str, str], now_ns: Callable[[], int]) -> PodSource:
        """The pod."""
        return PodSource()
