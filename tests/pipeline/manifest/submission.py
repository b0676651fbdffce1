"""A manifest's way from bytes to rows, problems and requests files, as a submit goes it."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq
import pytest

from pipeline.errors import ManifestError, ModelError
from pipeline.manifest.formats import read_rows
from pipeline.manifest.problems import Problems
from pipeline.manifest.resolve import Defaults, Resolver
from pipeline.manifest.row import Row
from pipeline.manifest.spool import CountTokens, Spooled, spool
from pipeline.model import Model
from pipeline.request import Lora, Variant


def model(name: str = "shapes", **changes: Any) -> Model:
    """A model that takes sizes in steps of 8, at most 1024 x 1024."""
    values: dict[str, Any] = {
        "name": name,
        "renderer": "synthetic",
        "pixel_version": 1,
        "source": "/models/" + name,
        "revision": "sha256:" + name,
        "pipeline_class": "",
        "precision": "fp32",
        "unit": 8,
        "width": 64,
        "height": 64,
        "steps": 20,
        "guidance_scale": 3.0,
        "scheduler": "",
        "max_prompt_tokens": 77,
        "max_pixels": 1024 * 1024,
    }
    return Model(**(values | changes))


def lora(source: str, scale: float) -> Lora:
    """Every LoRA exists but one."""
    if source == "missing":
        raise ModelError('there is no LoRA "missing"')
    return Lora(revision="sha256:" + source, scale=scale, source=source)


def resolver(
    *,
    models: Sequence[Model] = (),
    defaults: Defaults | None = None,
    images_per_prompt: int = 1,
    problem: Callable[[Model, Variant], str | None] = lambda _model, _variant: None,
) -> Resolver:
    """A resolver for a job of the first of `models`."""
    chosen = models or (model(),)
    return Resolver(
        models={one.name: one for one in chosen},
        model=chosen[0].name,
        defaults=defaults or Defaults(),
        images_per_prompt=images_per_prompt,
        problem=problem,
        lora=lora,
    )


class Pipe(io.RawIOBase):
    """Bytes that come a few at a time and only forward, as through a pipe."""

    def __init__(self, body: bytes, size: int = 3) -> None:
        self._rest = body
        self._size = size

    def readable(self) -> bool:
        """Only that."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Give a few bytes."""
        size = min(self._size, len(buffer))
        block, self._rest = self._rest[:size], self._rest[size:]
        buffer[: len(block)] = block
        return len(block)


def read(body: bytes | BinaryIO, name: str = "prompts.jsonl", **options: Any) -> tuple[list[Row], Problems]:
    """All rows of a manifest, and its problems."""
    problems = Problems(name)
    stream = io.BytesIO(body) if isinstance(body, bytes) else body
    return list(read_rows(stream, name, problems, **options)), problems


def only_problem(body: bytes, name: str = "prompts.jsonl") -> str:
    """The one problem of a manifest that has one."""
    _, problems = read(body, name)
    assert problems.count == 1, problems.messages()
    return problems.messages()[0]


def spooled(
    body: bytes,
    folder: Path,
    name: str = "prompts.jsonl",
    *,
    by: Resolver | None = None,
    count_tokens: CountTokens | None = None,
) -> Spooled:
    """The requests files of a manifest."""
    problems = Problems(name)
    rows = read_rows(io.BytesIO(body), name, problems)
    return spool(rows, by or resolver(), folder, problems, count_tokens=count_tokens)


def refusal(body: bytes, folder: Path, name: str = "prompts.jsonl", *, by: Resolver | None = None) -> ManifestError:
    """The error of a manifest that has problems; nothing is left of it."""
    with pytest.raises(ManifestError) as caught:
        spooled(body, folder, name, by=by)
    assert list(folder.iterdir()) == []
    return caught.value


def table(result: Spooled) -> list[Mapping[str, Any]]:
    """All rows of the requests files."""
    return [row for file in result.files for row in pq.read_table(file).to_pylist()]
