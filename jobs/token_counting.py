"""Counts the tokens of prompts at submit, also for a model that only the store has."""

from dataclasses import replace
from pathlib import Path

from pipeline.model import Model
from pipeline.ports import Store
from pipeline.pushed_models import read_weights


class TokenCounter:
    """Called with (model, prompt), it gives the tokens, or None where they are not known.

    Args:
        store: that may have the models.
        folder: for tokenizers out of the store, each fetched once; made when needed.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._fetched: dict[str, Path] = {}

    def __call__(self, model: Model, prompt: str) -> int | None:
        if not model.revision:
            return None
        from pipeline.renderers.table import renderer_kind

        if model.weights and not Path(model.source).is_absolute():
            model = replace(model, source=str(self._configs(model.weights["manifest"])), revision="")
        return renderer_kind(model.renderer).count_tokens(model, prompt)

    def _configs(self, manifest: str) -> Path:
        """A folder with the tokenizers of a model in the store."""
        if manifest not in self._fetched:
            folder = self._folder / str(len(self._fetched))
            for file in read_weights(self._store, manifest).files:
                if file.name.startswith("tokenizer") or "/" not in file.name:
                    self._store.download(file.key, str(folder / file.name))
            self._fetched[manifest] = folder
        return self._fetched[manifest]
