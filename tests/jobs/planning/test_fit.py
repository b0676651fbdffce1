"""`spotrender fit`: from the catalogue at once, from a folder by a dry run, and clear refusals."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import run
from jobs.planning.catalogue import configs, read_catalogue
from jobs.planning.fit import fit
from jobs.planning.fit_table import fit_text
from jobs.planning.model_parts import catalogue_parts, folder_parts, weights
from jobs.planning.safetensors_header import count_numbers
from pipeline.errors import JobFileError, ModelError
from pipeline.renderers.diffusion.folder import FolderFiles

CATALOGUE = read_catalogue()
SHAPES = configs() / "models" / "shapes"


def test_table_says_what_takes_the_memory_and_fits_a_terminal() -> None:
    """Every part, every card, in 80 columns."""
    for model in ("sdxl", "flux-dev", "shapes"):
        text = fit_text(fit(model, catalogue=CATALOGUE))
        for word in ("text encoders", "denoiser", "decoding", "runtime", "peak", "RTX 4090", "B200"):
            assert word in text
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text


def test_too_small_gpu_is_refused_with_the_alternatives(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 where none of the cards that are named takes it; 0 where one does."""
    assert run(["fit", "flux-dev", "--gpu", "RTX 4090"]) == 2
    told = capsys.readouterr().out
    assert "fits with fp8 and offload" in " ".join(told.split())
    assert "another card: A100 40GB PCIe" in " ".join(told.split())
    assert run(["fit", "flux-dev", "--gpu", "24GB..80GB", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {card["gpu"]["name"] for card in answer["cards"] if card["fits"]} >= {"L40S", "H100"}
    assert run(["fit", "flux-dev", "--json"]) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "flux-dve"}, 'did you mean "flux-dev"'),
        ({"model": "acme/private"}, "a private or gated repository is not looked at: give the folder"),
        ({"model": "sdxl", "gpu": "RTX 4900"}, 'did you mean "RTX 4090"'),
        ({"model": "sdxl", "gpu": "1000GB..2000GB"}, "no card of the catalogue has"),
        ({"model": "sdxl", "size": "big"}, "size: must be such as 1024x768"),
        ({"model": "sdxl", "size": "1000x1001"}, "multiples of 8"),
        ({"model": "sdxl", "size": "0x0"}, "multiples of 8 from 64"),
        ({"model": "sdxl", "batch": 0}, "batch: must be a whole number from 1"),
        ({"model": "sdxl", "precision": "fp12"}, 'must be one of fp32, fp16, bf16, got "fp12"'),
        ({"model": "sdxl", "quantization": "int1"}, "must be one of none, int8, fp8, int4"),
        ({"model": "sdxl", "memory": "auto"}, "must be one of fit, tiling, text_offload, offload"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], said: str) -> None:
    """With what is right."""
    with pytest.raises(JobFileError, match=said):
        fit(**options, catalogue=CATALOGUE)  # type: ignore[arg-type]


def test_folder_is_weighed_by_its_headers_and_run_without_numbers(tmp_path: Path) -> None:
    """The demo model in a folder of the user's needs what the catalogue says of it."""
    folder = tmp_path / "mine"
    shutil.copytree(SHAPES, folder)
    mine = fit(str(folder), size="128x128", precision="fp32", catalogue=CATALOGUE)
    ours = fit("shapes", size="128x128", catalogue=CATALOGUE)
    assert mine.need == ours.need
    assert "weights from the files' headers" in mine.counted
    with pytest.raises(ModelError, match="must be multiples of 8"):
        folder_parts(folder, width=132, height=128)


def test_weights_of_the_demo_model_are_those_of_its_files() -> None:
    """Headers and counts agree, to the parameter."""
    found, parts = weights(FolderFiles(SHAPES)), catalogue_parts(CATALOGUE, "shapes")
    counted = CATALOGUE.components
    assert parts.denoiser.parameters == counted["unet-shapes"].parameters == found["unet"]
    assert parts.decoder.parameters == counted["vae-shapes"].parameters == found["vae"]
    assert parts.text_encoders[0].parameters == counted["clip-shapes"].parameters == found["text_encoder"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "its header is longer than the file"),
        (b"\xff" * 8, "its header is longer than the file"),
        (b"\x04" + b"\0" * 7 + b"nope", "its header is not JSON"),
        (b"\x02" + b"\0" * 7 + b"[]", "its header is no table"),
        (b"\x0e" + b"\0" * 7 + b'{"a":{"b":  1}}', "its header is not JSON"),
        (b"\x0f" + b"\0" * 7 + b'{"a":{"b":  1}}', "tensor a has no shape"),
        (b"\x16" + b"\0" * 7 + b'{"a":{"shape":[-1,2]}}', "tensor a has no shape"),
        (b"\xff\xff" + b"\0" * 6 + b"[" * 65535, "its header is not JSON"),
    ],
)
def test_file_that_is_no_safetensors_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    """Whatever a stranger put there."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"is no safetensors file: {problem}; fetch the model again"):
        count_numbers(path)


def test_place_that_holds_no_model_is_named(tmp_path: Path) -> None:
    """A folder without an index, a single file, a pipeline that we know only by its call."""
    with pytest.raises(ModelError, match=r"holds no model_index\.json"):
        fit(str(tmp_path), catalogue=CATALOGUE)
    single = tmp_path / "model.safetensors"
    single.write_bytes(b"")
    with pytest.raises(ModelError, match="is a single file, which does not say what it is made of"):
        fit(str(single), catalogue=CATALOGUE)
    folder = tmp_path / "odd"
    shutil.copytree(SHAPES, folder)
    index = json.loads((folder / "model_index.json").read_text()) | {"_class_name": "KolorsPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="a pipeline of class KolorsPipeline is known only by its call"):
        fit(str(folder), catalogue=CATALOGUE)


def test_catalogue_answers_without_torch() -> None:
    """From counts that ship."""
    code = "import sys; from jobs.cli import run; run(['fit', 'flux-dev']); print(sorted(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(told.splitlines()[-1].replace("'", "").strip("[]").split(", "))
    assert loaded & {"torch", "ray", "boto3", "diffusers", "transformers", "duckdb"} == set()
