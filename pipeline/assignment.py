"""What the driver hands to workers; small metadata."""

from dataclasses import dataclass

from pipeline.model import Model
from pipeline.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How finished images are stored; part of an image's key, never of its id."""

    format: str = "png"
    """`png`, `webp` or `jpeg`."""
    metadata: str = "full"
    """`full`: the request and A1111 text inside the file; `none`: nothing."""
    quality: int = 90
    """For webp and jpeg."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One attempt at one task, for one worker."""

    job: str
    task: str
    attempt: str
    """Unique among all attempts of all drivers."""
    model: Model
    requests: tuple[Request, ...]
    """What is still missing of the task, in plan order; all of one variant."""
    image_ids: tuple[str, ...]
    """Of `requests`, in order."""
    tags: tuple[dict[str, str], ...]
    """Of `requests`, in order."""
    output: Output
    batch_size: int | None = None
    """Device batch; None lets the renderer choose."""
    most_at_once: int | None = None
    """A larger device batch did not fit on such a GPU before; None: nothing is known."""
    tune_to: int = 0
    """The largest device batch to try, where this worker is to find the best one; 0: it is to try none."""
    images_ahead: int = 0
    """Images of this model and shape that are left for each worker, these included, as far as the driver can tell."""
    outage_seconds: float = 900.0
    """How long finished pictures wait in memory for a store that does not answer."""
