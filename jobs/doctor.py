"""Can this machine, or this cluster, run a job? One line for each thing that a job needs, with the remedy."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from jobs.terminal_text import size
from pipeline.errors import SpotrenderError

Level = Literal["ok", "warn", "fail"]

ENOUGH_BYTES = 10 * 1024**3
"""Free disk below this is worth a word."""

LEAST_BYTES = 1024**3
"""Free disk below this is no good."""

TORCH_SECONDS = 180.0
"""A first import from a cold disk may take this long."""

_TORCH = """
import json, torch
devices = [
    {"name": torch.cuda.get_device_name(n), "bytes": torch.cuda.get_device_properties(n).total_memory}
    for n in range(torch.cuda.device_count())
] if torch.cuda.is_available() else []
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "devices": devices}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    level: Level
    message: str
    """What was found; never a secret."""
    remedy: str = ""
    """What to do about it, unless it is ok."""


def examine(*, store_uri: str | None, address: str | None, environ: Mapping[str, str]) -> list[Check]:
    """Look at everything; nothing stops the next check."""
    checks = [
        _guarded("python", python_check),
        _guarded("torch", torch_check),
        _guarded("ray", lambda: package_check("ray")),
        _guarded("diffusers", lambda: package_check("diffusers")),
        _guarded("transformers", lambda: package_check("transformers")),
        _guarded("hub token", lambda: token_check(environ)),
        _guarded("disk", lambda: disk_check("disk", Path(environ.get("TMPDIR") or "/tmp"))),  # noqa: S108  # only read
    ]
    if store_uri:
        checks += store_checks(store_uri, environ)
    else:
        checks.append(
            Check(name="store", level="warn", message="none given", remedy="say --store URI to have it looked at")
        )
    if address:
        checks += _many("cluster", lambda: cluster_checks(address))
    return checks


def python_check() -> Check:
    """Is this Python new enough?"""
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    return Check(
        name="python",
        level="ok" if good else "fail",
        message=version,
        remedy="" if good else "install Python 3.11 or newer",
    )


def torch_check() -> Check:
    """Does torch load, and which devices does it see? Asked in another process, which may crash."""
    asked = subprocess.run(
        [sys.executable, "-c", _TORCH], capture_output=True, text=True, timeout=TORCH_SECONDS, check=False
    )
    if asked.returncode:
        why = (asked.stderr.strip().splitlines() or [f"ended with {asked.returncode}"])[-1]
        return Check(
            name="torch",
            level="fail",
            message=f"does not load: {why}",
            remedy="reinstall: pip install --force-reinstall torch",
        )
    return torch_answer(json.loads(asked.stdout.strip().splitlines()[-1]))


def torch_answer(facts: Mapping[str, Any]) -> Check:
    """What torch's facts mean for a job."""
    devices = facts["devices"]
    if devices:
        names = ", ".join(f"{device['name']} ({size(device['bytes'])})" for device in devices)
        return Check(name="torch", level="ok", message=f"{facts['version']}, CUDA {facts['cuda']}: {names}")
    if Path("/proc/driver/nvidia/gpus").is_dir() and any(Path("/proc/driver/nvidia/gpus").iterdir()):
        return Check(
            name="torch",
            level="fail",
            message=f"{facts['version']} sees no GPU, but this machine has one",
            remedy="install a torch built for CUDA, and look at CUDA_VISIBLE_DEVICES",
        )
    return Check(
        name="torch",
        level="warn",
        message=f"{facts['version']}, CPU only",
        remedy="fine for the demo model; for others use --address of a cluster with GPUs",
    )


