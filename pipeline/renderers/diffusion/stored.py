"""The files of a model that was pushed into a store, for resolving it without the hub."""

from collections.abc import Sequence

from pipeline.errors import ModelError, NotFoundError
from pipeline.ports import Store
from pipeline.weights import Weights


class StoredFiles:
    """The files that a manifest names; small ones are read from the store.

    Args:
        weights: the manifest, checked.
        store: where it lies.
    """

    def __init__(self, weights: Weights, store: Store) -> None:
        self.weights = weights
        self._store = store
        self._files = {file.name: file for file in weights.files}

    @property
    def place(self) -> str:
        return f"{self._store.uri}/{self.weights.key}"

    def names(self) -> Sequence[str]:
        return list(self._files)

    def read(self, name: str) -> bytes:
        try:
            return self._store.get(self._files[name].key)
        except NotFoundError as error:
            raise ModelError(f"{self.place}: {name} is gone; push the model again (spotrender models push)") from error
