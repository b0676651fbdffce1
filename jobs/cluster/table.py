"""The table of kinds of cluster; a new one is one module and one line here, imported on use."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, cast

from jobs.cluster.target import Target
from jobs.nearest import did_you_mean
from pipeline.errors import JobFileError

TARGETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aws": "jobs.cluster.aws:render",
        "bare": "jobs.cluster.machines:bare",
        "kubernetes": "jobs.cluster.kubernetes:render",
        "runpod": "jobs.cluster.machines:runpod",
    }
)
"""Name -> `module:function`."""


def target(name: str) -> Target:
    """The kind of cluster of this name.

    Raises:
        JobFileError: there is none.
    """
    place = TARGETS.get(name)
    if place is None:
        near = did_you_mean(name, TARGETS) or f" (there are {', '.join(sorted(TARGETS))})"
        raise JobFileError(f'--target: there is no target "{name}"{near}')
    module, _, function = place.partition(":")
    return cast("Target", getattr(import_module(module), function))
