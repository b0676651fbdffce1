"""Tells Ray that a node is to be left, so that it places nothing there any more; and hears who else said so."""

from collections.abc import Mapping
from typing import Any

import ray
from ray._private import state as ray_state
from ray.exceptions import RayError

_TIMEOUT_SECONDS = 5


def drain(node_id: str, *, deadline_ns: int, why: str, address: str = "") -> str:
    """Mark a node draining until the deadline; why Ray did not, or nothing. Ray kills nothing at the deadline.

    Ray has no public call for this, so whatever this one raises harms nothing: workers may then be placed on a node
    that is about to go.

    Args:
        node_id: Ray's id of the node, in hex.
        deadline_ns: from when on the node may be gone.
        why: for Ray's own log.
        address: of the cluster's head; the one that this process is connected to when not given.
    """
    if not address and not ray.is_initialized():
        return "this process is connected to no Ray"  # what follows would start one
    try:
        from ray._raylet import GcsClient  # type: ignore[attr-defined]
        from ray.core.generated import autoscaler_pb2

        reasons: Any = autoscaler_pb2
        client: Any = GcsClient(address=address or ray.get_runtime_context().gcs_address)
        reason = reasons.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        accepted, said = client.drain_node(node_id, reason, why, deadline_ns // 1_000_000, timeout=_TIMEOUT_SECONDS)
    except Exception as error:  # noqa: BLE001 - a private call may fail in any way, and no job may end for it
        accepted, said = False, f"{type(error).__name__}: {error}"
    return "" if accepted else said or "refused"


def draining() -> Mapping[str, int]:
    """The nodes that anyone has marked draining, with their deadlines in nanoseconds; none when Ray does not say."""
    if not ray.is_initialized():
        return {}
    try:
        state: Any = ray_state.state
        return {node_id: deadline_ms * 1_000_000 for node_id, deadline_ms in state.get_draining_nodes().items()}
    except (RayError, ConnectionError, RuntimeError, AttributeError, TypeError):
        return {}
