"""Ray's cluster file for EC2: the template in `infra/cluster/aws`, every value escaped for YAML and for the shell."""

import platform
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from jobs.cluster.aws_options import AwsOptions
from jobs.cluster.rendering_mark import MARK
from pipeline.errors import JobFileError

CACHE = "/mnt/spotrender"
"""Where nodes keep weights."""

HEALTH: Mapping[str, str] = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
"""Read by the head: a node that does not answer is dead after some seconds, not after a quarter of a minute or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroup:
    """One entry of `available_node_types`."""

    name: str
    type: str
    max: int
    spot: bool
    priority: int | None
    """None: the head."""
    resources: Mapping[str, int]
    labels: Mapping[str, str]
    image: str
    """AMI."""
    profile: str
    """Instance profile."""
    disk_gib: int

    @property
    def worker(self) -> bool:
        """Whether it is not the head."""
        return self.priority is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFile:
    """What the file says."""

    name: str
    region: str
    zones: tuple[str, ...]
    max_workers: int
    most_usd_per_hour: Decimal
    head_usd_per_hour: Decimal
    groups: tuple[NodeGroup, ...]
    """The head first."""
    options: AwsOptions


def cluster_file(file: ClusterFile) -> str:
    """The file's text.

    Raises:
        JobFileError: nothing here says which versions the nodes need.
    """
    environment = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701
    environment.filters["y"] = as_yaml
    environment.filters["block"] = as_block
    options, exports = file.options, {"AWS_DEFAULT_REGION": file.region, "HF_HOME": f"{CACHE}/huggingface"}
    token = f"/home/{'spotrender' if options.image else 'ubuntu'}/.ray/auth_token"
    exports |= {"SPOTRENDER_MODEL_CACHE": f"{CACHE}/models", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": token}
    head = {**exports, **HEALTH, "SPOTRENDER_HEAD_USD_PER_HOUR": f"{file.head_usd_per_hour:f}"}
    return environment.from_string(_script("cluster.yaml.jinja")).render(
        **options.model_dump()
        | {
            "mark": MARK,
            "name": file.name,
            "region": file.region,
            "zones": file.zones,
            "max_workers": file.max_workers,
            "most_usd_per_hour": f"{file.most_usd_per_hour:.4f}",
            "nodes": file.groups,
            "group_name": options.security_group_name,
            "ssm_command": _SESSION,
            "token": token,
            "mount_cache": _script("mount-cache.sh"),
            "setup": [] if options.image else [_install()],
            "stop": f"{_PATH}ray stop",
            "head_start": f"{_PATH}{_exports(head)}ulimit -n 65536; {_HEAD}",
            "worker_start": f"{_PATH}{_exports(exports)}ulimit -n 65536; {_WORKER}",
        }
    )


_PATH = 'export PATH="/opt/spotrender/bin:$HOME/.spotrender/bin:$PATH"; '
"""Where our image, or our script, has put Ray: a login shell, as Ray opens it, forgets what the image said."""

_SESSION = "aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p"
_HEAD = (
    "ray start --head --port=6379 --object-manager-port=8076 --dashboard-host=127.0.0.1 "
    "--autoscaling-config=~/ray_bootstrap_config.yaml"
)
_WORKER = "ray start --address=$RAY_HEAD_IP:6379 --object-manager-port=8076"


def as_yaml(value: Any) -> str:
    """Any plain value on one line; text is always quoted, with escapes for all that is no ASCII."""
    plain = list(value) if isinstance(value, tuple) else value
    flow = yaml.safe_dump(
        plain, default_flow_style=True, default_style='"' if isinstance(value, str) else None, width=10**9
    )
    return flow.removesuffix("\n...\n").strip()


def as_block(text: str, indent: int) -> str:
    """Lines of a script as a block, which is read as it stands; anything but plain ASCII is quoted instead."""
    lines = text.strip().splitlines()
    if not all(re.fullmatch(r"[ -~]*", line) for line in lines):
        return as_yaml(text)
    return "|-\n" + "\n".join(f"{' ' * indent}{line}" for line in lines)


def _script(name: str) -> str:
    return (Path(str(files("infra"))) / "cluster" / "aws" / name).read_text(encoding="utf-8")


def _exports(values: Mapping[str, str]) -> str:
    return "".join(f"export {key}={shlex.quote(value)}; " for key, value in values.items())


def _install() -> str:
    """The script that installs on a node what is installed here."""
    python = ".".join(platform.python_version_tuple()[:2])
    named = {"SPOTRENDER_PYTHON": python, "SPOTRENDER_REQUIREMENTS": " ".join(_requirements())}
    return (
        "\n".join(f"export {key}={shlex.quote(value)}" for key, value in named.items()) + "\n" + _script("install.sh")
    )


def _requirements() -> list[str]:
    """Each dependency of Spotrender at its version here; `+cpu` and the like are left to the node.

    Raises:
        JobFileError: Spotrender is not installed here, or one of them is not.
    """
    try:
        lines = [line for line in requires("spotrender") or () if "extra ==" not in line]
        named = [(name := re.split(r"[<>=!~;\s]", line)[0], version(re.split(r"\[", name)[0])) for line in lines]
    except PackageNotFoundError as error:
        raise JobFileError(
            f"{error.name} is not installed here, so no version of it is known; give --with image=..."
        ) from error
    return sorted(f"{name}=={found.partition('+')[0]}" for name, found in named)
