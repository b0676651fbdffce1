"""The tables from ends to causes and from causes to remedies."""

import pytest

from pipeline import errors
from pipeline.causes import RULES, Remedy, cause_of, cause_of_loss, poisons
from pipeline.errors import (
    BadOutputError,
    BadRequestError,
    DeviceBrokenError,
    HandedBackError,
    InfrastructureError,
    ModelUnavailableError,
    OutOfMemoryError,
    SafetyBlankedError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pipeline.events import NoticeKind
from pipeline.record import Cause


def test_every_cause_has_a_rule_and_only_what_is_counted_fails_images() -> None:
    """What uses up no budget can never be the reason for which an image is given up."""
    assert set(RULES) == set(Cause)
    for cause, rule in RULES.items():
        assert bool(rule.fails_as) == rule.counted, cause
        if rule.counted:
            assert rule.fails_as.startswith(cause.value)


@pytest.mark.parametrize(
    ("reported", "notice", "node_lost", "expected"),
    [
        ("INFRASTRUCTURE", None, False, Cause.INFRASTRUCTURE),
        ("INFRASTRUCTURE", None, True, Cause.INFRASTRUCTURE),
        ("INFRASTRUCTURE", "reclaim", False, Cause.PREEMPTED),
        ("INFRASTRUCTURE", "reclaim", True, Cause.PREEMPTED),
        ("INFRASTRUCTURE", "rebalance", False, Cause.INFRASTRUCTURE),
        ("INFRASTRUCTURE", "rebalance", True, Cause.PREEMPTED),
        ("PREEMPTED", None, False, Cause.PREEMPTED),
        ("PREEMPTED", None, True, Cause.PREEMPTED),
        ("OUT_OF_MEMORY", None, False, Cause.OUT_OF_MEMORY),
        ("OUT_OF_MEMORY", None, True, Cause.INFRASTRUCTURE),
        ("OUT_OF_MEMORY", "reclaim", False, Cause.PREEMPTED),
    ],
)
def test_loss_of_a_worker_has_its_cause_from_notice_and_node(
    reported: str, notice: NoticeKind | None, *, node_lost: bool, expected: Cause
) -> None:
    """Never from what was raised alone."""
    assert cause_of_loss(reported, notice=notice, node_lost=node_lost) is expected


@pytest.mark.parametrize(
    ("error", "rendering", "otherwise", "distrusted"),
    [
        (BadRequestError("x"), Cause.BAD_REQUEST, Cause.BAD_REQUEST, False),
        (DeviceBrokenError("x"), Cause.BAD_REQUEST, Cause.BAD_REQUEST, True),
        (RuntimeError("x"), Cause.BAD_REQUEST, Cause.INFRASTRUCTURE, True),
        (NotImplementedError("x"), Cause.BAD_REQUEST, Cause.INFRASTRUCTURE, False),
        (ValueError("x"), Cause.BAD_REQUEST, Cause.INFRASTRUCTURE, False),
        (KeyError("x"), Cause.BAD_REQUEST, Cause.INFRASTRUCTURE, False),
        (OSError("x"), Cause.INFRASTRUCTURE, Cause.INFRASTRUCTURE, False),
        (InfrastructureError("x"), Cause.INFRASTRUCTURE, Cause.INFRASTRUCTURE, False),
        (MemoryError(), Cause.OUT_OF_MEMORY, Cause.OUT_OF_MEMORY, False),
        (OutOfMemoryError("x"), Cause.OUT_OF_MEMORY, Cause.OUT_OF_MEMORY, False),
        (BadOutputError("x"), Cause.BAD_OUTPUT, Cause.BAD_OUTPUT, False),
        (SafetyBlankedError("x"), Cause.SAFETY_BLANKED, Cause.SAFETY_BLANKED, False),
        (HandedBackError("x"), Cause.HANDED_BACK, Cause.HANDED_BACK, False),
        (StoreUnavailableError("x"), Cause.STORE_UNAVAILABLE, Cause.STORE_UNAVAILABLE, False),
        (StoreRefusedError("x"), Cause.STORE_UNAVAILABLE, Cause.STORE_UNAVAILABLE, False),
        (ModelUnavailableError("x"), Cause.MODEL_UNAVAILABLE, Cause.MODEL_UNAVAILABLE, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_error_in_a_living_worker_has_its_cause_from_the_tree(
    error: Exception, rendering: Cause, otherwise: Cause, *, distrusted: bool
) -> None:
    """A foreign error is the request's only where the pipeline raised it, and only until other processes acquit it."""
    assert cause_of(error, rendering=True) is rendering
    assert cause_of(error) is otherwise
    assert poisons(error) is distrusted


def test_every_error_that_a_worker_tries_again_has_a_cause() -> None:
    """None of ours falls through to what is unforeseen, but for the one that says so; prices are the driver's alone."""
    retried = {*errors.RetriedError.__subclasses__(), *errors.ImageError.__subclasses__()} - {errors.PriceUnknownError}
    unforeseen = {kind for kind in retried if cause_of(kind("x")) is Cause.INFRASTRUCTURE}
    assert unforeseen == {InfrastructureError}


def test_store_and_cloud_never_fail_an_image() -> None:
    """They are waited for, or tried again at once."""
    for cause in (Cause.PREEMPTED, Cause.HANDED_BACK, Cause.STORE_UNAVAILABLE, Cause.MODEL_UNAVAILABLE):
        assert RULES[cause].remedy in {Remedy.AGAIN, Remedy.WAIT_FOR_STORE, Remedy.OTHER_MODELS}
        assert not RULES[cause].counted
