"""r. Weights from the store onto a node's disk, beside `rclone copy`; and what the node's second worker waits."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from infra.model_cache.cache import ModelCache
from infra.model_cache.place import CachePlace
from jobs.pushing import push
from pipeline.layout import MODEL_BLOBS
from pipeline.pushed_models import read_weights
from pipeline.weights import Weights
from tests.benchmarks.figures import Figure, Scale, Section, spread
from tests.infra.servers import S3Server, rclone_server

ROUNDS = 3
PARTS = {"text_encoder/model": 12, "unet/diffusion_pytorch_model": 80, "vae/diffusion_pytorch_model": 8}
"""File -> percent of all weights, about as SD 1.5 has them."""

METHOD = """A diffusers folder of random weights, pushed into `rclone serve s3` over loopback, whose hashes of the
objects are asked for once beforehand (it reads an object whole before its first answer). *Ours*: the node's cache from
an empty folder to a model that can be loaded: parallel ranges, a sha256 of every part, one rename. *rclone copy*: the
same objects into an empty folder, with its defaults (four files at once, four streams of a large one, each file's MD5).
Both in turns, the disk synced before each. *Second worker*: the same call again, then every tensor read."""

_INDEX = """{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"],
 "text_encoder": ["transformers", "CLIPTextModel"], "vae": ["diffusers", "AutoencoderKL"]}"""


def run(folder: Path, scale: Scale) -> Section:
    """Ours and rclone in turns, beginning with another one each round."""
    size = scale.pick(2_000_000_000, 20_000_000)
    model = _model(folder / "model", size)
    ours, rclone, waited, read = list[float](), list[float](), list[float](), list[float]()
    with rclone_server(folder / "served") as server, pytest.MonkeyPatch.context() as environment:
        for name, value in server.environment().items():
            environment.setenv(name, value)
        store = server.store()
        weights = read_weights(store, push(store, str(model)).manifest)
        for file in weights.files:
            store.head(file.key)
        for number in scale.rounds_or(ROUNDS):
            cache, copied = folder / f"cache-{number}", folder / f"copied-{number}"

            def fetch(cache: Path = cache) -> None:
                ModelCache(CachePlace(folder=cache)).hold(weights, server.store())

            def copy(copied: Path = copied) -> None:
                _rclone_copy(server, copied)

            turns: list[tuple[Callable[[], None], list[float]]] = [(fetch, ours), (copy, rclone)]
            for action, rates in turns if number % 2 == 0 else reversed(turns):
                rates.append(weights.bytes / 1e6 / _seconds(action))
            waited.append(_seconds(fetch) * 1000)
            read.append(weights.bytes / 1e9 / _seconds(partial(_read, cache, weights)))
            shutil.rmtree(cache)
            shutil.rmtree(copied)
    figure = Figure(
        name=f"{weights.bytes / 1e9:.1f} GB of weights from S3 to the node",
        unit="MB/s",
        ours=tuple(ours),
        baseline=tuple(rclone),
        baseline_name="rclone copy",
        limit=0.7,
        at_least=True,
    )
    second = Figure(
        name="the second worker waits for the same weights", unit="ms", ours=tuple(waited), limit=100, at_least=False
    )
    notes = (f"GB/s at which the second worker then reads every tensor, from the page cache: {spread(read)}.",)
    return Section(key="r", title="Weights", method=METHOD, figures=(figure, second), notes=notes)


def _model(folder: Path, size: int) -> Path:
    """A diffusers folder of random weights."""
    dice = np.random.default_rng(0)
    for name, percent in PARTS.items():
        path = folder / f"{name}.safetensors"
        path.parent.mkdir(parents=True)
        (path.parent / "config.json").write_text("{}")
        tensors = max(1, size * percent // 100 // 20_000_000)
        each = size * percent // 100 // tensors // 2
        random = {f"t{n}": dice.integers(0, 2**16, each, dtype=np.uint16).view(np.float16) for n in range(tensors)}
        save_file(random, path)
    (folder / "model_index.json").write_text(_INDEX)
    return folder


def _rclone_copy(server: S3Server, to: Path) -> None:
    """What anybody would type."""
    program = Path(sys.executable).parent / "rclone"
    remote = (
        f":s3,provider=Rclone,endpoint='{server.endpoint_url}',access_key_id={server.access_key},"
        f"secret_access_key={server.secret_key}:{server.bucket}/{MODEL_BLOBS}"
    )
    subprocess.run([program, "copy", "--config", "", remote, to], check=True)


def _read(cache: Path, weights: Weights) -> None:
    """Read every tensor, as loading does."""
    for file in weights.files:
        if file.name.endswith(".safetensors"):
            for tensor in load_file(cache / weights.content / file.name).values():
                tensor.view(np.uint16).max()


def _seconds(action: Callable[[], object]) -> float:
    """How long it takes; what was written before is none of its business."""
    os.sync()
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
