"""Whether a model that a worker cannot load is the worker's misfortune, or nobody's to load."""


class ModelWatch:
    """What is known of the models of one job, by their names.

    Args:
        limit: so many workers that cannot load a model which nobody could are enough.
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._loaded: set[str] = set()
        self._refusals: dict[str, int] = {}
        self.given_up: dict[str, str] = {}
        """Models that nobody can load, with the reason of the last one who tried."""

    def loaded(self, model: str) -> None:
        """A worker could load it."""
        self._loaded.add(model)

    def refused(self, model: str, message: str, *, hope: bool) -> bool:
        """A worker cannot load it; whether it is the worker's fault, as others could or may yet.

        Args:
            model: its name.
            message: the worker's.
            hope: whether there is another worker that has not tried yet.
        """
        if model in self._loaded:
            return True
        self._refusals[model] = self._refusals.get(model, 0) + 1
        if hope and self._refusals[model] < self._limit:
            return True
        self.given_up[model] = message
        return False
