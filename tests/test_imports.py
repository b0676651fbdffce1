"""The reader of imports that the layer tests stand on."""

from tests.imports import Import, cycles, read


def test_reader_tells_imports_at_import_from_later_ones() -> None:
    """An import counts as immediate unless a function or TYPE_CHECKING puts it off."""
    source = """
import ray
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import torch
else:
    import torch as fake
class Store:
    import boto3
def load():
    from diffusers import DiffusionPipeline
try:
    import numpy
except ImportError:
    pass
"""
    found = {(one.target, one.line): one.at_import for one in read(source, module="infra.stores.s3")}
    assert found == {
        ("ray", 2): True,
        ("typing.TYPE_CHECKING", 3): True,
        ("torch", 5): False,
        ("torch", 7): True,
        ("boto3", 9): True,
        ("diffusers.DiffusionPipeline", 11): False,
        ("numpy", 13): True,
    }


def test_reader_resolves_relative_imports() -> None:
    """Dots are counted from the package that the module stands in, or is."""
    source = "from . import near\nfrom ..record import Record\nfrom .. import ports"
    in_module = [one.target for one in read(source, module="pipeline.renderers.diffusion")]
    in_package = [one.target for one in read(source, module="pipeline.renderers", is_package=True)]
    assert in_module == in_package == ["pipeline.renderers.near", "pipeline.record.Record", "pipeline.ports"]


def test_reader_sees_entries_of_lazy_tables() -> None:
    """A string that names a class of ours is an import on use, though Python does not see one."""
    (one,) = read('STORES = {"s3": "infra.stores.s3:S3Store"}', module="pipeline.stores")
    assert (one.target, one.at_import) == ("infra.stores.s3.S3Store", False)


def test_ring_of_modules_is_told_once_and_in_order() -> None:
    """A ring is found from whichever member one starts, and a lazy import breaks it."""

    def stated(module: str, target: str, *, at_import: bool = True) -> Import:
        return Import(module=module, target=target, line=1, at_import=at_import)

    ring = [stated("p.c", "p.a"), stated("p.a", "p.b.name"), stated("p.b", "p.c"), stated("p.d", "p.a")]
    known = ["p", "p.a", "p.b", "p.c", "p.d"]
    assert cycles(ring, known=known) == ["p.a -> p.b -> p.c -> p.a"]
    assert cycles([stated("p.c", "p.a", at_import=False), *ring[1:]], known=known) == []
