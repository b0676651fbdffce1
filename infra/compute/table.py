"""The table of computes: an address becomes a compute, and only the one that is asked for is imported."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, Protocol, cast

from infra.compute.spec import ComputeSpec
from pipeline.ports import Clock, Compute

COMPUTES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "in-process": "infra.compute.in_process:InProcessCompute",
        "ray": "infra.compute.ray_cluster:RayCompute",
    }
)
"""Name -> `module:Class`; the class takes a spec and a clock."""


def open_compute(spec: ComputeSpec, *, clock: Clock) -> Compute:
    """The compute that `spec.address` asks for; nothing starts before `start`."""
    module, _, name = COMPUTES["in-process" if spec.address == "in-process" else "ray"].partition(":")
    adapter = cast("_Adapter", getattr(import_module(module), name))
    return adapter(spec, clock=clock)


class _Adapter(Protocol):
    """How every class of the table is made."""

    def __call__(self, spec: ComputeSpec, *, clock: Clock) -> Compute:
        """The compute of this spec."""
