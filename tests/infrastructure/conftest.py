"""What cluster files are tried on: servers on loopback, and terraform and kubectl where they are installed."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import pytest


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


PROGRAMS: Final[Mapping[str, Callable[[], bool]]] = MappingProxyType(
    {"terraform": lambda: bool(shutil.which("terraform")), "kubectl": _kubectl}
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
