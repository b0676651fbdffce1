"""Runs terraform on a copy of infra/cluster/terraform, against a server on loopback instead of AWS."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.imports import ROOT

MIRROR = "SPOTRENDER_TERRAFORM_MIRROR"
"""Environment variable: the folder that holds `registry.terraform.io/`, with the provider in it."""

_PLACES = ("/opt/*", "/usr/local/share/terraform", "/usr/local/share/terraform/*", "~/.terraform.d", "~/.terraform.d/*")
_SERVICES = ("budgets", "ec2", "iam", "s3", "sts")
_SECONDS = 400.0
"""A run takes half a minute, the bucket's lifecycle rules a whole one; a loaded machine several times that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One run of terraform."""

    code: int
    output: str
    """Of both streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terraform:
    """A copy of the configuration, initialised."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str) -> Ended:
        """`terraform ...`, without questions."""
        verb, *rest = arguments
        done = subprocess.run(
            ["terraform", verb, "-no-color", *rest],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return Ended(code=done.returncode, output=done.stdout)

    def must(self, *arguments: str) -> str:
        """The output of a run that has to succeed."""
        ended = self.run(*arguments)
        assert ended.code == 0, f"terraform {arguments[0]}: {ended.output}"
        return ended.output

    def planned(self, file: str) -> dict[str, Any]:
        """Address -> values, of all that a plan would make."""
        plan = json.loads(self.must("show", "-json", file))
        changes = [one for one in plan["resource_changes"] if one["change"]["actions"] == ["create"]]
        return {one["address"]: one["change"]["after"] for one in changes}


def initialised(folder: Path, *, endpoint_url: str, variables: Mapping[str, Any]) -> Terraform:
    """The configuration, copied to an empty folder and pointed at a server."""
    for file in (ROOT / "infra/cluster/terraform").iterdir():
        if file.is_file() and file.suffix in {".tf", ".json"}:
            shutil.copy(file, folder)
    override = {
        "provider": {
            "aws": {
                "region": "${var.region}",
                "access_key": "testing",
                "secret_key": "testing",
                "skip_credentials_validation": True,
                "skip_metadata_api_check": True,
                "s3_use_path_style": True,
                "endpoints": dict.fromkeys(_SERVICES, endpoint_url),
            }
        }
    }
    (folder / "server_override.tf.json").write_text(json.dumps(override))
    (folder / "terraform.tfvars.json").write_text(json.dumps(variables))
    (folder / "cli.tfrc").write_text(_settings())
    proxies = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")
    made = Terraform(
        folder=folder,
        environment={"TF_CLI_CONFIG_FILE": str(folder / "cli.tfrc"), "TF_IN_AUTOMATION": "1", **proxies},
    )
    made.must("init", "-input=false")
    return made


def _settings() -> str:
    """Where the provider comes from: a mirror on this machine if there is one, else terraform's registry."""
    mirror = _mirror()
    if mirror is None:
        return "disable_checkpoint = true\n"
    path = json.dumps(str(mirror))
    return f"disable_checkpoint = true\nprovider_installation {{\n  filesystem_mirror {{\n    path = {path}\n  }}\n}}\n"


def _mirror() -> Path | None:
    """The folder that holds `registry.terraform.io/`."""
    if named := os.environ.get(MIRROR):
        return Path(named)
    for place in _PLACES:
        path = Path(place).expanduser()
        for found in sorted(Path(path.anchor).glob(str((path / "registry.terraform.io").relative_to(path.anchor)))):
            return found.parent
    return None
