"""Which process this is, and whether another one of this machine is gone: read from Linux's /proc, else not known."""

import os
import socket
from pathlib import Path

from pipeline.driving.lease_state import Owner

_PROC = Path("/proc")


def this_process() -> Owner:
    """This process, as others on the same machine can look for it."""
    return process(os.getpid())


def process(pid: int) -> Owner:
    """Another process of this machine, such as a child, likewise."""
    return Owner(host=socket.gethostname(), pid=pid, boot=_boot(), born=_born(pid) or "")


def is_gone(owner: Owner) -> bool:
    """Whether this process is surely gone: it counted in the same run of the same system as we do, and is no more."""
    if not (owner.boot and owner.born and owner.pid > 0) or owner.boot != _boot() or owner.host != socket.gethostname():
        return False
    born = _born(owner.pid)
    return _is_away(owner.pid) if born is None else born != owner.born


def _is_away(pid: int) -> bool:
    """Whether a process that /proc does not show is truly gone: another user's may only be hidden."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _boot() -> str:
    """This run of the system and the namespace that pids count in; empty where there is no such thing."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _born(pid: int) -> str | None:
    """When a process began, in ticks since the boot; empty when it only waits to be buried; None when not shown."""
    try:
        # The name stands in parentheses and may hold anything; state and start are fields 3 and 22.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "" if fields[0] in {"Z", "X"} else fields[19]
