"""What `lease.json` says, and how it is read."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.errors import JobRefusedError, NotFoundError
from pipeline.layout import lease_key
from pipeline.ports import Store

LEASE_SCHEMA = 1
"""Version of `lease.json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The process that holds a lease."""

    host: str
    pid: int
    boot: str = ""
    """Which run of which system the pid counts in; empty where that cannot be told."""
    born: str = ""
    """When the process began, as its system counts; a pid is given again."""

    def __str__(self) -> str:
        return f"{self.host}, pid {self.pid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseState:
    """What `lease.json` says."""

    fence: int
    """Goes up with each taking."""
    token: str
    """Of this taking, unique."""
    owner: Owner
    renewed: int = 0
    """How often its holder has renewed it; what makes the ETag change."""
    released: bool = False
    """Its holder needs it no longer: the next one may begin at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenLease:
    """A lease as the store holds it."""

    state: LeaseState
    etag: str


NOBODY = LeaseState(fence=0, token="", owner=Owner(host="unknown", pid=0))


def lease_to_json(state: LeaseState) -> bytes:
    """The state as `lease.json`."""
    return json.dumps({"schema": LEASE_SCHEMA} | asdict(state), indent=1).encode()


def read_lease(store: Store, job: str) -> SeenLease | None:
    """The lease of a job; None before its first driver. One that cannot be read belongs to nobody that is known.

    Raises:
        JobRefusedError: a newer version of spotrender drives this job.
    """
    info = store.head(lease_key(job))
    if info is None:
        return None
    # The ETag is asked for first: should the lease change in between, a write under this ETag is refused.
    try:
        values: dict[str, Any] = json.loads(store.get(lease_key(job)))
        schema = int(values.pop("schema"))
        if schema > LEASE_SCHEMA:
            raise JobRefusedError(f"{job} is driven by a newer version of spotrender (lease schema {schema})")
        state = LeaseState(**(values | {"owner": Owner(**values["owner"])}))
    except NotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        state = NOBODY
    return SeenLease(state=state, etag=info.etag)
