"""Reads a Dockerfile and a .dockerignore as Docker does, as far as ours go."""

import fnmatch
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "infra" / "cluster" / "docker" / "Dockerfile"


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction."""

    word: str
    """`FROM`, `RUN`, ..."""
    rest: str
    """All that follows, on one line."""


def steps() -> list[Step]:
    """The instructions of the image, in order."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Step(*line.split(" ", 1)) for line in joined.splitlines()]


def stages() -> list[list[Step]]:
    """The same by stage; what stands before the first one is left out."""
    found: list[list[Step]] = []
    for step in steps():
        if step.word == "FROM":
            found.append([])
        if found:
            found[-1].append(step)
    return found


def sent() -> list[Path]:
    """The files of this checkout that Docker is sent, relative to its top."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    tops = [
        path for path in ROOT.iterdir() if path.name not in {".git", ".venv"} and not _ignored(Path(path.name), rules)
    ]
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file()]
    return sorted(path for path in (file.relative_to(ROOT) for file in files) if not _ignored(path, rules))


def _ignored(path: Path, rules: list[str]) -> bool:
    """The last rule that matches the path, or a folder that it lies in, decides."""
    ways = [path, *path.parents][:-1]
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        anywhere = "**/" in rule
        if any(fnmatch.fnmatch(way.name if anywhere else str(way), pattern) for way in ways):
            ignored = not rule.startswith("!")
    return ignored


def copy_sent(to: Path) -> None:
    """The build's context, as `COPY . DIR` would find it."""
    for path in sent():
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, to / path)
