"""Whether a process is gone: only what is sure counts."""

import os
import subprocess
import sys
from dataclasses import replace

from infra.process_identity import is_gone, this_process
from pipeline.driving.lease_state import Owner

ASK = "from infra.process_identity import this_process; print(repr(this_process()), flush=True); input()"


def test_this_process_lives() -> None:
    """It knows its host and pid, and finds itself alive."""
    here = this_process()
    assert here.pid == os.getpid()
    assert not is_gone(here)


def test_killed_process_is_gone_also_before_anybody_buried_it() -> None:
    """A zombie drives nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        owner = eval(child.stdout.readline(), {"Owner": Owner})  # noqa: S307 - what we printed ourselves
        assert owner.pid == child.pid
        assert not is_gone(owner)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(owner)
        child.wait()
        assert is_gone(owner)


def test_pid_that_was_given_again_is_another_process() -> None:
    """The same number, born at another time."""
    assert is_gone(replace(this_process(), born="1"))


def test_what_cannot_be_known_is_taken_for_alive() -> None:
    """Processes of other machines, of other containers, and of before a reboot that has another name now."""
    here = this_process()
    gone = replace(here, pid=2**22 + 1)
    assert is_gone(gone)
    for other in (
        replace(gone, host="elsewhere"),
        replace(gone, boot="another boot pid:[1]"),
        replace(gone, boot=""),
        replace(gone, born=""),
        replace(gone, pid=0),
        replace(gone, pid=-1),
    ):
        assert not is_gone(other)
