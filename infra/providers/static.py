"""Nodes that no cloud speaks for: name and market from the configuration, a notice by a file that appears.

This is for rented machines whose providers have no protocol, and for rehearsals: whoever knows that the node goes
writes a file, whose text is the seconds that are left, an ISO instant, `rebalance`, or nothing, which means now.
"""

import math
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.providers.metadata import instant_ns, name_in
from infra.providers.reports import SECOND_NS, Identity, Notice, SilentError, clamped
from infra.providers.table import Sighting
from pipeline.job import NodeOffer
from pipeline.record import Node

NOTICE_FILE = "SPOTRENDER_NOTICE_FILE"
"""Path of the file that announces the node's end; `{node}` in it becomes Ray's id of the node."""

_REGION = "ray.io/availability-region"
_ZONE = "ray.io/availability-zone"
_ACCELERATOR = "ray.io/accelerator-type"
_MARKETS = {"spot", "on_demand"}
_MOST_BYTES = 256
_MOST_SECONDS = 3600.0


class StaticProvider:
    """What the node says of itself, else what the offer says, else the labels of the node."""

    name = "static"

    def identify(self, offer: NodeOffer, sighting: Sighting) -> Node:
        """The node; its session is named after it and the job, so that the next driver goes on with the same one."""
        labels, told = sighting.labels, sighting.identity or Identity(provider=self.name)
        node_type, market = told.node_type or offer.type, told.market or offer.market
        other = (node_type, market) != (offer.type, offer.market)
        price_source = f"{offer.price_source}, for {offer.type} {offer.market}" if other else offer.price_source
        return Node(
            node_session=f"{sighting.node_id[:12]}-{sighting.job[-8:]}",
            node_id=told.node_id or sighting.node_id,
            provider=self.name,
            node_type=node_type,
            market=market,
            gpu=sighting.gpu or labels.get(_ACCELERATOR, "") or offer.gpu or "gpu",
            gpu_count=sighting.gpu_count,
            region=told.region or offer.region or labels.get(_REGION, ""),
            zone=told.zone or offer.zone or labels.get(_ZONE, ""),
            usd_per_hour=offer.usd_per_hour,
            price_source=price_source,
            node_gpus=sighting.node_gpus,
        )


class LocalProvider(StaticProvider):
    """This machine."""

    name = "local"


class FileSource:
    """A file that whoever takes the node writes, and removes to take it back.

    Args:
        path: of the file.
        now_ns: the node's clock.
    """

    name = "static"
    poll_seconds = 1.0

    def __init__(self, path: Path, *, now_ns: Callable[[], int]) -> None:
        self._path, self._now_ns = path, now_ns

    def identity(self) -> None:
        """A file says only when."""

    def notices(self) -> tuple[Notice, ...]:
        """The file's, if it is there."""
        try:
            text = self._text()
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            raise SilentError(f"{self._path}: cannot be read: {error}") from error
        now_ns = self._now_ns()
        if text == "rebalance":
            return (Notice(kind="rebalance", deadline_ns=now_ns, source=self.name, key=text),)
        deadline_ns = clamped(_deadline_ns(text, now_ns), now_ns=now_ns, most_seconds=_MOST_SECONDS)
        return (Notice(kind="reclaim", deadline_ns=deadline_ns, source=self.name, key=text),)

    def _text(self) -> str:
        """Of a plain file, opened so that a pipe of that name holds nobody up."""
        handle = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError("not a plain file")
            return os.read(handle, _MOST_BYTES).decode("utf-8", "replace").strip()
        finally:
            os.close(handle)


def _deadline_ns(text: str, now_ns: int) -> int:
    """When the node goes; what makes no sense means now, as the file itself is the notice."""
    try:
        seconds = float(text)
    except ValueError:
        return instant_ns(text) or now_ns
    return now_ns + round(min(seconds, _MOST_SECONDS) * SECOND_NS) if math.isfinite(seconds) else now_ns


def configured(identity: Identity, environ: Mapping[str, str]) -> Identity:
    """What the node's own environment says goes before what its cloud says."""
    market = environ.get("SPOTRENDER_MARKET", "").strip().replace("-", "_")
    said: dict[str, Any] = {
        "node_id": name_in(environ.get("SPOTRENDER_NODE_NAME", "").strip()),
        "node_type": name_in(environ.get("SPOTRENDER_NODE_TYPE", "").strip()),
        "market": market if market in _MARKETS else "",
        "region": name_in(environ.get("SPOTRENDER_REGION", "").strip()),
        "zone": name_in(environ.get("SPOTRENDER_ZONE", "").strip()),
    }
    return replace(identity, **{field: value for field, value in said.items() if value})
