"""CPU time of a driver, its workers and the rest of its Ray, read from /proc."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_WORKER = b"ray::WorkerActor"


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuSeconds:
    """CPU time between two looks."""

    driver: float
    worker: float
    ray: float
    """Ray's own processes, as far as they lived at both looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuLook:
    """CPU time so far of this process and of all below it."""

    own: float
    workers: Mapping[int, float]
    """By process id."""
    others: Mapping[int, float]

    @classmethod
    def now(cls) -> "CpuLook":
        """Look; processes that end meanwhile are left out."""
        workers: dict[int, float] = {}
        others: dict[int, float] = {}
        for pid in _descendants(os.getpid()):
            try:
                is_worker = Path(f"/proc/{pid}/cmdline").read_bytes().startswith(_WORKER)
                (workers if is_worker else others)[pid] = _cpu_seconds(pid)
            except OSError:
                continue
        return cls(own=time.process_time(), workers=workers, others=others)

    def since(self, before: "CpuLook") -> CpuSeconds:
        """What was used after `before`."""
        return CpuSeconds(
            driver=self.own - before.own,
            worker=_grown(before.workers, self.workers),
            ray=_grown(before.others, self.others),
        )


def _grown(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    return sum(seconds - before[pid] for pid, seconds in after.items() if pid in before)


def _descendants(root: int) -> set[int]:
    """Process ids below one, at any depth."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
            except OSError:
                continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found - {root}


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """Fields of /proc/pid/stat after the name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
