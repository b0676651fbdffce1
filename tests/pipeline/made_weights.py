"""Models for tests of the store and of nodes' caches: a few files of made-up bytes, and their manifest."""

import hashlib
from dataclasses import replace

from pipeline.layout import model_blob_key
from pipeline.ports import Store
from pipeline.weights import PART_BYTES, WeightFile, Weights, to_json


def weight_file(name: str, body: bytes) -> WeightFile:
    """What a manifest says of a file of these bytes."""
    starts = range(0, len(body), PART_BYTES)
    parts = tuple(hashlib.sha256(body[start : start + PART_BYTES]).hexdigest() for start in starts)
    return WeightFile(name=name, bytes=len(body), sha256=hashlib.sha256(body).hexdigest(), parts=parts)


def make_weights(files: dict[str, bytes], *, name: str = "made") -> Weights:
    """The manifest of a folder with these files."""
    made = Weights(
        name=name,
        source=name,
        revision="",
        asked="",
        variant="",
        pickled=False,
        code=False,
        pushed_at="2026-11-21T12:00:00+00:00",
        files=tuple(weight_file(each, body) for each, body in sorted(files.items())),
    )
    return replace(made, revision=f"sha256:{made.content}")


def put_weights(store: Store, files: dict[str, bytes], *, name: str = "made") -> Weights:
    """The same, in a store."""
    weights = make_weights(files, name=name)
    for body in files.values():
        store.put(model_blob_key(hashlib.sha256(body).hexdigest()), body)
    store.put(weights.key, to_json(weights))
    return weights
