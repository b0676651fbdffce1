"""The threads that finish a batch while the next one denoises; or none, for tests that want every step in order."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Stages(Protocol):
    """Where decoding, encoding and committing happen."""

    batches_in_flight: int
    """How many batches may be between the device and the store; bounds the memory."""

    def decode(self, work: Callable[[], None]) -> None:
        """Run work after all decoding given before it."""

    def commit(self, work: Callable[[], None]) -> None:
        """Run work that encodes and uploads; several may overlap."""

    def each(self, work: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
        """Work over the items in parallel; results in order."""

    def settle(self) -> None:
        """Wait until all decoding given so far is done."""

    def close(self) -> None:
        """Wait for all that was given, then end the threads."""


class ThreadStages:
    """One thread that decodes, two that commit, and some that encode."""

    batches_in_flight = 4

    def __init__(self, *, encode_threads: int) -> None:
        self._decoding = ThreadPoolExecutor(1, "decode")
        self._committing = ThreadPoolExecutor(2, "commit")
        self._encoding = ThreadPoolExecutor(encode_threads, "encode")
        self._threads = encode_threads

    def decode(self, work: Callable[[], None]) -> None:
        """Run on the decoding thread."""
        self._decoding.submit(work)

    def commit(self, work: Callable[[], None]) -> None:
        """Run on a committing thread."""
        self._committing.submit(work)

    def each(self, work: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
        """Run on the encoding threads: each takes the next item when it is done with one."""
        todo = list(items)
        places = iter(range(len(todo)))  # shared: `next` on it is one step, which no other thread can come between
        done: dict[int, _Out] = {}

        def take() -> None:
            for place in places:
                done[place] = work(todo[place])

        for future in [self._encoding.submit(take) for _ in range(min(self._threads, len(todo)))]:
            future.result()
        return [done[place] for place in range(len(todo))]

    def settle(self) -> None:
        """Wait for the decoding thread."""
        self._decoding.submit(lambda: None).result()

    def close(self) -> None:
        """Wait, then end the threads."""
        for executor in (self._decoding, self._committing, self._encoding):
            executor.shutdown(wait=True)


class InlineStages:
    """Everything at once, in the caller's thread."""

    batches_in_flight = 4

    def decode(self, work: Callable[[], None]) -> None:
        """Run now."""
        work()

    def commit(self, work: Callable[[], None]) -> None:
        """Run now."""
        work()

    def each(self, work: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
        """Run now."""
        return [work(item) for item in items]

    def settle(self) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """Nothing to end."""
