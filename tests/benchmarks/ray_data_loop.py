"""The baseline of benchmark a: what a user of Ray Data would write, with our stand-in device and our encoder."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.ports import Picture
from tests.benchmarks.synthetic_requests import BATCH, made_file, prompts, request, stand_in

_OBJECT_STORE_BYTES = 2 << 30


class Device:
    """The actor that holds the device: prompts in, pixels out."""

    def __init__(self, side: int, seconds_per_batch: float, folder: str) -> None:
        self._renderer = stand_in(side=side, seconds_per_batch=seconds_per_batch)
        self._side = side
        self._begun = Path(folder) / "begun"

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Denoise and decode one batch."""
        if not self._begun.exists():
            self._begun.write_text(str(time.time_ns()), encoding="ascii")
        requests = [request(str(prompt), side=self._side) for prompt in batch["prompt"]]
        pictures = self._renderer.decode(self._renderer.denoise(requests, batch_size=BATCH))
        return {"prompt": batch["prompt"], "pixels": np.stack([picture.pixels for picture in pictures])}


def write_files(batch: dict[str, Any], folder: str, side: int) -> dict[str, Any]:
    """Encode every picture of a batch and write it as a file."""
    for prompt, pixels in zip(batch["prompt"], batch["pixels"], strict=True):
        key, body = made_file(request(str(prompt), side=side), Picture(pixels=pixels))
        path = Path(folder) / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return {"written_ns": np.full(len(batch["prompt"]), time.time_ns())}


def ray_data_loop(images: int, side: int, seconds_per_batch: float, folder: str) -> dict[str, Any]:
    """Render through Ray Data; the device's actor asks for no core, so that encoding has them all."""
    import logging

    import ray
    import ray.data

    Path(folder).mkdir(parents=True)
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=_OBJECT_STORE_BYTES,
    )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    rows = [{"prompt": prompt} for prompt in prompts(images)]
    data: ray.data.Dataset = ray.data.from_items(rows, override_num_blocks=images // BATCH)
    data = data.map_batches(
        Device,
        fn_constructor_args=(side, seconds_per_batch, folder),
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=1),
        num_cpus=0,
    )
    writing: Any = write_files
    data = data.map_batches(writing, fn_kwargs={"folder": folder, "side": side}, batch_size=BATCH)
    last_ns = max(int(batch["written_ns"].max()) for batch in data.iter_batches(batch_size=None))
    begun_ns = int((Path(folder) / "begun").read_text(encoding="ascii"))
    ray.shutdown()
    return {"images_per_second": images / ((last_ns - begun_ns) / 1e9)}
