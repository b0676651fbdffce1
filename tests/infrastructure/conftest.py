"""What cluster files are tried on: servers on loopback, and terraform and kubectl where they are installed."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import pytest

from tests.infra.servers import moto_server
from tests.infrastructure.applied import Applied
from tests.infrastructure.terraform import initialised


def _kubectl() -> bool:
    """Whether there is one that knows components: 1.21 brought them; Debian's package may be older."""
    if not shutil.which("kubectl"):
        return False
    asked = ["kubectl", "version", "--client", "--output", "json"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    try:
        version = json.loads(done.stdout)["clientVersion"]
        return (int(version["major"]), int(version["minor"].rstrip("+"))) >= (1, 21)
    except (ValueError, KeyError):
        return False


def _namespaces() -> bool:
    """Whether this user may make network namespaces, as root may."""
    name = f"spotrender-{os.getpid()}"
    if (
        not shutil.which("ip")
        or subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode
    ):
        return False
    return not subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False).returncode


PROGRAMS: Final[Mapping[str, Callable[[], bool]]] = MappingProxyType(
    {"terraform": lambda: bool(shutil.which("terraform")), "kubectl": _kubectl, "namespaces": _namespaces}
)
"""Marker of tests that need the program of that name -> whether it is here."""

_LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a program that is not here: deselected, never skipped, and said at the end."""
    config.stash[_LEFT_OUT] = {}
    for program, is_here in PROGRAMS.items():
        needing = [item for item in items if item.get_closest_marker(program)]
        if needing and not is_here():
            config.stash[_LEFT_OUT][program] = len(needing)
            config.hook.pytest_deselected(items=needing)
            items[:] = [item for item in items if item not in needing]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out, on lines that `.ci/run` repeats in its summary."""
    for program, count in config.stash.get(_LEFT_OUT, {}).items():
        terminalreporter.write_line(
            f"NOT TESTED: {program} is not installed (or too old), so {count} tests of infra/cluster did not run",
            red=True,
            bold=True,
        )


@pytest.fixture(scope="session")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applied]:
    """Terraform's whole way against moto: validate, plan, apply."""
    with moto_server() as server:
        variables = {"bucket": "acme-spotrender", "prefix": "renders", "ssh_cidrs": ["203.0.113.7/32"]}
        terraform = initialised(
            tmp_path_factory.mktemp("terraform"), endpoint_url=server.endpoint_url, variables=variables
        )
        terraform.must("validate")
        budget = ("-var=monthly_budget_usd=400", '-var=budget_emails=["ops@example.com"]')
        terraform.must("plan", "-input=false", "-out=budget.plan", *budget)
        terraform.must("plan", "-input=false", "-out=first.plan")
        planned, with_budget = terraform.planned("first.plan"), terraform.planned("budget.plan")
        terraform.must("apply", "-input=false", "first.plan")
        outputs = json.loads(terraform.must("output", "-json"))
        yield Applied(
            terraform=terraform,
            endpoint_url=server.endpoint_url,
            planned=planned,
            budget=with_budget,
            outputs={name: output["value"] for name, output in outputs.items()},
        )
