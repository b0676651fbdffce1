"""Every exception class of a library, an example of each, and the contexts in which its cause is asked for."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from string import Formatter
from types import MappingProxyType, SimpleNamespace
from typing import Final

from pipeline.causes import cause_of_loss
from pipeline.events import NoticeKind
from pipeline.record import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is known beside the exception."""

    notice: NoticeKind | None
    """Seen for the worker's node and not cancelled."""
    node_lost: bool
    """Whether the node is gone too."""


CONTEXTS: Final = tuple(
    Context(notice=notice, node_lost=node_lost)
    for notice in (None, "rebalance", "reclaim")  # type: tuple[NoticeKind | None, ...]
    for node_lost in (False, True)
)

UNEXPLAINED: Final[Mapping[Context, Cause]] = MappingProxyType(
    {
        Context(notice=None, node_lost=False): Cause.INFRASTRUCTURE,
        Context(notice=None, node_lost=True): Cause.INFRASTRUCTURE,
        Context(notice="rebalance", node_lost=False): Cause.INFRASTRUCTURE,
        Context(notice="rebalance", node_lost=True): Cause.PREEMPTED,
        Context(notice="reclaim", node_lost=False): Cause.PREEMPTED,
        Context(notice="reclaim", node_lost=True): Cause.PREEMPTED,
    }
)
"""A loss whose exception says no more than that the worker is gone."""


def exception_classes(module: str, *, own: bool = True) -> dict[str, type[BaseException]]:
    """The exception classes that a module defines, by name; without warnings.

    Args:
        module: its name; imported here.
        own: leave out what it merely imports.
    """
    return {
        kind.__name__: kind
        for kind in vars(import_module(module)).values()
        if issubclass(type(kind), type)  # `isclass` would look at `__class__`, which one of torch's warns about
        and issubclass(kind, BaseException)
        and not issubclass(kind, Warning)
        and (not own or kind.__module__ == module)
    }


def made(kind: type[BaseException]) -> BaseException:
    """An example, by whatever its constructor takes; at worst one that was never initialised."""
    fields = {name: "x" for _, name, _, _ in Formatter().parse(getattr(kind, "fmt", "")) if name}
    answer = SimpleNamespace(tell=lambda: 1, length_remaining=2)
    for arguments in ((), ("x",), (1, 2), ("x", b"x" * 16), (answer, b"x"), ("x", "x"), ("x", "x", "x")):
        with suppress(Exception):
            error = kind(*arguments, **fields)
            str(error), repr(error)
            return error
    return kind.__new__(kind)


def causes_of_loss(reported: Cause) -> dict[Context, Cause]:
    """What a worker's loss is in each context, by what the compute reports."""
    return {
        context: cause_of_loss(reported, notice=context.notice, node_lost=context.node_lost) for context in CONTEXTS
    }
