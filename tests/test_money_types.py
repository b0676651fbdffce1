"""No floating-point number touches money: not in an annotation, not in a column, not in a file's schema."""

import dataclasses
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterator
from decimal import Decimal

import pyarrow as pa
import pytest
from pydantic import BaseModel

import infra.providers
import jobs
import pipeline
from pipeline.ledger.schema import IMAGES, NODES

_MONEY = ("usd", "price", "cost", "nano", "accrued", "billable", "billed", "budget")
_HEAVY = ("pipeline.renderers.diffusion", "pipeline.renderers.dry_run")
"""They load torch, and know no money."""
_NO_MONEY = {"accrued_at", "price_source", "prices"}


def modules() -> Iterator[str]:
    """All of the domain, of the providers and of the commands."""
    for package in (pipeline, infra.providers, jobs):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(_HEAVY):
                yield module.name


def money(name: str) -> bool:
    """Whether a name is that of an amount of money."""
    return name not in _NO_MONEY and any(word in name.lower().split("_") for word in _MONEY)


def has_float(annotation: object) -> bool:
    """Whether a float is anywhere inside of an annotation."""
    if annotation is float:
        return True
    if isinstance(annotation, str):
        return "float" in annotation
    return any(has_float(inner) for inner in typing.get_args(annotation))


def annotated(module: object) -> Iterator[tuple[str, str, object]]:
    """(where, name, annotation) of every field, argument and result in a module."""
    for _, thing in inspect.getmembers(module):
        if getattr(thing, "__module__", None) != getattr(module, "__name__", ""):
            continue
        if inspect.isclass(thing):
            fields: dict[str, object] = dict(getattr(thing, "__annotations__", {}))
            yield from ((thing.__qualname__, name, annotation) for name, annotation in fields.items())
            functions: list[object] = [member for _, member in inspect.getmembers(thing, inspect.isfunction)]
            functions += [
                member.fget for member in vars(thing).values() if isinstance(member, property) and member.fget
            ]
        else:
            functions = [thing] if inspect.isfunction(thing) else []
        for function in functions:
            for name, annotation in getattr(function, "__annotations__", {}).items():
                own = str(getattr(function, "__name__", ""))
                yield own, own if name == "return" else name, annotation


@pytest.mark.parametrize("name", sorted(modules()))
def test_no_annotation_of_money_holds_a_float(name: str) -> None:
    """Fields, arguments and results whose names say money are Decimal, or whole nano-dollars."""
    for where, what, annotation in annotated(importlib.import_module(name)):
        if money(what):
            assert not has_float(annotation), f"{name}.{where}: {what} is {annotation}"


@pytest.mark.parametrize("schema", [IMAGES, NODES])
def test_no_column_of_money_is_a_float(schema: pa.Schema) -> None:
    """Every amount in the ledger is decimal128(18, 9), also inside of lists."""
    columns = [(field.name, field.type) for field in schema]
    inner = [
        (part.name, part.type) for field in schema if pa.types.is_list(field.type) for part in field.type.value_type
    ]
    amounts = [(name, kind) for name, kind in columns + inner if "usd" in name]
    assert len(amounts) >= 2
    for name, kind in amounts:
        assert kind == pa.decimal128(18, 9), name


def test_the_walk_sees_money() -> None:
    """Floats are found where they are, so that their absence means something."""

    @dataclasses.dataclass
    class Wrong:
        usd: float | None
        right: Decimal

    class Model(BaseModel):
        cost: list[float]

    assert [has_float(annotation) for annotation in Wrong.__annotations__.values()] == [True, False]
    assert has_float(Model.__annotations__["cost"])
    assert money("accrued_usd")
    assert money("usd_per_image")
    assert not money("seconds")
