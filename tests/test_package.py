"""What is installed: a light command, a wheel with its data, and dependencies that are what the code imports."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pipeline
from tests.imports import ROOT, imports, modules

HELP = """
import sys
from jobs.console import main

sys.argv = ["spotrender", "--help"]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
"""Prints the help on stdout, then on stderr the names of all libraries that this loaded."""

LOADED_BY_OTHERS = {"accelerate"}
"""Dependencies that no module of ours imports: diffusers does, to load weights shard by shard."""

BROUGHT_BY_OTHERS = {"botocore", "s3transfer", "urllib3", "pydantic-core", "mypy-boto3-s3", "werkzeug"}
"""Parts of boto3, of pydantic and of moto's server, which declare them; and boto3's stubs, which mypy alone reads."""


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The `[project]` table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--quiet", "--wheel-dir", folder, ROOT], check=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel puts into site-packages."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def shipped_data() -> set[str]:
    """Every file in the shipped packages that is neither Python nor hidden nor a cache."""
    files = (path for package in ("pipeline", "infra", "jobs", "configs") for path in (ROOT / package).rglob("*"))
    data = (path.relative_to(ROOT) for path in files if path.is_file() and path.suffix not in {".py", ".pyc"})
    return {str(path) for path in data if not any(part.startswith((".", "__pycache__")) for part in path.parts)}


def test_help_loads_neither_torch_nor_ray_nor_boto3() -> None:
    """`spotrender --help` answers at once, because nothing heavy is loaded for it."""
    shown = subprocess.run([sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"torch", "ray", "boto3", "botocore", "diffusers", "transformers", "peft", "accelerate"}
    assert "usage" in shown.stdout.lower()
    assert heavy & set(shown.stderr.split()) == set()


def test_wheel_holds_every_data_file(wheel: Path) -> None:
    """Weights, profiles, manifests and cluster files are found where the package is installed."""
    assert shipped_data() - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    """The wheel's Python files are the four packages; tests and build files stay behind."""
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    shipped = modules("pipeline", "infra", "jobs", "configs").values()
    assert held == {str(path.relative_to(ROOT)) for path in shipped}


def test_wheel_tells_the_version_and_the_command(unpacked: Path) -> None:
    """The version stands once, in the code, and the wheel repeats it; the command is `spotrender`."""
    (about,) = unpacked.glob("spotrender-*.dist-info")
    assert about.name == f"spotrender-{pipeline.__version__}.dist-info"
    assert "spotrender = jobs.console:main" in (about / "entry_points.txt").read_text(encoding="utf-8")


def test_data_is_read_through_importlib_resources_in_a_foreign_folder(unpacked: Path, tmp_path: Path) -> None:
    """An installed copy finds its own data whatever folder one stands in."""
    code = "from importlib.resources import files; print(files('configs'))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == unpacked / "configs"


def test_demo_runs_from_the_wheel_in_a_foreign_folder(unpacked: Path, tmp_path: Path) -> None:
    """With nothing but the wheel's files, the demo model renders on a Ray of our own, in a folder of the user's."""
    rows = (ROOT / "configs/manifests/shapes.jsonl").read_text().splitlines()[:3]
    (tmp_path / "prompts.jsonl").write_text("\n".join(rows))
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    command = [sys.executable, "-P", "-m", "jobs.console"]
    submit = [*command, "submit", "prompts.jsonl", "--model", "shapes", "--store", "out", "--json"]
    done = subprocess.run(submit, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["state"], result["rendered"], result["failed"]) == ("SUCCEEDED", 3, 0)
    job = json.loads((tmp_path / "out/jobs" / result["job"] / "job.json").read_text())
    assert Path(job["models"][0]["source"]).is_relative_to(unpacked), "the model came from elsewhere"
    assert len(list((tmp_path / "out/images").rglob("*.png"))) == 3


def distributions_of(*packages: str) -> set[str]:
    """The distributions whose modules these packages import, apart from what others declare."""
    known = packages_distributions()
    imported = {one.target.partition(".")[0] for one in imports(modules(*packages))}
    found: set[str] = {canonicalize_name(name) for library in imported for name in known.get(library, [])}
    return found - {"spotrender", *BROUGHT_BY_OTHERS}


def names(requirements: list[str]) -> set[str]:
    """The distributions that requirements name."""
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def test_every_import_is_a_declared_dependency_and_each_one_is_used(project: dict[str, Any]) -> None:
    """Whoever installs the wheel has every library that its modules import, and none for nothing."""
    declared, used = names(project["dependencies"]), distributions_of("pipeline", "infra", "jobs", "configs")
    optional = names(project["optional-dependencies"]["quantization"] + project["optional-dependencies"]["notify"])
    assert used - declared == optional
    assert declared - used == LOADED_BY_OTHERS


def test_every_import_of_the_tests_is_declared(project: dict[str, Any]) -> None:
    """`pip install -e .[dev]` is all that the tests need."""
    declared = names([*project["dependencies"], *project["optional-dependencies"]["dev"]])
    assert distributions_of("tests") - declared == set()


def test_tested_versions_are_within_the_declared_ranges(project: dict[str, Any]) -> None:
    """constraints.txt pins every declared dependency, to a version that its range admits."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    tested = {canonicalize_name(name): version for name, version in pinned.items()}
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        requirement = Requirement(line)
        assert tested[canonicalize_name(requirement.name)] in requirement.specifier, line
