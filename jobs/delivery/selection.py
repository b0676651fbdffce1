"""Which of a job's images are handed over, and how many and how large these are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from jobs.committed import Wanted
from pipeline.errors import JobFileError

OUTCOMES = ("rendered", "reused")

_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which images to hand over; all when nothing is said."""

    patterns: tuple[str, ...] = ()
    """Custom ids with `*`, `?` and `[...]`; one is enough. Rows without an id go by their number, `000002`."""
    outcome: str | None = None
    """`rendered` or `reused`."""
    tags: tuple[tuple[str, str], ...] = ()
    """(tag, value), the value with `*`, `?` and `[...]`; of one tag any value does, and of several tags each must."""
    limit: int | None = None
    """At most so many, the first in manifest order."""

    def __post_init__(self) -> None:
        """Refuse an outcome of which there are no images. Raises: JobFileError."""
        if self.outcome not in {None, *OUTCOMES}:
            raise JobFileError(f'--state: must be rendered or reused, got "{self.outcome}"')

    def takes(self, wanted: Wanted) -> bool:
        """Whether this image is asked for."""
        if self.outcome is not None and wanted.outcome != self.outcome:
            return False
        called = f"{wanted.row:0{_DIGITS}d}" if wanted.custom_id is None else wanted.custom_id
        if self.patterns and not any(fnmatchcase(called, pattern) for pattern in self.patterns):
            return False
        return all(self._tagged(wanted, name) for name in dict.fromkeys(name for name, _ in self.tags))

    def of(self, images: Iterator[Wanted]) -> Iterator[Wanted]:
        """Those that are asked for."""
        taken = 0
        for wanted in images:
            if self.limit is not None and taken >= self.limit:
                return
            if self.takes(wanted):
                taken += 1
                yield wanted

    def _tagged(self, wanted: Wanted, name: str) -> bool:
        """Whether it has a tag with one of the values that are asked for."""
        value = wanted.tags.get(name)
        return value is not None and any(fnmatchcase(value, want) for tag, want in self.tags if tag == name)


def tags_of(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`--tag campaign=autumn` as (tag, value). Raises: JobFileError: it has no `=`."""
    pairs = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise JobFileError(f'--tag: must look like campaign=autumn, got "{text}"')
        pairs.append((name, value))
    return tuple(pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What there is to hand over, before any of it is."""

    images: int
    """That are asked for, those included that are not there."""
    there: int
    bytes: int
    """Of those that are there; what need not be moved again included."""


def survey(images: Iterator[Wanted]) -> Survey:
    """Count them."""
    count = there = size = 0
    for wanted in images:
        count += 1
        if wanted.key:
            there += 1
            size += wanted.bytes
    return Survey(images=count, there=there, bytes=size)
