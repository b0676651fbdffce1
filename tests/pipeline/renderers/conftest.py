"""Tiny models, built once a run, and loaded renderers of them on one CPU thread."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.model import Model
from pipeline.ports import Renderer
from pipeline.renderers.table import renderer_kind
from tests.pipeline.renderers import tiny
from tests.pipeline.renderers.hub_server import Hub, serve

Load = Callable[..., tuple[Model, Renderer]]
"""`load(name, **options)`: a tiny model by name, resolved with options and loaded."""


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of the tiny models by name, each built when it is first asked for."""
    built: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in built:
            built[name] = tiny.FAMILIES[name](tmp_path_factory.mktemp(name) / "model")
        return built[name]

    return folder


@pytest.fixture(scope="session")
def shared(tiny_folder: Callable[[str], Path]) -> Iterator[Load]:
    """Tiny models loaded once a run, for tests that only draw with them."""
    opened: dict[str, tuple[Model, Renderer]] = {}

    def loaded(name: str) -> tuple[Model, Renderer]:
        if name not in opened:
            kind = renderer_kind("diffusers")
            model = kind.resolve(str(tiny_folder(name)))
            opened[name] = (model, kind.load(model, device="cpu", threads=1))
        return opened[name]

    yield loaded
    for _, renderer in opened.values():
        renderer.close()


@pytest.fixture
def load(tiny_folder: Callable[[str], Path]) -> Iterator[Load]:
    """Resolve and load tiny models; all are closed at the end."""
    opened: list[Renderer] = []

    def loaded(name: str, **options: object) -> tuple[Model, Renderer]:
        kind = renderer_kind("diffusers")
        model = kind.resolve(str(tiny_folder(name)), **options)
        opened.append(kind.load(model, device="cpu", threads=1))
        return model, opened[-1]

    yield loaded
    for renderer in opened:
        renderer.close()


@pytest.fixture
def hub(tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with the tiny SD model and files that no pipeline needs; an empty cache of our own."""
    folder = Path(shutil.copytree(tiny_folder("sd"), tmp_path / "sd"))
    (folder / "whole.safetensors").write_bytes(b"a single file that nobody asked for")
    (folder / "unet/diffusion_pytorch_model.fp16.safetensors").write_bytes(b"other weights")
    (folder / "unet/openvino_model.bin").write_bytes(b"other weights")
    for name in ("HF_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with serve(Hub({"acme/tiny": folder})) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running
