"""Ctrl-C once: stop after the batches in flight. Twice: now."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline.driving.orders import StopButton
from pipeline.job import JobState

PAUSED_MESSAGE = "paused by the user; run the same submit again to go on"


@contextmanager
def interrupts_press(button: StopButton) -> Iterator[None]:
    """While the block runs, the first SIGINT or SIGTERM presses the button, and the next one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(_number: int, _frame: FrameType | None) -> None:
        if button.pressed is not None:
            raise KeyboardInterrupt
        button.press(JobState.PAUSED, PAUSED_MESSAGE)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
