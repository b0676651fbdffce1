"""From the pictures of a batch to its files and its record: gate, encode, hash, and split time and cost."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.assignment import Assignment
from pipeline.causes import cause_of
from pipeline.errors import BadOutputError, ImageError, SafetyBlankedError
from pipeline.imaging.encode import encode, extension
from pipeline.imaging.gate import inspect
from pipeline.imaging.metadata import Metadata
from pipeline.layout import image_key
from pipeline.ports import Picture
from pipeline.pricing.money import interval_nano_usd, split, usd
from pipeline.record import GpuUse, Node, Outcome, Profile, Record, RecordedImage

_LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFacts:
    """What a record says of its batch beside the images."""

    sequence: int
    node: Node
    gpu_index: int
    profile: Profile
    started_ns: int
    """When the batch took the device."""
    ended_ns: int
    """When it left it."""
    stages_ns: dict[str, int]
    memory_bytes: int = 0
    gpu_use: GpuUse | None = None


def finished_image(assignment: Assignment, place: int, picture: Picture) -> tuple[RecordedImage, bytes | None]:
    """One picture through the gate and into a file.

    One that the gate refuses has no file and is no image: it is tried once more elsewhere. One that the safety checker
    blanked would be blanked again, so it has failed.

    Args:
        assignment: what was asked for.
        place: which of its requests this is.
        picture: what was decoded.
    """
    request, image_id = assignment.requests[place], assignment.image_ids[place]
    carried = Metadata(request=request, image_id=image_id) if assignment.output.metadata == "full" else None
    try:
        inspect(picture, width=request.variant.width, height=request.variant.height)
        body = encode(picture.pixels, assignment.output, carried)
    except BadOutputError as error:
        return _without_file(assignment, place, error, Outcome.REFUSED), None
    except SafetyBlankedError as error:
        return _without_file(assignment, place, error, Outcome.FAILED), None
    sha256 = hashlib.sha256(body).hexdigest()
    image = RecordedImage(
        image_id=image_id,
        outcome=Outcome.RENDERED,
        key=image_key(image_id, sha256, extension(assignment.output)),
        bytes=len(body),
        sha256=sha256,
        tags=assignment.tags[place],
    )
    return image, body


def _without_file(assignment: Assignment, place: int, error: ImageError, outcome: Outcome) -> RecordedImage:
    """A picture that is not to be kept, as a record tells it."""
    return RecordedImage(
        image_id=assignment.image_ids[place],
        outcome=outcome,
        cause=cause_of(error),
        message=one_line(str(error)),
        tags=assignment.tags[place],
    )


def one_line(text: str) -> str:
    """A message as records hold it: one line, of 500 characters at most."""
    return " ".join(text.split())[:_LONGEST_MESSAGE]


def batch_record(assignment: Assignment, facts: BatchFacts, images: Sequence[RecordedImage]) -> Record:
    """The record of a batch, with its device time and cost split over its images."""
    variant = assignment.requests[0].variant
    nano = interval_nano_usd(
        usd_per_hour=facts.node.usd_per_hour,
        gpu_count=facts.node.shares,
        gpu_index=facts.gpu_index,
        started_ns=facts.started_ns,
        ended_ns=facts.ended_ns,
    )
    gpu_nanoseconds = facts.ended_ns - facts.started_ns
    return Record(
        job=assignment.job,
        task=assignment.task,
        attempt=assignment.attempt,
        sequence=facts.sequence,
        node=facts.node,
        gpu_index=facts.gpu_index,
        profile=facts.profile,
        model=assignment.model.name,
        width=variant.width,
        height=variant.height,
        steps=variant.steps,
        started_ns=facts.started_ns,
        ended_ns=facts.ended_ns,
        gpu_nanoseconds=gpu_nanoseconds,
        usd=usd(nano),
        stages_ns=facts.stages_ns,
        memory_bytes=facts.memory_bytes,
        gpu_use=facts.gpu_use,
        images=share_cost(images, gpu_nanoseconds=gpu_nanoseconds, nano=nano),
    )


def share_cost(images: Sequence[RecordedImage], *, gpu_nanoseconds: int, nano: int) -> tuple[RecordedImage, ...]:
    """The images of a batch with equal shares of its device time and cost, to the last nano-dollar."""
    ones = [1] * len(images)
    times, costs = split(gpu_nanoseconds, ones), split(nano, ones)
    return tuple(
        replace(image, gpu_nanoseconds=time, usd=usd(cost))
        for image, time, cost in zip(images, times, costs, strict=True)
    )
