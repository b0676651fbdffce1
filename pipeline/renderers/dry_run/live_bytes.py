"""How many bytes of tensors live at once while something runs."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's base has no hints
    """Counts every storage that an operation brings forth until nobody holds it; under fake tensors none is allocated.

    Args:
        known: tensors whose storages were there before, such as weights; they do not count.
    """

    def __init__(self, known: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        """Most bytes at once."""
        self._live = 0
        self._seen: dict[int, Any] = {_address(tensor.untyped_storage()): None for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor.untyped_storage())
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        """Count a storage that is new, and forget it when it dies."""
        key, size_bytes = _address(storage), storage.nbytes()
        if key in self._seen:
            return

        def gone(_: Any) -> None:
            self._live -= size_bytes
            self._seen.pop(key, None)

        self._live += size_bytes
        self.peak = max(self.peak, self._live)
        self._seen[key] = weakref.ref(storage, gone)


def _address(storage: torch.UntypedStorage) -> int:
    """What tells one living storage from another; fake ones have no other address."""
    return int(storage._cdata)  # noqa: SLF001 - torch's own trackers of memory use it
