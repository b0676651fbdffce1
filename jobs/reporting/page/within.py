"""Does something with many things at once, and stops waiting when the time is up."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def within(seconds: float, work: Callable[[_In], _Out], items: Sequence[_In], *, threads: int = 8) -> list[_Out | None]:
    """Results in order; None for an item whose work raised, or was not done in time.

    The threads are daemons: one that hangs in a store's retries holds up neither the caller nor the process's end.
    """
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, _Out | None]] = queue.SimpleQueue()
    for place in range(len(items)):
        todo.put(place)
    late = threading.Event()

    def take() -> None:
        while not late.is_set():
            try:
                place = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((place, work(items[place])))
            except Exception:  # noqa: BLE001 - one thing that fails is left out, whatever the reason
                done.put((place, None))

    for _ in range(min(threads, len(items))):
        threading.Thread(target=take, daemon=True, name="report").start()
    results: list[_Out | None] = [None] * len(items)
    deadline = time.monotonic() + seconds
    for _ in items:
        try:
            place, result = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        results[place] = result
    late.set()
    return results
