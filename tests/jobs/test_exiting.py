"""A process ends with the exit code that was decided, though a library would abort it while it is torn down."""

import subprocess
import sys

from tests.imports import ROOT

TORN_DOWN = """
import atexit, os, signal, threading, time
from jobs.exiting import end_at_once, exit_with

class Library:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGABRT)

library = Library()
end_at_once()
atexit.register(print, "handlers run")
threading.Thread(target=lambda: (time.sleep(0.2), print("threads end"))).start()
print("done")
exit_with(3)
"""


def test_nothing_that_aborts_at_the_end_changes_the_exit_code() -> None:
    """Output, threads and exit handlers are finished; the libraries are not taken apart."""
    ended = subprocess.run([sys.executable, "-c", TORN_DOWN], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "done\nthreads end\nhandlers run\n", "")
