"""Has the weights of a model of the store on this node's disk before it is loaded."""

from collections.abc import Mapping
from dataclasses import replace

from infra.model_cache.cache import Held, ModelCache
from infra.model_cache.place import cache_place
from pipeline.errors import ModelError, ModelUnavailableError, NotFoundError
from pipeline.model import Model
from pipeline.ports import Ranged, Store
from pipeline.pushed_models import read_weights
from pipeline.weights import Weights, unsafe_problem


class StoredWeights:
    """What one worker holds of the node's cache: the model that it has loaded, until it loads another one.

    Args:
        store: where models lie.
        environ: of this process; says where the cache is.
    """

    def __init__(self, store: Store, environ: Mapping[str, str]) -> None:
        self._store, self._environ = store, environ
        self._held: Held | None = None

    def here(self, model: Model) -> Model:
        """The model, to be loaded from this node's disk; as it is where the store has not its files.

        Raises:
            ModelUnavailableError: the store's files are not those of the job, not safe, or cannot be had.
            StoreUnavailableError: the store does not answer.
        """
        if self._held is not None:
            self._held.close()
            self._held = None
        if not model.weights:
            return model
        weights = self._manifest(model)
        if not isinstance(self._store, Ranged):
            raise ModelUnavailableError(f"{self._store.uri}: parts of objects cannot be read there")
        self._held = ModelCache(cache_place(self._environ)).hold(weights, self._store)
        return replace(model, source=str(self._held.folder))

    def _manifest(self, model: Model) -> Weights:
        """What the job was frozen with. Raises: ModelUnavailableError."""
        key = model.weights["manifest"]
        try:
            weights = read_weights(self._store, key)
        except NotFoundError as error:
            raise ModelUnavailableError(
                f"{model.name}: {error}; push the model again (spotrender models push), or submit the job again"
            ) from error
        except ModelError as error:
            raise ModelUnavailableError(str(error)) from error
        if weights.content != model.weights["content"]:
            raise ModelUnavailableError(f"{model.name}: {key} names other files than at its submit; submit it again")
        if problem := unsafe_problem(weights, model.options):
            raise ModelUnavailableError(problem)
        return weights
