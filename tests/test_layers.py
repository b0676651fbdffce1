"""The dependency rule: jobs -> infra -> pipeline, never back, and every library in its own room."""

from pathlib import Path

import pytest

from tests.imports import ROOT, Import, cycles, imports, modules

SHIPPED = ("pipeline", "infra", "jobs", "configs")
"""The packages that the wheel holds."""

MAY_IMPORT = {
    "pipeline": {"pipeline"},
    "infra": {"infra", "pipeline"},
    "jobs": {"jobs", "infra", "pipeline", "configs"},
    "configs": {"configs"},
}
"""Package -> the packages of ours that it may import, lazily or not."""

BOTO = ("infra.stores", "infra.providers")
TORCH = ("pipeline.renderers", "configs.models.shapes_training", "jobs.doctor")
ROOMS = {
    "ray": ("infra.compute", "jobs.doctor"),
    "boto3": BOTO,
    "botocore": BOTO,
    "s3transfer": BOTO,
    "mypy_boto3_s3": BOTO,
    "torch": TORCH,
    "diffusers": TORCH,
    "transformers": TORCH,
    "peft": TORCH,
    "typer": ("jobs",),
    "apprise": ("infra.notifiers",),
    "altair": ("jobs.reporting.page",),
    "vl_convert": ("jobs.reporting.page",),
    "duckdb": ("pipeline.reports",),
}
"""Library -> where it may be imported; `jobs.doctor` looks at versions and devices, and only lazily."""

HEAVY = {"ray", "boto3", "botocore", "torch", "diffusers", "transformers", "peft"}
"""What no module of `jobs` may import before a command needs it."""

EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "manager"}
"""Words in a file's name that say nothing of what it holds."""


@pytest.fixture(scope="module")
def sources() -> dict[str, Path]:
    """Every shipped module."""
    return modules(*SHIPPED)


@pytest.fixture(scope="module")
def stated(sources: dict[str, Path]) -> list[Import]:
    """Every import of every shipped module."""
    return imports(sources)


def library(one: Import) -> str:
    """The top-level name of what is imported."""
    return one.target.partition(".")[0]


def stands_in(module: str, rooms: tuple[str, ...]) -> bool:
    """Whether the module is one of these, or inside one of these packages."""
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def test_packages_import_only_downwards(stated: list[Import]) -> None:
    """No package imports one above it, nor the tests, at any time."""
    ours = {*SHIPPED, "tests"}
    upwards = [one for one in stated if library(one) in ours - MAY_IMPORT[one.module.partition(".")[0]]]
    assert [str(one) for one in upwards] == []


def test_modules_import_each_other_in_no_ring(stated: list[Import], sources: dict[str, Path]) -> None:
    """Importing any module first works, as no modules wait for each other."""
    assert cycles(stated, known=sources) == []


@pytest.mark.parametrize("name", ROOMS)
def test_library_stays_in_its_room(name: str, stated: list[Import]) -> None:
    """A library is imported only by the adapters that hide it from everything else."""
    outside = [one for one in stated if library(one) == name and not stands_in(one.module, ROOMS[name])]
    assert [str(one) for one in outside] == []


def test_jobs_import_heavy_libraries_only_on_use(stated: list[Import]) -> None:
    """No module of `jobs` loads Ray, boto3 or torch by being imported."""
    early = [one for one in stated if stands_in(one.module, ("jobs",)) and one.at_import and library(one) in HEAVY]
    assert [str(one) for one in early] == []


def test_file_names_say_what_files_hold() -> None:
    """No module or package is called utils, helpers, common, misc or manager."""
    vague = [
        str(path.relative_to(ROOT))
        for name, path in modules(*SHIPPED, "tests").items()
        if EMPTY_NAMES & set(name.rpartition(".")[2].split("_"))
    ]
    assert vague == []
