"""Prices that a provider told, kept in the store for all jobs under it: `prices/<source>/<region>/<type>-<zone>.json`.

A file holds `schema`, `asked_ns` (when), `from_ns` and `until_ns` (for which time), and `steps` as
`[instant_ns, "usd per hour", "source"]`. It is used for as long as its source stays fresh, and never afterwards.
"""

import json
import logging
import re
from typing import Protocol

from infra.providers.ec2_answers import price_of
from pipeline.errors import NotFoundError, PriceUnknownError, StoreRefusedError, StoreUnavailableError
from pipeline.layout import price_key
from pipeline.ports import Clock, Store
from pipeline.pricing.prices import Priced
from pipeline.pricing.tariff import PriceStep

_LOG = logging.getLogger(__name__)
_SCHEMA = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EARLIER_NS = 3_600_000_000_000
"""So much more of the past is asked for, so that nodes which began a little earlier find it too."""


class PriceSource(Protocol):
    """One provider's prices of one market."""

    name: str
    """Part of the cache's keys."""
    fresh_seconds: float
    """How long an answer stays good."""
    settles_seconds: float
    """How late a step may become known."""

    def steps(self, wanted: Priced, *, from_ns: int, until_ns: int, now_ns: int) -> tuple[PriceStep, ...]:
        """See `pipeline.pricing.prices.Quote`. Raises: PriceUnknownError."""


class CachedPrices:
    """A source and what the store remembers of it.

    Args:
        source: asked when the store knows nothing fresh.
        store: where answers are kept; trouble with it costs a call, no more.
        clock: time.
    """

    def __init__(self, source: PriceSource, *, store: Store, clock: Clock) -> None:
        self._source, self._store, self._clock = source, store, clock

    def steps(self, wanted: Priced, *, from_ns: int) -> tuple[tuple[PriceStep, ...], int]:
        """The steps from an instant until now, and until when they are final. Raises: PriceUnknownError."""
        now_ns = self._clock.now_ns()
        key = self._key(wanted)
        known = self._read(key, from_ns, now_ns)
        if known is None:
            start_ns = min(from_ns, now_ns) - _EARLIER_NS
            steps = self._source.steps(wanted, from_ns=start_ns, until_ns=now_ns, now_ns=now_ns)
            self._write(key, steps, from_ns=start_ns, now_ns=now_ns)
            known = steps, now_ns
        steps, asked_ns = known
        return steps, asked_ns - round(self._source.settles_seconds * 1e9)

    def _key(self, wanted: Priced) -> str:
        """Where it is kept. Raises: PriceUnknownError: names that are none, as a node may say what it likes."""
        for name in (wanted.region, wanted.node_type, wanted.zone):
            if name and not _NAME.fullmatch(name):
                raise PriceUnknownError(f"{name[:40]!r} is no name of a node type, region or zone")
        return price_key(self._source.name, wanted.region or "any", f"{wanted.node_type}-{wanted.zone or 'any'}")

    def _read(self, key: str, from_ns: int, now_ns: int) -> tuple[tuple[PriceStep, ...], int] | None:
        """What is kept, if it is fresh and covers the time."""
        try:
            values = json.loads(self._store.get(key))
            asked_ns = int(values["asked_ns"])
            fresh = 0 <= now_ns - asked_ns <= self._source.fresh_seconds * 1e9
            if values["schema"] != _SCHEMA or not fresh or int(values["from_ns"]) > from_ns:
                return None
            steps = tuple(
                PriceStep(at_ns=int(at_ns), usd_per_hour=price_of(usd), source=str(source))
                for at_ns, usd, source in values["steps"]
            )
        except NotFoundError:
            return None
        except (StoreUnavailableError, StoreRefusedError, ValueError, ArithmeticError, KeyError, TypeError) as error:
            _LOG.warning("%s is not used: %s", key, error)
            return None
        return (steps, asked_ns) if steps else None

    def _write(self, key: str, steps: tuple[PriceStep, ...], *, from_ns: int, now_ns: int) -> None:
        """Keep an answer."""
        values = {
            "schema": _SCHEMA,
            "asked_ns": now_ns,
            "from_ns": from_ns,
            "until_ns": now_ns,
            "steps": [[step.at_ns, str(step.usd_per_hour), step.source] for step in steps],
        }
        try:
            self._store.put(key, json.dumps(values).encode())
        except (StoreUnavailableError, StoreRefusedError) as error:
            _LOG.warning("%s is not kept: %s", key, error)
