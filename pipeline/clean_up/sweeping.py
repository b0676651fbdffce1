"""The clean-up itself: mark, wait for longer than a lease, look again, delete what still nobody needs.

What is deleted is named first where readers look for it (`collected.py`), and its jobs are told, so that dying at any
instant loses nothing: a file that is there counts, one that is named and gone is rendered anew when somebody wants it.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np

from pipeline.clean_up.collected import add_collected
from pipeline.clean_up.finding import Found, find
from pipeline.clean_up.needs import NO_FILES, among, files_of
from pipeline.clean_up.standing import JobStand, Rules
from pipeline.clean_up.sweep import Phase, Sweep, put_sweep
from pipeline.clean_up.tidying import Tidied, tidy_job, tidy_store
from pipeline.driving.lease import TTL_SECONDS, Lease
from pipeline.driving.lease_state import SeenLease, read_lease
from pipeline.driving.reuse import drop_from_index
from pipeline.layout import lease_key, status_key, sweep_key
from pipeline.ports import Clock, Store
from pipeline.status import Status, status_to_json

WAIT_SECONDS: Final = TTL_SECONDS + 5
"""Between the two looks: longer than a lease, so that it shows which of them are still held."""

_LOOK_SECONDS = 2.0
_CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What was done."""

    images: int
    """Files removed that expired jobs had named."""
    orphans: int
    """Files removed that nobody had named."""
    bytes: int
    """Of both."""
    spared: int
    """Files that were to go, and that somebody needed when they were looked at again."""
    tidied: Tidied


