"""Watches over one node: asks each source on a thread of its own, and keeps what is known of the node.

Nothing that a source does, or fails to do, gets out of here but as a line of text, said once.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from infra.providers.reports import Identity, Notice, SilentError, Source
from infra.providers.static import configured

_LONGEST_PAUSE_SECONDS = 15.0
"""Between two questions to a source that does not answer: a notice may have 30 s."""

_SAID_AFTER = 3
"""Failures in a row; one alone is a hiccup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is known of a node."""

    identity: Identity | None = None
    settled: bool = False
    """Whether the identity is final: a source told it, or all were asked."""
    notices: tuple[Notice, ...] = ()
    complete: bool = False
    """Whether every source that speaks for the node has told its notices at least once."""
    troubles: tuple[str, ...] = ()
    """What did not answer, one line each."""


class NodeWatch:
    """One node's watch.

    Args:
        certain: sources that speak for the node.
        candidates: clouds of which the one that answers first is the node's; the others are asked no more.
        environ: of the node; what it says of the node goes before all else.
        expected: names of candidates whose silence is worth a line; that of the others is not.
        pause: waits so many seconds, or until the event is set.
    """

    def __init__(
        self,
        certain: Sequence[Source],
        candidates: Sequence[Source] = (),
        *,
        environ: Mapping[str, str],
        expected: frozenset[str] = frozenset(),
        pause: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._certain, self._candidates, self._environ = tuple(certain), tuple(candidates), environ
        self._expected, self._pause = expected, pause
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._version = self._reported = 0
        self._identities: dict[str, Identity] = {}
        self._unasked = {id(source) for source in (*certain, *candidates)}
        self._notices: dict[str, dict[str, Notice]] = {}
        self._troubles: dict[str, str] = {}
        self._cloud: Source | None = None

    def start(self) -> None:
        """Begin to ask."""
        for source in self._certain:
            threading.Thread(target=self._follow, args=(source,), name=f"watch-{source.name}", daemon=True).start()
        for source in self._candidates:
            threading.Thread(target=self._try, args=(source,), name=f"try-{source.name}", daemon=True).start()

    def close(self) -> None:
        """Ask no more."""
        self._closed.set()

    def report(self, timeout_seconds: float) -> Report:
        """What is known, as soon as it is more than was reported before, or after this time."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != self._reported, timeout_seconds)
            self._reported = self._version
            found = tuple(notice for notices in self._notices.values() for notice in notices.values())
            return Report(
                identity=self._identity(),
                settled=not self._unasked or self._cloud is not None,
                notices=found,
                complete=all(source.name in self._notices for source in (*self._certain, self._cloud) if source),
                troubles=tuple(self._troubles.values()),
            )

    def _identity(self) -> Identity | None:
        """The cloud's word before the pod's, and the configuration's before both."""
        clouds_first = sorted(self._identities.values(), key=lambda one: one.provider == "kubernetes")
        nobody = Identity(provider="static")
        told = configured(clouds_first[0] if clouds_first else nobody, self._environ)
        return None if told == nobody else told

    def _try(self, source: Source) -> None:
        """Ask a candidate who the node is, a few times; the first that knows is followed."""
        said = ""
        for failures in range(_SAID_AFTER):
            if self._closed.is_set() or self._cloud is not None:
                return
            try:
                identity = source.identity()
            except Exception as error:  # noqa: BLE001 - a stranger's answer ends nothing here, whatever is wrong in it
                said = _worded(error)
                self._asked(source)
                self._pause(self._closed, source.poll_seconds * 2**failures)
                continue
            if self._is_first(source):
                self._learn(source, identity)
                self._follow(source, known=True)
            return
        if source.name in self._expected:
            self._trouble(source, f"this is one of its machines, but its metadata service does not answer ({said})")

    def _follow(self, source: Source, *, known: bool = False) -> None:
        """Ask a source for as long as the node lives; who it is, and what stands, each by itself."""
        failures = 0
        while not self._closed.is_set():
            said = ""
            try:
                if not known:
                    self._learn(source, source.identity())
                    known = True
            except Exception as error:  # noqa: BLE001 - a stranger's answer ends nothing here, whatever is wrong in it
                said = _worded(error)
                self._asked(source)
            try:
                self._note(source, source.notices())
            except Exception as error:  # noqa: BLE001 - the same
                said = _worded(error)
            failures = failures + 1 if said else 0
            if failures == _SAID_AFTER:
                self._trouble(source, said)
            longest = max(_LONGEST_PAUSE_SECONDS, source.poll_seconds)
            self._pause(self._closed, min(source.poll_seconds * 2 ** min(failures, 8), longest))

    def _is_first(self, source: Source) -> bool:
        """Whether no other cloud answered before this one."""
        with self._changed:
            self._cloud = self._cloud or source
            return self._cloud is source

    def _learn(self, source: Source, identity: Identity | None) -> None:
        with self._changed:
            if identity is not None:
                self._identities[source.name] = identity
        self._asked(source)

    def _asked(self, source: Source) -> None:
        """A source had its chance to say who the node is."""
        with self._changed:
            self._unasked.discard(id(source))
            self._tell()

    def _note(self, source: Source, notices: Sequence[Notice]) -> None:
        """What stands now; a notice keeps the earliest deadline that was told for it."""
        with self._changed:
            before = self._notices.get(source.name, {})
            now = {}
            for notice in notices:
                known = before.get(notice.key, notice)
                now[notice.key] = replace(notice, deadline_ns=min(notice.deadline_ns, known.deadline_ns))
            self._notices[source.name] = now
            if now != before:
                self._tell()

    def _trouble(self, source: Source, said: str) -> None:
        with self._changed:
            self._troubles.setdefault(source.name, f"{source.name}: {said}"[:300])
            self._tell()

    def _tell(self) -> None:
        """There is something new; whoever waits wakes up."""
        self._version += 1
        self._changed.notify_all()


def _worded(error: Exception) -> str:
    """What was wrong, in one line."""
    return str(error) if isinstance(error, SilentError) else f"{type(error).__name__}: {error}"