def package_check(name: str) -> Check:
    """Is a library installed?"""
    try:
        return Check(name=name, level="ok", message=metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(name=name, level="fail", message="is not installed", remedy=f"pip install {name}")


def token_check(environ: Mapping[str, str]) -> Check:
    """Is there a token for gated models? It is never shown."""
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if environ.get(variable):
            return Check(name="hub token", level="ok", message=f"from {variable}")
    home = Path(environ.get("HF_HOME") or Path(environ.get("HOME") or "~").expanduser() / ".cache/huggingface")
    if (home / "token").is_file():
        return Check(name="hub token", level="ok", message=f"from {home / 'token'}")
    return Check(
        name="hub token", level="warn", message="none", remedy="gated models need one: set HF_TOKEN; others do not"
    )


def disk_check(name: str, folder: Path) -> Check:
    """Is there room below this folder, or below the nearest one that exists?"""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    level: Level = "ok" if free >= ENOUGH_BYTES else "warn" if free >= LEAST_BYTES else "fail"
    remedy = "" if level == "ok" else "make room: models take gigabytes, images megabytes each"
    return Check(name=name, level=level, message=f"{size(free)} free at {folder}", remedy=remedy)


def store_checks(uri: str, environ: Mapping[str, str]) -> list[Check]:
    """Is the store there, can it be written, does it honour create-only puts, and are there credentials for it?"""
    checks = [_guarded("store", lambda: store_check(uri))]
    if uri.startswith("s3://"):
        checks.append(credentials_check(environ))
    elif "://" not in uri and not uri.startswith("memory:"):
        checks.append(_guarded("store disk", lambda: disk_check("store disk", Path(uri).expanduser().absolute())))
    return checks


def store_check(uri: str) -> Check:
    """Write, read and remove a probe."""
    from jobs.wiring import open_store
    from pipeline.probe import probe_create_only

    store = open_store(uri)
    if probe_create_only(store):
        return Check(name="store", level="ok", message=f"{store.uri} can be written and honours create-only puts")
    return Check(
        name="store",
        level="warn",
        message=f"{store.uri} can be written, but ignores create-only puts",
        remedy="images are safe all the same; never run two drivers of one job at once",
    )


def credentials_check(environ: Mapping[str, str]) -> Check:
    """Where would AWS credentials come from? They are never shown."""
    home = Path(environ.get("HOME") or "~").expanduser()
    places = {
        "AWS_ACCESS_KEY_ID": "the environment",
        "AWS_PROFILE": "the profile in AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "a web identity",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "the container",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "the container",
    }
    found = next((text for variable, text in places.items() if environ.get(variable)), "")
    file = Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws/credentials")
    if not found and file.is_file():
        found = str(file)
    if found:
        return Check(name="credentials", level="ok", message=f"for S3, from {found}")
    return Check(
        name="credentials",
        level="warn",
        message="none in the environment or in ~/.aws",
        remedy="on EC2 the instance's role is used; elsewhere set AWS_PROFILE or run aws configure",
    )


def cluster_checks(address: str) -> list[Check]:
    """Which nodes does the cluster have, and do they run the same Python, Ray and libraries as this process?"""
    from infra.compute.cluster_facts import cluster_facts

    facts = cluster_facts(address)
    gpus = sum(node.gpus for node in facts.nodes)
    found = f"{address}: {len(facts.nodes)} nodes, {gpus:g} GPUs, {sum(node.cpus for node in facts.nodes):g} CPUs"
    checks = [Check(name="cluster", level="ok", message=found)]
    if not gpus:
        remedy = "fine when its autoscaler adds GPU nodes, or for the demo model; else add GPU nodes"
        checks = [Check(name="cluster", level="warn", message=found, remedy=remedy)]
    for line in facts.skew():
        what, _, remedy = line.partition("; ")
        checks.append(Check(name="versions", level="fail", message=what, remedy=remedy or "install the same versions"))
    return checks


def worst(checks: list[Check]) -> Level:
    """The worst level of all."""
    levels = {check.level for check in checks}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"


def to_json(checks: list[Check]) -> dict[str, Any]:
    """The checks as plain JSON values."""
    return {"result": worst(checks), "checks": [asdict(check) for check in checks]}


def to_text(checks: list[Check]) -> str:
    """A line for each check, its remedy below it."""
    lines = []
    for check in checks:
        lines.append(f"{check.level:<5} {check.name + ':':<13} {check.message}")
        if check.remedy:
            lines.append(f"{'':<19} {check.remedy}")
    return "\n".join(lines)


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    """The check, or what kept it from being made."""
    return _many(name, lambda: [look()])[0]


def _many(name: str, look: Callable[[], list[Check]]) -> list[Check]:
    """The checks, or one that says what kept them from being made."""
    try:
        return look()
    except SpotrenderError as error:
        return [Check(name=name, level="fail", message=str(error), remedy="mend what the message names")]
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return [Check(name=name, level="fail", message=f"{type(error).__name__}: {error}", remedy="see the message")]
