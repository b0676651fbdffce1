"""Manifests of models in a store: read back as written, and refused where they could do harm."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.stores.memory import MemoryStore
from pipeline.errors import ModelError, NotFoundError
from pipeline.pushed_models import find_weights, list_weights, read_weights
from pipeline.weights import from_json, slug, to_json, unnamed_blobs, unsafe_problem
from tests.pipeline.made_weights import make_weights, put_weights

FILES = {"model_index.json": b"{}", "unet/config.json": b"{}", "unet/model.safetensors": b"weights", "empty.txt": b""}
HOSTILE = (
    "../evil",
    "/etc/passwd",
    "unet/../../evil",
    "unet//a",
    "./a",
    ".hidden/a",
    "unet/.git",
    "a\\b",
    "a\nb",
    "a\0b",
    "",
    "unet/",
    "x" * 300,
)
"""Names that would leave the folder, hide in it, or confuse who reads them."""

DOCUMENTS = st.recursive(st.none() | st.text(max_size=5), st.lists).map(json.dumps).map(str.encode)
"""JSON that is no manifest."""


def test_a_manifest_is_read_back_as_it_was_written() -> None:
    """Every field, and the revision is the hash over names and contents."""
    weights = make_weights(FILES)
    assert from_json(to_json(weights), place="x") == weights
    assert weights.revision == f"sha256:{weights.content}"
    assert weights.key == f"models/made/{weights.content}.json"


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_leave_the_folder_are_refused(name: str) -> None:
    """Whatever a manifest says, no file is ever written outside of the model's folder."""
    with pytest.raises(ModelError, match="no path inside of a model's folder"):
        from_json(changed(files=[{"name": name}]), place="models/made/x.json")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": 2}, "schema 1"),
        ({"files": []}, "names no files"),
        ({"files": [{"name": "Model_Index.json"}]}, "one twice"),
        ({"files": [{"name": "unet"}]}, "file and a folder alike"),
        ({"files": [{"bytes": -1}]}, "no size"),
        ({"files": [{"bytes": True}]}, "no size"),
        ({"files": [{"sha256": "../../x"}]}, "hash that is none"),
        ({"files": [{"bytes": 1 << 40}]}, "another number of parts"),
        ({"files": [{"name": "unet/model.bin"}]}, "pickled weights and does not say so"),
        ({"files": [{"name": "unet/run.py"}]}, "Python code and does not say so"),
        ({"pickled": "yes"}, "pickled weights and does not say so"),
        ({"content": "0" * 64}, "not those that it was written for"),
        ({"revision": "sha256:" + "0" * 64}, "not those of its revision"),
        ({"revision": "hub:../..@x"}, "not those that it was written for"),
        ({"asked": "a\x1b[31m"}, "text of it is none"),
        ({"surprise": 1}, "cannot be read"),
    ],
)
def test_a_manifest_that_does_not_add_up_is_refused(change: dict[str, Any], why: str) -> None:
    """Nothing is taken from it, and the message says what to do."""
    with pytest.raises(ModelError, match=f"{why}.*push the model again"):
        from_json(changed(**change), place="models/made/x.json")


@settings(max_examples=25)
@given(st.binary(max_size=200) | DOCUMENTS)
def test_rubbish_is_never_more_than_an_error(body: bytes) -> None:
    """Any bytes at all under a manifest's key are refused in one line."""
    with pytest.raises(ModelError, match=r"\Ax: [^\n]*\Z"):
        from_json(body, place="x")


def test_a_models_name_becomes_a_folder_of_the_store() -> None:
    """Slashes and odd letters are replaced; what would be no name, or the blobs' own, is refused."""
    assert slug("Stability/SDXL base 1.0") == "stability--sdxl-base-1.0"
    for name in ("..", "blobs", "///", "\u2603"):
        with pytest.raises(ModelError, match="--name"):
            slug(name)


def test_a_store_is_asked_for_what_a_job_means() -> None:
    """By name, revision and variant; the newest of several; a manifest that was moved is refused."""
    store = MemoryStore()
    weights = put_weights(store, FILES)
    assert find_weights(store, "made", {}) == weights
    assert find_weights(store, "made", {"variant": "fp16"}) is None
    assert find_weights(store, "made", {"revision": "v2"}) is None
    assert find_weights(store, "other", {}) is None
    assert list(list_weights(store)) == [weights]
    store.put("models/other/x.json", to_json(weights))
    with pytest.raises(ModelError, match="is the manifest of"):
        read_weights(store, "models/other/x.json")
    with pytest.raises(NotFoundError):
        read_weights(store, "models/none/x.json")


def test_only_files_that_no_manifest_names_are_left_over() -> None:
    """Two models may share a file; it is left over when neither is there."""
    store = MemoryStore()
    one, two = (put_weights(store, FILES | {"own.txt": name.encode()}, name=name) for name in ("one", "two"))
    blobs = [found.key for found in store.list("models/blobs/")]
    own = next(file.key for file in two.files if file.name == "own.txt")
    assert unnamed_blobs(blobs, [one, two]) == []
    assert unnamed_blobs(blobs, [one]) == [own]
    assert unnamed_blobs(blobs, []) == blobs


def test_pickled_weights_and_code_need_the_jobs_word() -> None:
    """What was pushed with a flag is used with the same flag only."""
    weights = make_weights(FILES)
    assert unsafe_problem(weights, {}) is None
    for field, flag in (("pickled", "allow_pickle"), ("code", "allow_remote_code")):
        unsafe = replace(weights, **{field: True})  # type: ignore[arg-type] # both are flags
        assert flag in str(unsafe_problem(unsafe, {}))
        assert unsafe_problem(unsafe, {flag: "true"}) is None


def changed(**values: Any) -> bytes:
    """A manifest with other values; each of `files` is a third file with these fields."""
    document = json.loads(to_json(make_weights(FILES)))
    files = values.pop("files", None)
    if files is not None:
        more = [document["files"][0] | each for each in files]
        document["files"] = [*document["files"][1:], *more] if files else []
    return json.dumps(document | values).encode()