class Sweeper:
    """One clean-up of a store, by whoever holds the lease of clean-ups.

    Args:
        store: which one.
        rules: what to keep.
        lease: of clean-ups, held.
        lease_of: the lease of a job, for this process to take.
        clock: waits.
        executor: works in parallel.
        say: told what is being done.
    """

    def __init__(
        self,
        store: Store,
        *,
        rules: Rules,
        lease: Lease,
        lease_of: Callable[[str], Lease],
        clock: Clock,
        executor: Executor,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._store, self._rules, self._lease, self._lease_of = store, rules, lease, lease_of
        self._clock, self._executor, self._say = clock, executor, say
        self._leases: dict[str, Lease] = {}
        self._day = ""

    def clean(self, found: Found) -> Cleaned:
        """Remove what was found, and is found once more.

        Raises:
            LeaseLostError: this process was silent for too long; nothing more was deleted since.
            JobRefusedError: it cannot be told what some job needs.
            StoreUnavailableError: the store does not answer; nothing is lost, and it can be done again.
        """
        doomed, now = len(found.expired) + len(found.orphans), self.now()
        self._day = f"{now:%Y-%m-%d}"
        mark = Sweep(
            phase=Phase.MARKED,
            at=now.isoformat(),
            images=doomed,
            bytes=sum(found.expired.values()) + sum(found.orphans.values()),
        )
        put_sweep(self._store, self._lease, mark)
        self._say(f"waiting {WAIT_SECONDS:.0f} s for a sign of those who may need any of it")
        self._wait(found)
        put_sweep(self._store, self._lease, replace(mark, phase=Phase.SWEEPING))
        again = find(self._store, rules=self._rules, now=self.now(), is_free=self._is_free, executor=self._executor)
        expired = {key: size for key, size in again.expired.items() if key in found.expired}
        expired = self._told(again, expired)
        orphans = {key: size for key, size in again.orphans.items() if key in found.orphans}
        self._remove(expired, orphans)
        self._lease.confirm()
        self._store.delete(sweep_key())
        return Cleaned(
            images=len(expired),
            orphans=len(orphans),
            bytes=sum(expired.values()) + sum(orphans.values()),
            spared=doomed - len(expired) - len(orphans),
            tidied=self._tidy(found, again),
        )

    def now(self) -> datetime:
        """The instant by the store's own clock: that of the last renewal of our lease."""
        self._lease.renew()
        info = self._store.head(lease_key(self._lease.job))
        if info is None:
            self._lease.confirm()
            raise AssertionError("the lease was just written")
        return info.modified_at

    def _wait(self, found: Found) -> None:
        """Look at the leases of jobs that ended without letting go of theirs, for longer than one lives."""
        ended = {one.name for one in found.stands if one.ended_at is not None}
        held = {left.job for left in found.leftovers if left.kind == "leases"} & ended
        names = sorted(held | set(found.images_of))
        seen = self._executor.map(lambda name: read_lease(self._store, name), names)
        self._leases = {
            name: self._lease_of(name)
            for name, lease in zip(names, seen, strict=True)
            if lease is not None and not lease.state.released
        }
        until_ns = self._clock.now_ns() + round(WAIT_SECONDS * 1e9)
        while self._clock.now_ns() < until_ns:
            self._lease.keep()
            for lease in self._leases.values():
                lease.look()
            self._clock.sleep(_LOOK_SECONDS)

    def _is_free(self, name: str, seen: SeenLease) -> bool:
        """Whether nobody has changed this lease while we looked."""
        del seen
        return name in self._leases and self._leases[name].look()[1]

    def _told(self, again: Found, doomed: Mapping[str, int]) -> dict[str, int]:
        """What of it may go after its jobs were told; one that cannot be told keeps its images."""
        spared, files = [NO_FILES], files_of(doomed)
        names, in_order = dict(zip(files.tolist(), doomed, strict=True)), np.sort(files)
        for one in again.stands:
            theirs = again.images_of.get(one.name, NO_FILES)
            count = int(np.count_nonzero(among(theirs, in_order)))
            if count and not self._tell(one, count):
                spared.append(theirs)
        going = files[~among(files, np.unique(np.concatenate(spared)))]
        return {names[name]: doomed[names[name]] for name in going.tolist()}

    def _tell(self, one: JobStand, count: int) -> bool:
        """Say in a job's status that files of it go; whether nobody drives it."""
        lease, status = self._leases.get(one.name) or self._lease_of(one.name), one.status
        self._lease.keep()
        if status is None or lease.try_take() is not None:
            return False
        try:
            told = collected_status(status, count, fence=lease.fence, day=self._day)
            lease.confirm()
            self._store.put(status_key(one.name, lease.fence), status_to_json(told), mode="create")
        finally:
            lease.release()
        return True

    def _remove(self, expired: Mapping[str, int], orphans: Mapping[str, int]) -> None:
        """Name what goes, take it out of the index, delete it."""
        if expired:
            add_collected(self._store, expired, self.now())
        keys = sorted([*expired, *orphans])
        if keys:
            drop_from_index(self._store, keys, self._executor)
        for start in range(0, len(keys), _CHUNK):
            self._lease.keep()
            self._delete(keys[start : start + _CHUNK])
            self._say(f"removed {min(start + _CHUNK, len(keys)):,} of {len(keys):,} images")

    def _delete(self, keys: Iterable[str]) -> None:
        """Each only while the lease is surely held."""

        def delete(key: str) -> None:
            self._lease.check()
            self._store.delete(key)

        list(self._executor.map(delete, keys))

    def _tidy(self, found: Found, again: Found) -> Tidied:
        """What is no image: of each ended job while nobody can drive it, then of the store."""
        first = {left.key for left in found.leftovers}
        left = [one for one in again.leftovers if one.key in first]
        total = Tidied()
        for stand in again.stands:
            mine = [one for one in left if one.job == stand.name]
            if not mine:
                continue
            self._lease.keep()
            lease = self._leases.get(stand.name) or self._lease_of(stand.name)
            if lease.try_take() is None:
                total += tidy_job(self._store, stand, mine, lease=lease, executor=self._executor)
        others = [one for one in left if not one.job]
        return total + tidy_store(self._store, others, now=self.now(), check=self._lease.check)


def collected_status(status: Status, count: int, *, fence: int, day: str) -> Status:
    """How a job stands some files of which go; when it ended, and how, stays."""
    removed = status.collected + count
    note = f"clean-up of {day} removed {removed:,} of its images; the same submit again renders them"
    before = status.message.partition("clean-up of ")[0].removesuffix("; ")
    return replace(status, collected=removed, message=f"{before}; {note}" if before else note, fence=fence)
