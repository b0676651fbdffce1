"""Runs a function over many things on a few threads, with bounded memory and in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def in_order(
    executor: Executor, function: Callable[[Thing], Result], things: Iterable[Thing], *, ahead: int = 64
) -> Iterator[Result]:
    """The results in the order of the things; at most `ahead` are under way or waiting to be taken.

    What is under way is left to end when the caller stops early; what has not begun is dropped.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for thing in things:
            waiting.append(executor.submit(function, thing))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
