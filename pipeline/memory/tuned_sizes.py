"""The best batch sizes that workers found, kept in the store: who is to look for one, and what the others use.

The first one to be kept is final for its model, shape, levers and GPU, so that all jobs of a store render with the same
batch shape and get the same bits.
"""

import hashlib
import json
import logging

from pipeline.errors import AlreadyExistsError, NotFoundError, StoreUnavailableError
from pipeline.events import BatchTuned
from pipeline.job import TaskSizes
from pipeline.layout import memory_key
from pipeline.memory.learned_sizes import gpu_of
from pipeline.model import Model
from pipeline.performance import frozen_levers
from pipeline.ports import Store
from pipeline.record import Node
from pipeline.request import Variant
from pipeline.working.tuner import LARGEST

TUNED_SCHEMA = 1
"""Version of the JSON form; others are taken for nothing known."""

_WORTH_IMAGES = 128
"""With fewer images left of a job that does not ask for it, nothing is measured."""

_LOG = logging.getLogger(__name__)


class TunedSizes:
    """What is known of one store, and who is measuring.

    Args:
        store: where it is kept.
        sizes: of the job's tasks.
    """

    def __init__(self, store: Store, sizes: TaskSizes) -> None:
        self._store, self._sizes = store, sizes
        self._known: dict[str, int | None] = {}
        self._unsaved: dict[str, bytes] = {}
        self._measuring: dict[str, str] = {}

    def best(self, model: Model, variant: Variant, node: Node) -> int | None:
        """The size to render with on this node; None where the renderer is to choose."""
        return self._look(_key(model, variant, node)) if self._tunable(model, node) else None

    def to_measure(self, worker: str, model: Model, variant: Variant, node: Node, *, images: int, left: int) -> int:
        """The largest size that this worker is to try; 0 where it is to try none.

        Args:
            worker: who asks; one at a time is asked to measure.
            model: of the images.
            variant: of the images.
            node: where the worker stands.
            images: of the task.
            left: images that the job misses.
        """
        if not self._tunable(model, node) or (left < _WORTH_IMAGES and not self._sizes.tuned):
            return 0
        key = _key(model, variant, node)
        if self._look(key) is not None or self._measuring.setdefault(key, worker) != worker:
            return 0
        return min(LARGEST, 1 << (images.bit_length() - 1))

    def told(self, event: BatchTuned, model: Model, variant: Variant, node: Node) -> None:
        """A worker has found the best size."""
        key = _key(model, variant, node)
        if self._known.get(key) is not None:
            return
        self._measuring.pop(key, None)
        self._known[key] = event.size
        values = json.loads(key) | {
            "schema": TUNED_SCHEMA,
            "batch_size": event.size,
            "seconds": {str(size): seconds for size, seconds in event.seconds.items()},
        }
        self._unsaved[key] = json.dumps(values, indent=1).encode()

    def leave(self, worker: str) -> None:
        """A worker is gone: another one may measure."""
        self._measuring = {key: name for key, name in self._measuring.items() if name != worker}

    def save(self) -> None:
        """Write what is new. Raises: StoreUnavailableError: what is not written yet is kept for the next time."""
        for key, body in list(self._unsaved.items()):
            try:
                self._store.put(_object(key), body, mode="create")
            except AlreadyExistsError:  # another job was quicker: its size is the store's
                self._known.pop(key)
            del self._unsaved[key]

    def _tunable(self, model: Model, node: Node) -> bool:
        """Whether nobody has said what a batch is, and it is worth finding out."""
        return model.batch_size is None and (self._sizes.tuned or node.gpu not in {"", "cpu"})

    def _look(self, key: str) -> int | None:
        if key not in self._known:
            try:
                self._known[key] = _read(self._store.get(_object(key)))
            except NotFoundError:
                self._known[key] = None
            except StoreUnavailableError:
                return None
        return self._known[key]


def _key(model: Model, variant: Variant, node: Node) -> str:
    """All that the speed of a batch follows from, as JSON."""
    levers = frozen_levers(model.levers, model.options).options()
    return json.dumps(
        {
            "model": variant.model,
            "precision": variant.precision,
            "width": variant.width,
            "height": variant.height,
            "guided": variant.guidance_scale > 1,
            "quantization": variant.quantization,
            "step_cache": variant.step_cache,
            "levers": levers,
            "gpu": gpu_of(node),
        },
        sort_keys=True,
    )


def _object(key: str) -> str:
    return memory_key(hashlib.sha256(f"best {key}".encode()).hexdigest()[:32])


def _read(body: bytes) -> int | None:
    """The size that an object names; None when it is not ours to understand."""
    try:
        values = json.loads(body)
        size = int(values["batch_size"]) if values["schema"] == TUNED_SCHEMA else None
    except (ValueError, KeyError, TypeError):
        return None
    return size if size is not None and 1 <= size <= LARGEST else None
