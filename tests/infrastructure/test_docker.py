"""The image: what it is made of, and its steps tried without Docker.

No Docker engine is needed. The steps that install the wheel run in a fresh environment; what apt, useradd and uv do,
and that the base images are there, is not tried.
"""

import os
import re
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infrastructure.dockerfile import DOCKERFILE, copy_sent, sent, stages, steps


def test_linter_finds_nothing() -> None:
    """hadolint, with ShellCheck over what is run."""
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_bases_are_pinned_and_nobody_is_root() -> None:
    """Every image has a version, the last stage ends as a user, and no step pipes a download into a shell."""
    for image in (step.rest.split()[0] for step in steps() if step.word == "FROM"):
        assert image == "${BASE}" or image.rpartition(":")[2][0].isdigit()
    (base,) = [step.rest for step in steps() if step.word == "ARG" and step.rest.startswith("BASE=")]
    assert base.startswith("BASE=nvidia/cuda:")
    assert base.rpartition(":")[2][0].isdigit()
    words = [step.word for step in stages()[-1]]
    (user,) = [step.rest for step in stages()[-1] if step.word == "USER"]
    assert user == "1000:1000"
    assert "COPY" not in words[words.index("USER") :]
    assert not any("curl" in step.rest or "| sh" in step.rest or step.word == "ADD" for step in steps())
    assert not any("TOKEN" in step.rest or "SECRET" in step.rest for step in steps())


def test_context_is_the_package_alone() -> None:
    """What Docker is sent: code and its data; no other weights than the demo model's, no store, no key, no test."""
    found = sent()
    assert {path.parts[0] for path in found} == {
        "LICENSE",
        "README.md",
        "configs",
        "constraints.txt",
        "infra",
        "jobs",
        "pipeline",
        "pyproject.toml",
    }
    weights = [path for path in found if path.suffix in {".safetensors", ".ckpt", ".bin", ".pt"}]
    assert {path.parents[1] for path in weights} == {Path("configs/models/shapes")}
    assert not any("__pycache__" in path.parts for path in found)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that stands for the build's root: the context in /src, and a uv that gives this Python."""
    root = tmp_path_factory.mktemp("image")
    copy_sent(root / "src")
    (root / "bin").mkdir()
    uv = root / "bin" / "uv"
    uv.write_text(f'#!/bin/sh\n[ "$2" = find ] && echo {sys.executable}\nexit 0\n')
    uv.chmod(0o755)
    return root


def test_steps_make_an_environment_whose_command_runs(machine: Path) -> None:
    """The RUN steps of the build stage, as written but for their root; then the last stage's own check.

    torch and the other libraries are those of this environment, which has what constraints.txt says, so that nothing of
    their size is downloaded: pip finds them there and installs the wheel alone.
    """
    build, last = stages()[-2:]
    environment = {**os.environ, "PATH": f"{machine}/bin:{os.environ['PATH']}", "PYTHON": "3.11", "TORCH_INDEX": "none"}
    for said in (step.rest for step in build if step.word == "ENV"):
        for pair in said.split():
            name, _, value = pair.partition("=")
            environment[name] = value.replace("/src/", f"{machine}/src/")
    environment.pop("PYTHONPATH", None)
    for step in (step.rest for step in build if step.word == "RUN"):
        _run(step, machine, environment)
        if " -m venv " in step:
            (packages,) = (machine / "opt" / "spotrender" / "lib").glob("python3*/site-packages")
            (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    environment["PATH"] = f"{machine}/opt/spotrender/bin:{environment['PATH']}"
    shutil.rmtree(machine / "src")
    check = [step.rest for step in last if step.word == "RUN"][-1]
    assert "spotrender --help" in check
    _run(check.partition(" && ")[0], machine, environment)
    where = "import jobs, os; print(os.path.dirname(jobs.__file__))"
    found = _run(f"{machine}/opt/spotrender/bin/python -P -c '{where}'", machine, environment)
    assert Path(found.strip()).is_relative_to(machine / "opt" / "spotrender")
    assert "infra/cluster/docker/Dockerfile" in {str(path) for path in sent()}


def _run(command: str, root: Path, environment: dict[str, str]) -> str:
    """One step in a shell, as Docker runs it; its output."""
    command = re.sub(r"(?<![\w./])/(opt|src|wheels)\b", rf"{root}/\1", command)
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout
