"""Reproduce: a file's own request, rendered again; what hostile files say is refused."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.cli import run
from jobs.reproducing.reproduce import reproduce
from pipeline.assignment import Output
from pipeline.errors import ImageFileError, ModelError
from pipeline.imaging.encode import encode
from pipeline.imaging.metadata import Metadata
from pipeline.request import Request, Variant

VARIANT = Variant(
    model="synthetic:1",
    renderer="synthetic",
    pixel_version=1,
    precision="fp32",
    width=64,
    height=64,
    steps=2,
    guidance_scale=0.0,
    scheduler="",
)
REQUEST = Request(prompt="a cat", negative_prompt="", seed=3, variant=VARIANT)


def forged(folder: Path, request: Request, *, output: Output | None = None) -> Path:
    """A file that says that it was rendered from this request, with the right id, and shows noise."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    place = folder / "forged.png"
    place.write_bytes(encode(pixels, output or Output(), Metadata(request=request, image_id=request.image_id)))
    return place


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """The JSON document that a command prints."""
    assert run([*arguments, "--address", "in-process", "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_image_of_a_job_comes_out_again_bit_by_bit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The store tells the profile; a file that was painted over says the same and is found out."""
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "a cat", "seed": 3}\n{"prompt": "a dog", "seed": 4}\n')
    store = str(tmp_path / "out")
    told(capsys, "submit", str(tmp_path / "prompts.jsonl"), "--model", "synthetic", "--store", store)
    (one, *_) = sorted((tmp_path / "out" / "images").rglob("*.png"))
    found = told(capsys, "reproduce", str(one), "--store", store, "--output", str(tmp_path / "again.png"))
    assert (found["verdict"], found["same_profile"], found["reproduced"]) == ("identical", True, True)
    assert (tmp_path / "again.png").read_bytes() == one.read_bytes()

    with Image.open(one) as image:
        texts = dict(image.text)  # type: ignore[attr-defined]
        pixels = np.asarray(image.convert("RGB")).copy()
    pixels[:32] = 0
    painted = tmp_path / "painted.png"
    painted.write_bytes(_with_texts(pixels, texts))
    found = told(capsys, "reproduce", str(painted), "--store", store, code=3)
    assert (found["verdict"], found["reproduced"]) == ("different", False)


def _with_texts(pixels: np.ndarray[Any, Any], texts: dict[str, str]) -> bytes:
    """Pillow's PNG of these pixels with the same texts."""
    from PIL.PngImagePlugin import PngInfo

    info, sink = PngInfo(), io.BytesIO()
    for name, text in texts.items():
        info.add_itxt(name, text)
    Image.fromarray(pixels).save(sink, "PNG", pnginfo=info)
    return sink.getvalue()


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, prompt="  "),
        replace(REQUEST, prompt="a\x1bb"),
        replace(REQUEST, variant=replace(VARIANT, width=1 << 30, height=1 << 30)),
        replace(REQUEST, variant=replace(VARIANT, steps=10**9)),
        replace(REQUEST, variant=replace(VARIANT, guidance_scale=-1e9)),
        replace(REQUEST, variant=replace(VARIANT, renderer="os:system")),
    ],
    ids=["no prompt", "control character", "huge", "steps", "guidance", "renderer"],
)
def test_request_that_no_manifest_may_make_is_refused(tmp_path: Path, request_: Request) -> None:
    """Also when it hashes to its image id."""
    with pytest.raises(ImageFileError, match="makes no sense"):
        reproduce(forged(tmp_path, request_), address="in-process")


@pytest.mark.parametrize(
    ("variant", "problem"),
    [
        (replace(VARIANT, model="hub:evil/model@0123", renderer="diffusers"), "that you trust"),
        (replace(VARIANT, model="sha256:00"), "that you trust"),
        (replace(VARIANT, pixel_version=99), "pixel version 99"),
    ],
)
def test_nothing_is_loaded_from_where_only_the_file_says(tmp_path: Path, variant: Variant, problem: str) -> None:
    """A model has to be named, or known to a job of the store."""
    with pytest.raises(ModelError, match=problem):
        reproduce(forged(tmp_path, replace(REQUEST, variant=variant)), address="in-process")


def test_named_model_that_is_another_one_is_refused(tmp_path: Path) -> None:
    """It would make another picture."""
    path = forged(tmp_path, replace(REQUEST, variant=replace(VARIANT, model="sha256:00")))
    with pytest.raises(ModelError, match="but the image was rendered by"):
        reproduce(path, model="synthetic", address="in-process")


@pytest.mark.parametrize("body", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_file_that_says_nothing_is_refused(tmp_path: Path, body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2 and the file's name."""
    (tmp_path / "x.png").write_bytes(body)
    assert "x.png" in told(capsys, "reproduce", str(tmp_path / "x.png"), code=2)["error"]


def test_image_without_metadata_and_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    """With what may be the reason."""
    with pytest.raises(ImageFileError, match="metadata: none"):
        reproduce(forged(tmp_path, REQUEST, output=Output(metadata="none")), address="in-process")
    with pytest.raises(ImageFileError, match="is the path right"):
        reproduce(tmp_path / "gone.png", address="in-process")
