"""Batch sizes that did not fit, kept in the store, so that no worker of any job has to learn them again."""

import hashlib
import json
import logging

from pipeline.errors import NotFoundError, StoreUnavailableError
from pipeline.layout import memory_key
from pipeline.ports import Store
from pipeline.record import Node
from pipeline.working.workplace import Shape

MEMORY_SCHEMA = 1
"""Version of the JSON form; others are taken for nothing known."""

_LOG = logging.getLogger(__name__)
_Key = tuple[Shape, str]


class LearnedSizes:
    """What is known of one store; read once for each model, shape and GPU, written when something is learned."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[_Key, int | None] = {}
        self._unsaved: set[_Key] = set()

    def most(self, shape: Shape, node: Node) -> int | None:
        """The largest batch worth a try on this node; None when nothing speaks against any."""
        known = [self._look((shape, place)) for place in (gpu_of(node), _host(node))]
        return min((size for size in known if size is not None), default=None)

    def learn(self, shape: Shape, node: Node, size: int, *, host: bool = False) -> None:
        """A batch of this size did not fit.

        Args:
            shape: of the requests.
            node: where that was.
            size: of the batch; half of it is tried from now on.
            host: it was the machine's memory and not the GPU's.
        """
        key = (shape, _host(node) if host else gpu_of(node))
        half = max(1, size // 2)
        known = self._look(key)
        if known is None or half < known:
            self._known[key] = half
            self._unsaved.add(key)
            _LOG.info("a batch of %d does not fit on %s: %d from now on", size, key[1], half)

    def save(self) -> None:
        """Write what is new. Raises: StoreUnavailableError: what is not written yet is kept for the next time."""
        for key in list(self._unsaved):
            (model, precision, width, height), where = key
            values = {
                "schema": MEMORY_SCHEMA,
                "model": model,
                "precision": precision,
                "width": width,
                "height": height,
                "gpu": where,
                "most_at_once": self._known[key],
            }
            self._store.put(_object(key), json.dumps(values, indent=1).encode())
            self._unsaved.discard(key)

    def _look(self, key: _Key) -> int | None:
        if key not in self._known:
            try:
                self._known[key] = _read(self._store.get(_object(key)))
            except NotFoundError:
                self._known[key] = None
            except StoreUnavailableError:
                return None
        return self._known[key]


def gpu_of(node: Node) -> str:
    """The GPU whose memory counts; for workers without one the machine's."""
    return f"cpu of {node.node_type}" if node.gpu in {"", "cpu"} else node.gpu


def _host(node: Node) -> str:
    """The machine, for what its own memory does not hold."""
    return f"host {node.node_type}"


def _object(key: _Key) -> str:
    return memory_key(hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32])


def _read(body: bytes) -> int | None:
    """The size that an object names; None when it is not ours to understand."""
    try:
        values = json.loads(body)
        size = int(values["most_at_once"]) if values["schema"] == MEMORY_SCHEMA else None
    except (ValueError, KeyError, TypeError):
        return None
    return size if size is not None and size >= 1 else None
