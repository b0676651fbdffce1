"""A model that was pushed into the store is submitted and loaded from there; nobody asks the hub any more."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.compute.stored_weights import StoredWeights
from infra.stores.local import LocalStore
from jobs.cli import run
from jobs.pushing import push, take_out
from jobs.wiring import resolve_here_first, resolve_model
from pipeline.errors import ModelError, ModelUnavailableError, UserError
from pipeline.ports import Picture
from pipeline.pushed_models import list_weights, read_weights
from pipeline.renderers.diffusion.kind import DiffusersKind
from pipeline.weights import unnamed_blobs
from tests.pipeline.renderers.asking import request_of
from tests.pipeline.renderers.hub_server import COMMIT, Hub

Folder = Callable[[str], Path]
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """An empty store."""
    return LocalStore(str(tmp_path / "store"))


@pytest.fixture
def weights(store: LocalStore, tmp_path: Path) -> StoredWeights:
    """A worker's way to the store, with a cache of its own."""
    return StoredWeights(store, {"SPOTRENDER_MODEL_CACHE": str(tmp_path / "models")})


@pytest.fixture
def gone(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Take the hub away, and what was ever fetched from it."""

    def take() -> None:
        monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "another cache"))

    return take


def drawn(model: Any) -> Any:
    """One picture of a model."""
    renderer = DiffusersKind().load(model, device="cpu", threads=1)
    pictures: list[Picture] = list(renderer.decode(renderer.denoise([request_of(model)], batch_size=1)))
    renderer.close()
    return pictures[0].pixels


def test_a_pushed_model_needs_no_hub(
    hub: Hub, store: LocalStore, weights: StoredWeights, gone: Callable[[], None]
) -> None:
    """Only what a pipeline needs is in the store; without a hub the frozen model is the same, and so are its pixels."""
    by_hub = resolve_model("acme/tiny")
    before = drawn(by_hub)
    pushed = push(store, "acme/tiny")
    assert (pushed.name, pushed.revision) == ("acme/tiny", f"hub:acme/tiny@{COMMIT}")
    there = {file.name for file in read_weights(store, pushed.manifest).files}
    assert "unet/diffusion_pytorch_model.safetensors" in there
    assert not there & {"whole.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors", "unet/openvino_model.bin"}
    gone()
    model = resolve_model("acme/tiny", store=store)
    assert replace(model, weights={}) == by_hub
    assert resolve_here_first("acme/tiny", store=store) == model
    assert (drawn(weights.here(model)) == before).all()
    with pytest.raises(ModelError, match="does not answer"):
        resolve_model("acme/tiny")


def test_a_job_of_a_pushed_model_renders_without_a_hub(
    hub: Hub,
    store: LocalStore,
    gone: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Push, list, and submit with the hub gone, also a prompt long enough for its tokens to be counted."""
    prompts = [{"prompt": "a red cat"}, {"prompt": "cat " * 90}]
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps(row) for row in prompts))
    monkeypatch.setenv("SPOTRENDER_MODEL_CACHE", str(tmp_path / "models"))
    place = ["--store", store.uri, "--json"]
    assert run(["models", "push", "acme/tiny", *place]) == 0
    assert json.loads(capsys.readouterr().out)["uploaded"] > 5
    gone()
    assert run(["models", "list", *place]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["models"]
    assert (listed["name"], listed["asked"]) == ("acme/tiny", "main")
    options = ["--model", "acme/tiny", "--set", "steps=2", "--address", "in-process"]
    assert run(["submit", str(tmp_path / "p.jsonl"), *options, *place]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["rendered"]) == ("SUCCEEDED", 2)
    assert "cut off" in str(told["warnings"])
    assert list((tmp_path / "models").glob("*/unet/*.safetensors"))


def test_pushing_again_uploads_nothing_and_an_interrupted_push_goes_on(hub: Hub, store: LocalStore) -> None:
    """What is there is not sent again: by its manifest, or by the files that came through."""
    first = push(store, "acme/tiny")
    downloads = len(hub.downloads)
    assert push(store, "acme/tiny").uploaded == 0
    assert len(hub.downloads) == downloads
    store.delete(first.manifest)
    lost = next(found for found in store.list("models/blobs/"))
    store.delete(lost.key)
    again = push(store, "acme/tiny")
    assert (again.uploaded, again.uploaded_bytes) == (1, lost.size_bytes)
    assert read_weights(store, again.manifest).revision == first.revision
    store.delete(lost.key)
    assert push(store, "acme/tiny").uploaded == 1


def test_a_folder_is_known_by_its_content(tiny_folder: Folder, store: LocalStore, weights: StoredWeights) -> None:
    """Pushed under a name, it is submitted by that name from anywhere; edited, the store does not have it."""
    folder = Path(shutil.copytree(tiny_folder("sd"), Path(store.uri).parent / "mine"))
    pushed = push(store, str(folder))
    by_folder = resolve_model(str(folder), store=store)
    assert by_folder.weights["manifest"] == pushed.manifest == "models/mine/" + pushed.revision[7:] + ".json"
    by_name = resolve_model("mine", store=store)
    assert (by_name.revision, by_name.weights) == (by_folder.revision, by_folder.weights)
    assert Path(weights.here(by_name).source, "vae/config.json").is_file()
    (folder / "vae/config.json").write_text((folder / "vae/config.json").read_text() + " ")
    assert resolve_model(str(folder), store=store).weights == {}
    with pytest.raises(ModelError, match='no model "min"'):
        resolve_model("min", store=store)


def test_a_model_that_is_taken_out_leaves_its_files_to_the_clean_up(hub: Hub, store: LocalStore) -> None:
    """Then no manifest names them, jobs do not find it, and its workers say what to do."""
    push(store, "acme/tiny")
    model = resolve_model("acme/tiny", store=store)
    with pytest.raises(UserError, match="it holds acme/tiny"):
        take_out(store, "acme/other")
    with pytest.raises(UserError, match="it holds acme/tiny"):
        take_out(store, "acme/tiny", revision="fff")
    assert len(take_out(store, "acme/tiny", revision=COMMIT[:7])) == 1
    blobs = [found.key for found in store.list("models/blobs/")]
    assert blobs == unnamed_blobs(blobs, list_weights(store))
    assert resolve_model("acme/tiny", store=store).weights == {}
    with pytest.raises(ModelUnavailableError, match="push the model again"):
        StoredWeights(store, {}).here(model)


def test_pickled_weights_and_code_are_refused_at_every_door(
    tiny_folder: Folder, store: LocalStore, weights: StoredWeights
) -> None:
    """At the push, at the submit and on the worker; each lets them through only when it is told to."""
    folder = Path(shutil.copytree(tiny_folder("sd"), Path(store.uri).parent / "old"))
    safe = folder / "unet/diffusion_pytorch_model.safetensors"
    safe.rename(safe.with_suffix(".bin"))
    with pytest.raises(ModelError, match="pickled"):
        push(store, str(folder))
    push(store, str(folder), options={"allow_pickle": True})
    with pytest.raises(ModelError, match="pickled"):
        resolve_model("old", store=store)
    model = resolve_model("old", options={"allow_pickle": True}, store=store)
    with pytest.raises(ModelUnavailableError, match="allow_pickle"):
        weights.here(replace(model, options={}))
    (folder / "unet/mine.py").write_text("boom")
    with pytest.raises(ModelError, match="allow_remote_code"):
        push(store, str(folder), options={"allow_pickle": True})


def test_other_files_than_the_jobs_are_refused(hub: Hub, store: LocalStore, weights: StoredWeights) -> None:
    """A manifest that somebody replaced after the submit is not what the job was frozen with."""
    push(store, "acme/tiny")
    model = resolve_model("acme/tiny", store=store)
    with pytest.raises(ModelUnavailableError, match="other files than at its submit"):
        weights.here(replace(model, weights=model.weights | {"content": "0" * 64}))
