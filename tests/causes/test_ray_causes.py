"""What each exception of Ray means in each context: a class that nobody has decided on fails here."""

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from infra.compute.ray_faults import CAUSES, cause_of, node_died
from pipeline.record import Cause
from tests.causes.raisable import CONTEXTS, UNEXPLAINED, Context, causes_of_loss, exception_classes, made

UNUSED = {
    "RayCgraphCapacityExceeded",
    "RayChannelError",
    "RayChannelTimeoutError",
    "RayDirectTransportError",
    "StreamingGeneratorReplayInconsistentError",
}
"""Of compiled graphs, direct transport and generators, which we do not use; they count as their base does."""

NO_MEMORY = {
    context: Cause.OUT_OF_MEMORY if cause is Cause.INFRASTRUCTURE and not context.node_lost else cause
    for context, cause in UNEXPLAINED.items()
}
"""The node's memory monitor ended the worker; where the node is gone as well, that is the reason."""

PREEMPTED = dict.fromkeys(CONTEXTS, Cause.PREEMPTED)

CLASSES = exception_classes("ray.exceptions")


def test_every_class_is_decided_on() -> None:
    """A new version of Ray with a new class stops here until somebody says what it means, and none is named in vain."""
    assert {kind.__name__ for kind in CAUSES} | UNUSED == set(CLASSES)
    assert not {kind.__name__ for kind in CAUSES} & UNUSED


@pytest.mark.parametrize("name", CLASSES)
def test_each_class_has_its_cause_in_each_context(name: str) -> None:
    """Notice seen or not, node alive or not."""
    expected = NO_MEMORY if name == "OutOfMemoryError" else UNEXPLAINED
    assert causes_of_loss(cause_of(made(CLASSES[name]))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Task was killed due to the node running low on memory.", NO_MEMORY),
        ("The actor died because its node has died. Node Id: 0123456789ab", UNEXPLAINED),
        ("The actor died because of an error raised in its creation task", UNEXPLAINED),
        ("Worker exit type: SYSTEM_ERROR", UNEXPLAINED),
    ],
)
def test_a_dead_actor_has_its_cause_from_its_text(text: str, expected: dict[Context, Cause]) -> None:
    """Ray has one class for most deaths."""
    error = ActorDiedError()
    error.error_msg = text
    error.args = (text,)
    assert causes_of_loss(cause_of(error)) == expected


@pytest.mark.parametrize(
    ("text", "died"),
    [
        ("The actor died because its node has died. Node Id: 0123456789ab", True),
        ("The actor died because its worker process has died. Worker exit type: SYSTEM_ERROR", False),
    ],
)
def test_death_of_a_node_is_told_from_that_of_a_process(text: str, *, died: bool) -> None:
    """Else nodes that die while they start would count as workers that cannot render the job, and stop it."""
    error = ActorDiedError()
    error.error_msg = text
    error.args = (text,)
    assert node_died(error) is died


def test_an_actor_that_ray_calls_preempted_is() -> None:
    """On a node that was drained, in every context."""
    error = ActorDiedError()
    error._preempted = True  # noqa: SLF001 - what Ray sets when it builds one from its own message
    assert causes_of_loss(cause_of(error)) == PREEMPTED


def test_what_an_actor_raised_is_not_mistaken_for_what_it_looks_like() -> None:
    """A task's error is of its cause's class too: an error of memory inside it is no end of the worker."""
    error = RayTaskError("poll", "Traceback", MemoryError("x")).as_instanceof_cause()
    assert isinstance(error, MemoryError)
    assert causes_of_loss(cause_of(error)) == UNEXPLAINED
