"""What people ask of a job from anywhere, through the store: go on, pause, cancel, or take up other settings.

`control.json` is one object, replaced only under its ETag, so that two who ask at once do not undo each other. It says
how the job should stand, not what to do: a driver obeys it whenever it reads it, however late.
"""

import json
import logging
import threading
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from pipeline.driving.orders import StopButton
from pipeline.errors import (
    AlreadyExistsError,
    JobRefusedError,
    NotFoundError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pipeline.job import JobState, Settings, settings_from_json, settings_to_json
from pipeline.layout import control_key, job_folder, settings_key
from pipeline.ports import Clock, Store

CONTROL_SCHEMA = 1
"""Version of `control.json`."""

LOOK_SECONDS = 2.0
"""How often a driver reads it."""

_TRIES = 20
_LOG = logging.getLogger(__name__)


class Order(StrEnum):
    """How the job should stand."""

    RUN = "run"
    """Go on."""
    PAUSE = "pause"
    """Finish the batches in flight, let the workers go, and wait."""
    CANCEL = "cancel"
    """Finish the batches in flight, and end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What `control.json` says."""

    number: int = 0
    """Goes up with each change; 0: nobody asked for anything yet."""
    order: Order = Order.RUN
    by: str = ""
    """Who asked, as `user@host`."""
    at: str = ""
    """When, ISO 8601, UTC, by the asker's clock."""
    settings: int = 0
    """Number of the settings that hold; 0: not said, those with the highest number."""


def read_control(store: Store, job: str) -> Control:
    """What was asked last.

    Raises:
        JobRefusedError: it cannot be read by this version.
    """
    try:
        values: dict[str, Any] = json.loads(store.get(control_key(job)))
        if int(values.pop("schema")) > CONTROL_SCHEMA:
            raise JobRefusedError(f"{job}: control.json was written by a newer version of spotrender")
        return Control(**(values | {"order": Order(values["order"])}))
    except NotFoundError:
        return Control()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise JobRefusedError(f"{job}: control.json cannot be read ({error}); remove it and ask again") from error


def ask(
    store: Store,
    job: str,
    *,
    by: str,
    at: str,
    order: Order | None = None,
    settings: int | None = None,
    anew: bool = False,
) -> Control:
    """Write what is asked for; gives what then stands there. What is not named stays as it is.

    Args:
        store: where the job lies.
        job: job id.
        by: who asks.
        at: when, ISO 8601, UTC.
        order: how the job should stand.
        settings: number of those that hold.
        anew: write it also where it stands there already, so that clean-up sees that somebody wants the job.

    Raises:
        JobRefusedError: it cannot be read by this version, or others keep changing it.
    """
    for _ in range(_TRIES):
        info = store.head(control_key(job))
        before = read_control(store, job)
        wanted = replace(before, order=order or before.order, settings=max(before.settings, settings or 0))
        if wanted == before and info is not None and not anew:
            return before
        wanted = replace(wanted, number=before.number + 1, by=by, at=at)
        body = json.dumps({"schema": CONTROL_SCHEMA} | asdict(wanted), indent=1).encode()
        try:
            if info is None:
                store.put(control_key(job), body, mode="create")
            else:
                store.put(control_key(job), body, if_match=info.etag)
        except AlreadyExistsError:
            continue  # somebody else asked meanwhile, or our own answer was lost: then the next look finds it done
        return wanted
    raise JobRefusedError(f"{job}: others keep changing what is asked of it; try again")


def latest_settings(store: Store, job: str) -> tuple[int, Settings]:
    """The settings that hold and their number. Raises: JobRefusedError: there are none, so this is no whole job."""
    keys = [info.key for info in store.list(f"{job_folder(job)}settings/")]
    if not keys:
        raise JobRefusedError(f"{job} has no settings in {store.uri}: it was never submitted whole; submit it again")
    return _number(keys[-1]), settings_from_json(store.get(keys[-1]))


def put_settings(store: Store, job: str, settings: Settings) -> int:
    """Write the settings as a new version, if they changed; gives the number of those that hold then."""
    for _ in range(_TRIES):
        keys = [info.key for info in store.list(f"{job_folder(job)}settings/")]
        if keys and settings_from_json(store.get(keys[-1])) == settings:
            return _number(keys[-1])
        number = _number(keys[-1]) + 1 if keys else 1
        try:
            store.put(settings_key(job, number), settings_to_json(settings), mode="create")
        except AlreadyExistsError:
            continue
        return number
    raise JobRefusedError(f"{job}: others keep changing its settings; try again")


def _number(key: str) -> int:
    """The number in a settings key."""
    return int(key.rpartition("/")[2].removesuffix(".json"))


class StoredOrders:
    """Implements `pipeline.driving.orders.Orders`: what stands in `control.json`, and a button beside it.

    Args:
        store: where the job lies.
        job: job id.
        button: Ctrl-C; it comes before the order.
        clock: when to look again.
        number: of the settings that the driver has.
        settings: which these are.
    """

    def __init__(
        self, store: Store, job: str, *, button: StopButton, clock: Clock, number: int, settings: Settings
    ) -> None:
        self._store, self._job, self._button, self._clock = store, job, button, clock
        self._looked_ns: int | None = None
        self._control = Control()
        self._number = number
        self.settings = settings
        """Those that hold, as far as it is known here."""
        self._changed: Settings | None = None
        self._lock, self._looking = threading.Lock(), threading.Lock()

    def look(self) -> None:
        """Read the store if that is due; one that does not answer is asked again later."""
        with self._looking:  # the driver's loop and a thread beside it look; what was read last must hold
            now_ns = self._clock.now_ns()
            if self._looked_ns is None or now_ns - self._looked_ns >= LOOK_SECONDS * 1e9:
                self._looked_ns = now_ns
                self._read()

    def _read(self) -> None:
        """Take up what the store says now."""
        try:
            control = read_control(self._store, self._job)
            if control.settings > self._number:
                number, settings = latest_settings(self._store, self._job)
                with self._lock:
                    self._number, self.settings, self._changed = number, settings, settings
                _LOG.info("settings %d are taken up", number)
        except (StoreUnavailableError, StoreRefusedError, JobRefusedError, ValueError) as error:
            _LOG.debug("the orders are not read yet: %s", error)
            return
        if control.order is not self._control.order:
            _LOG.info("asked to %s by %s", control.order.value, control.by)
        self._control = control

    @property
    def paused(self) -> bool:
        """Whether the driver should stay and wait: paused by an order, not by the button."""
        return self._button.pressed is None and self._control.order is Order.PAUSE

    def stop(self) -> tuple[JobState, str] | None:
        """See `Orders.stop`."""
        if self._button.pressed is not None:
            return self._button.pressed
        control = self._control
        if control.order is Order.PAUSE:
            return JobState.PAUSED, f"paused by {control.by}; `spotrender resume {self._job}` goes on"
        if control.order is Order.CANCEL:
            return JobState.CANCELED, f"canceled by {control.by}; submit or resume it to go on, nothing is lost"
        return None

    def changed_settings(self) -> Settings | None:
        """See `Orders.changed_settings`."""
        with self._lock:
            changed, self._changed = self._changed, None
        return changed
