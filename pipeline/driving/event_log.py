"""What the workers report that a person may want to read later, as lines of the driver's log."""

import logging

from pipeline.events import (
    AttemptEnded,
    BatchCommitted,
    BatchTuned,
    DidNotFit,
    ModelRefused,
    NoticeCancelled,
    NoticeSeen,
    Preparing,
    Remark,
    StoreSilent,
    WorkerEvent,
    WorkerLost,
    WorkerReady,
    WorkerRefused,
    WorkerStarting,
)
from pipeline.log_place import said_at
from pipeline.record import Cause, Node, Outcome

_LOG = logging.getLogger(__name__)


def log_event(event: WorkerEvent, node: Node | None) -> None:
    """Log what is neither routine nor told elsewhere; heartbeats and good batches are silent.

    Args:
        event: of a worker.
        node: where that stands, if it is known.
    """
    node = event.node if isinstance(event, WorkerStarting) else node
    with said_at(node=node.node_session if node else ""):
        _log(event)


def _log(event: WorkerEvent) -> None:
    match event:
        case DidNotFit() | BatchTuned() | AttemptEnded() | BatchCommitted():
            _log_work(event)
        case WorkerStarting() | WorkerReady() | Preparing() | NoticeCancelled():
            _log_good_news(event)
        case WorkerRefused():
            _LOG.warning("worker cannot be used: %s: %s", event.cause, event.message, extra={"worker": event.worker})
        case WorkerLost():
            what = "node" if event.node_lost else "worker"
            _LOG.warning("%s was lost: %s: %s", what, event.cause, event.message, extra={"worker": event.worker})
        case ModelRefused():
            _LOG.warning("model %s cannot be loaded: %s", event.model, event.message, extra={"worker": event.worker})
        case StoreSilent() if event.message:
            _LOG.warning("the store does not answer: %s", event.message, extra={"worker": event.worker})
        case Remark():
            _LOG.info("%s", event.message, extra={"worker": event.worker})
        case NoticeSeen():
            _LOG.warning("the node may go: %s, says %s", event.kind, event.source, extra={"worker": event.worker})


def _log_good_news(event: WorkerStarting | WorkerReady | Preparing | NoticeCancelled) -> None:
    """Workers come and stay."""
    extra = {"worker": event.worker}
    match event:
        case WorkerStarting():
            node = event.node
            _LOG.info("worker starts on %s (%s, %s)", node.node_id, node.node_type, node.market, extra=extra)
        case WorkerReady():
            _LOG.info("worker is ready", extra=extra)
        case Preparing():
            _LOG.info("worker %ss %s", event.what, event.message, extra=extra)
        case NoticeCancelled():
            _LOG.info("the node stays after all", extra=extra)


def _log_work(event: DidNotFit | BatchTuned | AttemptEnded | BatchCommitted) -> None:
    """What went wrong with work, and where."""
    extra = {"worker": event.worker}
    match event:
        case DidNotFit():
            shape = f"{event.width}x{event.height}"
            _LOG.info("%s images of %s did not fit into the device's memory", event.size, shape, extra=extra)
        case BatchTuned():
            rates = ", ".join(f"{size}: {size / max(taken, 1e-9):.3g}/s" for size, taken in event.seconds.items())
            _LOG.info("batches of %d from now on; images a second by size: %s", event.size, rates, extra=extra)
        case AttemptEnded() if event.cause != Cause.SUCCEEDED:
            extra |= {"task": event.task, "attempt": event.attempt}
            _LOG.warning("attempt %s ended: %s: %s", event.attempt, event.cause, event.message, extra=extra)
        case BatchCommitted():
            extra |= {"task": event.record.task, "attempt": event.record.attempt}
            for image in event.record.images:
                if image.outcome in {Outcome.FAILED, Outcome.REFUSED}:
                    what = (image.image_id, image.outcome.value, image.cause, image.message)
                    _LOG.warning("image %s %s: %s: %s", *what, extra=extra)
