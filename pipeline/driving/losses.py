"""What comes back from a worker that is gone: which batch it may have died of, and which work was only beside it."""

from collections.abc import Sequence

from pipeline.driving.handout import Given
from pipeline.driving.retries import Returned
from pipeline.record import Cause


def lost_attempts(
    attempts: Sequence[Given], *, worker: str, node_type: str, cause: Cause, message: str, usual_batch: int
) -> list[Returned]:
    """The attempts of a lost worker.

    Blamed is what the device had and nobody committed. Where nothing of that kind is known, the worker was about to
    begin the next batch, or the news that it did was lost with it: then that one is blamed. A host that ran out of
    memory with a batch of several blames nobody, as smaller ones are tried first.

    Args:
        attempts: what it had, the oldest first.
        worker: its name.
        node_type: where it was.
        cause: of its loss.
        message: the same in words.
        usual_batch: images of a batch when the worker has told none.
    """
    known = any(given.batches for given in attempts)
    returned = []
    for number, given in enumerate(attempts):
        blamed = {place for places in given.batches.values() for place in places}
        if not known and number == 0:
            blamed = set([place for place in given.order if place not in given.taken][: given.size or usual_batch])
        if cause is Cause.OUT_OF_MEMORY and given.size > 1:
            blamed = set()
        returned.append(
            Returned(
                piece=given.piece,
                attempt=given.attempt,
                worker=worker,
                node_type=node_type,
                cause=cause,
                message=message,
                died=True,
                progressed=given.progressed,
                blamed=frozenset(blamed),
            )
        )
    return returned
