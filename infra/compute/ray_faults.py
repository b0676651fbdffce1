"""Reads Ray's exceptions: which cause each is, which of them no new worker mends, and what to say of the others."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ray import exceptions as raised
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ActorUnschedulableError,
    RayError,
    RayTaskError,
    RuntimeEnvSetupError,
)

from pipeline.record import Cause

CAUSES: Final[Mapping[type[BaseException], Cause]] = MappingProxyType(
    {
        # The memory monitor of the node ended the worker: its host's memory did not hold the batch.
        raised.OutOfMemoryError: Cause.OUT_OF_MEMORY,
        # The process, the node, or the way to either is gone.
        raised.ActorDiedError: Cause.INFRASTRUCTURE,
        raised.ActorUnavailableError: Cause.INFRASTRUCTURE,
        raised.RayActorError: Cause.INFRASTRUCTURE,
        raised.WorkerCrashedError: Cause.INFRASTRUCTURE,
        raised.NodeDiedError: Cause.INFRASTRUCTURE,
        raised.LocalRayletDiedError: Cause.INFRASTRUCTURE,
        raised.RpcError: Cause.INFRASTRUCTURE,
        raised.RaySystemError: Cause.INFRASTRUCTURE,
        raised.AuthenticationError: Cause.INFRASTRUCTURE,
        raised.GetTimeoutError: Cause.INFRASTRUCTURE,
        raised.AsyncioActorExit: Cause.INFRASTRUCTURE,
        raised.TaskCancelledError: Cause.INFRASTRUCTURE,
        raised.PendingCallsLimitExceeded: Cause.INFRASTRUCTURE,
        raised.ActorHandleNotFoundError: Cause.INFRASTRUCTURE,
        raised.ActorAlreadyExistsError: Cause.INFRASTRUCTURE,
        # An answer was lost on its way: only metadata, whose records the driver looks for in the store.
        raised.ObjectLostError: Cause.INFRASTRUCTURE,
        raised.ObjectFetchTimedOutError: Cause.INFRASTRUCTURE,
        raised.ObjectFreedError: Cause.INFRASTRUCTURE,
        raised.ObjectReconstructionFailedError: Cause.INFRASTRUCTURE,
        raised.OwnerDiedError: Cause.INFRASTRUCTURE,
        raised.ReferenceCountingAssertionError: Cause.INFRASTRUCTURE,
        raised.PlasmaObjectNotAvailable: Cause.INFRASTRUCTURE,
        raised.ObjectStoreFullError: Cause.INFRASTRUCTURE,
        raised.OutOfDiskError: Cause.INFRASTRUCTURE,
        raised.ObjectRefStreamEndOfStreamError: Cause.INFRASTRUCTURE,
        raised.UnserializableException: Cause.INFRASTRUCTURE,
        raised.OufOfBandObjectRefSerializationException: Cause.INFRASTRUCTURE,
        raised.CrossLanguageError: Cause.INFRASTRUCTURE,
        # No place for the worker, or no environment: nothing of the work is to blame.
        raised.ActorUnschedulableError: Cause.INFRASTRUCTURE,
        raised.TaskUnschedulableError: Cause.INFRASTRUCTURE,
        raised.ActorPlacementGroupRemoved: Cause.INFRASTRUCTURE,
        raised.TaskPlacementGroupRemoved: Cause.INFRASTRUCTURE,
        raised.RuntimeEnvSetupError: Cause.INFRASTRUCTURE,
        # What our own actor raised: its methods raise nothing on purpose but for what `begin` refuses.
        raised.UserCodeException: Cause.INFRASTRUCTURE,
        raised.RayTaskError: Cause.INFRASTRUCTURE,
        raised.RayError: Cause.INFRASTRUCTURE,
    }
)
"""What a loss by each exception of Ray is, with no notice seen; one that is not named counts as its nearest base."""

_LONGEST = 300
_NODE_DIED = re.compile(r"its node has died\.\s+Node Id: ([0-9a-f]{1,12})")
_PROCESS_DIED = re.compile(r"its worker process has died\. Worker exit type: SYSTEM_ERROR")
_OUT_OF_MEMORY = re.compile(r"due to the node running low on memory|NODE_OUT_OF_MEMORY|OutOfMemory", re.IGNORECASE)


def cause_of(error: BaseException) -> Cause:
    """What the loss of a worker is by this exception alone.

    A worker that Ray's memory monitor ends comes back as a dead actor, whose text says why it died; one that knows
    that it was preempted says so in a field.
    """
    if getattr(error, "preempted", False):
        return Cause.PREEMPTED
    if isinstance(error, RayTaskError):
        return CAUSES[RayTaskError]
    if isinstance(error, raised.RayActorError) and _OUT_OF_MEMORY.search(str(error)):
        return Cause.OUT_OF_MEMORY
    return next((CAUSES[kind] for kind in type(error).__mro__ if kind in CAUSES), Cause.INFRASTRUCTURE)


def refusal(error: RayError, *, starting: bool) -> str | None:
    """Why this worker must be given up on for good, with the remedy; None when a new one may do better.

    Args:
        error: what a call to its actor raised. `RayTaskError` comes first, as it is also whatever the actor raised.
        starting: whether the call was one of those that come before the worker's life.
    """
    if isinstance(error, RuntimeEnvSetupError):
        return f"Spotrender's code could not be sent to a node ({summary(error)}): see runtime_env logs of that node"
    if isinstance(error, ActorUnschedulableError):
        return f"the cluster cannot hold such a worker ({summary(error)}): look at `spotrender doctor --address`"
    failed_to_import = isinstance(error, ActorDiedError) and "creation task" in str(error)
    if starting and (isinstance(error, RayTaskError) or failed_to_import):
        return (
            f"a node cannot run Spotrender's code ({summary(error)}): install there what the driver has; "
            "`spotrender doctor --address` shows the difference"
        )
    return None


def node_died(error: BaseException) -> bool:
    """Whether Ray says that the worker's whole node is gone: of a worker that has said nothing yet only Ray knows."""
    return isinstance(error, ActorDiedError) and _NODE_DIED.search(str(error)) is not None


def summary(error: BaseException) -> str:
    """What happened, in a few words where Ray's text is known, else the line of it that tells most."""
    if isinstance(error, RayTaskError) and error.cause is not None:
        return f"{type(error.cause).__name__}: {error.cause}"[:_LONGEST]
    if isinstance(error, ActorUnavailableError):
        return "the connection to it broke"
    if isinstance(error, ActorDiedError) and (node := _NODE_DIED.search(str(error))):
        return f"its node {node[1]} died"
    if isinstance(error, ActorDiedError) and _PROCESS_DIED.search(str(error)):
        return "its process died at once (killed, or out of memory)"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [
        line for line in lines if line.startswith(("The actor is dead", "The actor died because", "ModuleNotFound"))
    ]
    return (telling or lines or [type(error).__name__])[0][:_LONGEST]
