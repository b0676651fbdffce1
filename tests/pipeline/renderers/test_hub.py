"""Models on a hub are pinned to a commit, fetched once, loaded from the cache, and the token is never shown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import BadRequestError, ModelError, ModelUnavailableError
from pipeline.ports import Picture
from pipeline.renderers.diffusion.hub import hub_token, without_token
from pipeline.renderers.diffusion.kind import DiffusersKind
from pipeline.renderers.diffusion.loras import resolve_lora
from tests.pipeline.renderers.asking import request_of
from tests.pipeline.renderers.hub_server import COMMIT, Hub

Folder = Callable[[str], Path]
TOKEN = "hf_abcdefghijklmnop"


def test_a_repository_is_pinned_and_renders_what_its_folder_renders(hub: Hub, tiny_folder: Folder) -> None:
    """Submit fetches configurations only, the worker exactly the weights it needs, and once."""
    kind = DiffusersKind()
    model = kind.resolve("acme/tiny")
    assert model.revision == f"hub:acme/tiny@{COMMIT}"
    assert not [name for name in hub.downloads if name.endswith(".safetensors")]
    pictures: list[Picture] = []
    for frozen in (model, kind.resolve(str(tiny_folder("sd")))):
        renderer = kind.load(frozen, device="cpu", threads=1)
        pictures += renderer.decode(renderer.denoise([request_of(frozen)], batch_size=1))
        renderer.close()
    assert (pictures[0].pixels == pictures[1].pixels).all()
    weights = sorted(name for name in hub.downloads if name.endswith((".safetensors", ".bin")))
    assert weights == [
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    before = len(hub.downloads)
    kind.load(model, device="cpu", threads=1).close()
    assert len(hub.downloads) == before


def test_a_fetched_model_needs_no_hub_any_more(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the hub is gone, what is in the cache resolves to the same commit and loads."""
    kind = DiffusersKind()
    model = kind.resolve("acme/tiny")
    kind.load(model, device="cpu", threads=1).close()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    kind.load(model, device="cpu", threads=1).close()
    assert kind.resolve("acme/tiny", revision=COMMIT).revision == model.revision


def test_a_hub_that_does_not_answer_is_the_users_to_mend(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline with nothing in the cache: one line that says so, with a remedy; at load it is the worker's refusal."""
    model = DiffusersKind().resolve("acme/tiny")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"does not answer.*local folder"):
        DiffusersKind().resolve("acme/other")
    with pytest.raises(ModelUnavailableError, match="does not answer"):
        DiffusersKind().load(model, device="cpu", threads=1)


def test_missing_repositories_and_revisions_are_told_apart(hub: Hub) -> None:
    """Each refusal of the hub has its own remedy."""
    with pytest.raises(ModelError, match="no such repository"):
        DiffusersKind().resolve("acme/missing")
    with pytest.raises(ModelError, match="no such revision"):
        DiffusersKind().resolve("acme/tiny", revision="v9")


@pytest.mark.parametrize("given_by", ["HF_TOKEN", "HF_TOKEN_PATH"])
def test_gated_weights_need_the_token(given_by: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token: the remedy. With one, from the environment or a mounted secret: the model."""
    hub.token = TOKEN
    with pytest.raises(ModelError, match=r"gated.*HF_TOKEN"):
        DiffusersKind().resolve("acme/tiny")
    if given_by == "HF_TOKEN_PATH":
        (tmp_path / "secret").write_text(f"{TOKEN}\n")
        monkeypatch.setenv(given_by, str(tmp_path / "secret"))
    else:
        monkeypatch.setenv(given_by, TOKEN)
    model = DiffusersKind().resolve("acme/tiny")
    DiffusersKind().load(model, device="cpu", threads=1).close()
    assert TOKEN not in repr(model)


def test_no_message_holds_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither ours nor anything that looks like one, and every message is one line."""
    monkeypatch.setenv("HF_TOKEN", "own-secret")
    assert hub_token() == "own-secret"
    assert without_token(f"GET x?token=own-secret\nBearer {TOKEN} failed") == "GET x?token=*** Bearer *** failed"


def test_loras_of_a_hub_are_pinned_too(hub: Hub) -> None:
    """A LoRA is named by repository and file, frozen to a commit; one that is no LoRA is refused."""
    lora = resolve_lora("acme/tiny/whole.safetensors", scale=0.5)
    assert lora.revision == f"hub:acme/tiny@{COMMIT}#whole.safetensors"
    with pytest.raises(ModelError, match="no such safetensors file"):
        resolve_lora("acme/tiny/nothing.safetensors")
    kind = DiffusersKind()
    model = kind.resolve("acme/tiny")
    renderer = kind.load(model, device="cpu", threads=1)
    with pytest.raises(BadRequestError, match="LoRA cannot be loaded"):
        renderer.denoise([request_of(model, loras=(lora,))], batch_size=1)
    renderer.close()
