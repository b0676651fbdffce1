"""Ends the process with the exit code that was decided, whatever the threads of libraries are still doing.

A thread of Arrow that lets go of Python's memory while the interpreter is being torn down aborts the process (SIGABRT
after a job that SUCCEEDED). So the interpreter is not torn down: its exit handlers run, then the process ends.
"""

import atexit
import os
import sys
from contextlib import suppress

_code = 1


def end_at_once() -> None:
    """Call it before other libraries register exit handlers: the first handler to be registered is the last to run."""
    atexit.register(_end)


def exit_with(code: int) -> None:
    """Leave through `sys.exit`, so that contexts close, threads are joined and exit handlers run."""
    global _code  # noqa: PLW0603 - a process has one exit code
    _code = code
    sys.exit(code)


def _end() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it is gone
            stream.flush()
    os._exit(_code)
