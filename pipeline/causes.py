"""Which cause an end has, and what follows from it: two pure tables, so that every retry can be explained.

Foreign exceptions become errors of our tree in the adapters that know them (stores, compute, renderers). From there on
a cause follows from the error, from whether a notice was seen and from whether the node lives, never from the
exception's type alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pipeline.errors import (
    BadOutputError,
    BadRequestError,
    DeviceBrokenError,
    HandedBackError,
    ModelUnavailableError,
    OutOfMemoryError,
    SafetyBlankedError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pipeline.events import NoticeKind
from pipeline.record import Cause


class Remedy(StrEnum):
    """What the driver does with the images that an attempt left."""

    NOTHING = "nothing"
    """All of them are in records."""
    AGAIN = "again"
    """At once, on any worker; nothing is counted."""
    LATER = "later"
    """After a wait that doubles, with some jitter; a batch that fails again and again is bisected."""
    SMALLER = "smaller"
    """At once, in smaller batches; one that does not fit even alone goes to another type of node."""
    APART = "apart"
    """In halves, down to one image; that one again in another process, which confirms or acquits it."""
    ELSEWHERE = "elsewhere"
    """Once more in another process; a second time is a failure."""
    RECORD = "record"
    """A failure at once."""
    WAIT_FOR_STORE = "wait for the store"
    """When the store answers again; nothing is counted."""
    OTHER_MODELS = "other models"
    """On a worker that can load the model; where none can, the job does what else it has to do, and stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What follows from one cause."""

    remedy: Remedy
    counted: bool
    """Whether it uses up a budget of its images; what does not may happen any number of times."""
    fails_as: str
    """What an image is recorded with in the end, and when; empty where the cause never fails an image."""


RULES: Final[Mapping[Cause, Rule]] = MappingProxyType(
    {
        Cause.SUCCEEDED: Rule(remedy=Remedy.NOTHING, counted=False, fails_as=""),
        Cause.PREEMPTED: Rule(remedy=Remedy.AGAIN, counted=False, fails_as=""),
        Cause.HANDED_BACK: Rule(remedy=Remedy.AGAIN, counted=False, fails_as=""),
        Cause.INFRASTRUCTURE: Rule(
            remedy=Remedy.LATER,
            counted=True,
            fails_as="INFRASTRUCTURE, after its batch was bisected down to it and three more deaths alone",
        ),
        Cause.OUT_OF_MEMORY: Rule(
            remedy=Remedy.SMALLER, counted=True, fails_as="OUT_OF_MEMORY, alone on every type of node of the job"
        ),
        Cause.BAD_REQUEST: Rule(
            remedy=Remedy.APART, counted=True, fails_as="BAD_REQUEST, alone in two processes that worked before"
        ),
        Cause.BAD_OUTPUT: Rule(remedy=Remedy.ELSEWHERE, counted=True, fails_as="BAD_OUTPUT, in two processes"),
        Cause.SAFETY_BLANKED: Rule(remedy=Remedy.RECORD, counted=True, fails_as="SAFETY_BLANKED, at once"),
        Cause.STORE_UNAVAILABLE: Rule(remedy=Remedy.WAIT_FOR_STORE, counted=False, fails_as=""),
        Cause.MODEL_UNAVAILABLE: Rule(remedy=Remedy.OTHER_MODELS, counted=False, fails_as=""),
    }
)
"""Every cause, and what follows from it."""

PREEMPTION: Final = frozenset({Cause.PREEMPTED, Cause.HANDED_BACK})
"""Ends whose time is `lost_to_preemption`; that of all others is `lost_to_failure`."""

_OF_ERRORS: Final[tuple[tuple[type[BaseException], Cause], ...]] = (
    (HandedBackError, Cause.HANDED_BACK),
    (OutOfMemoryError, Cause.OUT_OF_MEMORY),
    (MemoryError, Cause.OUT_OF_MEMORY),
    (BadRequestError, Cause.BAD_REQUEST),
    (DeviceBrokenError, Cause.BAD_REQUEST),
    (BadOutputError, Cause.BAD_OUTPUT),
    (SafetyBlankedError, Cause.SAFETY_BLANKED),
    (StoreUnavailableError, Cause.STORE_UNAVAILABLE),
    (StoreRefusedError, Cause.STORE_UNAVAILABLE),
    (ModelUnavailableError, Cause.MODEL_UNAVAILABLE),
)

_HARMLESS: Final = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError)
"""What Python itself raises on odd values, before a device has anything to do with it."""


def cause_of(error: BaseException, *, rendering: bool = False) -> Cause:
    """The cause of an error in a living worker.

    Args:
        error: one of our tree, or whatever an adapter let through.
        rendering: whether the pipeline raised it while it had the batch; then an error of no known kind is the
            request's until fresh processes say otherwise, but for those of the operating system.
    """
    for kind, cause in _OF_ERRORS:
        if isinstance(error, kind):
            return cause
    if rendering and isinstance(error, (*_HARMLESS, RuntimeError)):
        return Cause.BAD_REQUEST
    return Cause.INFRASTRUCTURE


def poisons(error: BaseException) -> bool:
    """Whether a process must not be trusted after its pipeline raised this.

    A plain `RuntimeError` that no adapter has told apart may come from the device as well as from anywhere.
    """
    if isinstance(error, DeviceBrokenError):
        return True
    return isinstance(error, RuntimeError) and not isinstance(error, NotImplementedError | RecursionError)


def cause_of_loss(reported: str, *, notice: NoticeKind | None, node_lost: bool) -> Cause:
    """The cause of a worker's loss.

    Args:
        reported: what the compute says: `PREEMPTED` when the cloud or Ray says so, `OUT_OF_MEMORY` when the host's
            memory ran out, else `INFRASTRUCTURE`.
        notice: the notice that was seen for its node and not cancelled.
        node_lost: whether the whole node is gone, not the process alone.

    A reclaim that was announced explains any loss; a mere recommendation to leave explains that of the node.
    """
    if reported == Cause.PREEMPTED or notice == "reclaim" or (notice == "rebalance" and node_lost):
        return Cause.PREEMPTED
    return Cause.OUT_OF_MEMORY if reported == Cause.OUT_OF_MEMORY and not node_lost else Cause.INFRASTRUCTURE
