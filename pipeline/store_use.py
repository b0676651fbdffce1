"""How a store answers: calls, errors and time by operation, counted in each process and added up by the driver."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

FACT: Final = "store_use"
"""Name under which a heartbeat carries it."""

OPERATIONS: Final = ("get", "put", "put_batch", "upload", "download", "head", "list", "delete", "read_part")


@dataclass(frozen=True, slots=True)
class Used:
    """One operation."""

    requests: int = 0
    errors: int = 0
    """Calls that ended without a proper answer; 'there is none' and 'there is one already' are answers."""
    nanoseconds: int = 0

    def __add__(self, other: "Used") -> "Used":
        return Used(self.requests + other.requests, self.errors + other.errors, self.nanoseconds + other.nanoseconds)


def use_of(store: object) -> Mapping[str, Used]:
    """What a store was asked in this process, by operation; nothing of one that does not count."""
    use = getattr(store, "use", None)
    return use if isinstance(use, Mapping) else {}


def use_to_text(use: Mapping[str, Used]) -> str:
    """`put 12 0 3400000,get 1 0 200`: as a heartbeat carries it."""
    return ",".join(f"{name} {one.requests} {one.errors} {one.nanoseconds}" for name, one in use.items())


def use_facts(store: object) -> dict[str, str]:
    """What a heartbeat carries of it; nothing of a store that does not count."""
    use = use_of(store)
    return {FACT: use_to_text(use)} if use else {}


def use_from_text(text: str) -> dict[str, Used]:
    """What a heartbeat carried; what makes no sense is left out."""
    found = {}
    for part in text.split(",")[: len(OPERATIONS)]:
        name, *counts = part.split(" ")
        if name in OPERATIONS and len(counts) == 3 and all(count.isdecimal() and len(count) < 20 for count in counts):
            found[name] = Used(*map(int, counts))
    return found


@dataclass(slots=True)
class AddedUse:
    """Adds up what several processes tell, each its totals again and again."""

    latest: dict[str, Mapping[str, Used]] = field(default_factory=dict)

    def told(self, who: str, use: Mapping[str, Used]) -> None:
        """A process told its totals."""
        if use:
            self.latest[who] = use

    def total(self) -> dict[str, Used]:
        """Of all, by operation."""
        found: dict[str, Used] = {}
        for use in self.latest.values():
            for name, one in use.items():
                found[name] = found.get(name, Used()) + one
        return found
