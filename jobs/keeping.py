"""What must go on beside a driver's loop however slow that is: its lease, its orders, its log."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOG = logging.getLogger(__name__)


@contextmanager
def repeated(**actions: tuple[Callable[[], None], float]) -> Iterator[None]:
    """While the block runs, call each action again and again, in a thread of its own, every so many seconds.

    An action that raises is called again; that it raised is logged once.
    """
    over = threading.Event()

    def repeat(name: str, action: Callable[[], None], seconds: float) -> None:
        said = False
        while not over.wait(seconds):
            try:
                action()
            except Exception as error:  # noqa: BLE001 - a thread that dies in silence looks like one that works
                if not said:
                    _LOG.warning("%s: %s: %s", name, type(error).__name__, error)
                said = True

    threads = [
        threading.Thread(target=repeat, args=(name, *action), name=f"keep-{name}", daemon=True)
        for name, action in actions.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
