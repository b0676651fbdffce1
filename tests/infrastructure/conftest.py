"""What cluster files are tried on: servers on loopback, and terraform where it is installed."""

import shutil

import pytest

TERRAFORM = "terraform"
"""The marker of tests that need the program of that name, and the program."""

_LEFT_OUT = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs terraform where there is none: deselected, never skipped, and said at the end."""
    if shutil.which(TERRAFORM):
        return
    left_out = [item for item in items if item.get_closest_marker(TERRAFORM)]
    if left_out:
        config.stash[_LEFT_OUT] = len(left_out)
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out, on a line that `.ci/run` repeats in its summary."""
    if count := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(
            f"NOT TESTED: terraform is not installed, so {count} tests of infra/cluster/terraform did not run",
            red=True,
            bold=True,
        )
