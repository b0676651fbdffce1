"""The workers of a driver as Ray actors, and the places that they hold: who is there, called how, replaced when."""

import contextlib
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from infra.compute.backoff import Backoff
from infra.compute.ray_actor import POLLS, worker_actor
from infra.compute.ray_demand import Demand
from infra.compute.ray_places import Member, Place, refit

_NODE_LABEL = "ray.io/node-id"
_AVOID_SECONDS = 120.0
"""A node that fell silent gets no new worker for this long; Ray itself may need a minute to see that it is dead."""

_LAST_LINES_SECONDS = 2.0
"""How long the workers' last lines are waited for at the end."""


class Crew:
    """All members of one compute.

    Args:
        prefix: of their names.
        most_delay_seconds: how late the next one takes the place of one that ended, at most.
    """

    def __init__(self, prefix: str, *, most_delay_seconds: float) -> None:
        self._prefix = f"{prefix}-{secrets.token_hex(4)}"
        self._most_delay_seconds = most_delay_seconds
        self._count = 0
        self._places: list[Place] = []
        self._avoided: dict[str, float] = {}
        self._members: dict[str, Member] = {}

    @property
    def members(self) -> list[Member]:
        """All of now."""
        return list(self._members.values())

    def get(self, name: str) -> Member | None:
        """The one of this name, if it is still one."""
        return self._members.get(name)

    def on(self, node_id: str) -> list[Member]:
        """Those that stand on a node."""
        return [member for member in self._members.values() if member.node_id == node_id]

    def refit(self, wanted: Iterable[Demand]) -> list[Member]:
        """Have places for these demands; gives the known members that are too many now, the others are ended."""
        before = {id(place): place.demand.options() for place in self._places}
        self._places, surplus = refit(self._places, wanted, self._members.values(), new=self._new_place)
        too_many = []
        for member in self.members:
            if member.place in surplus:
                too_many.append(member)
            elif not member.node_id and before[id(member.place)] != member.place.demand.options():
                self.bury(member, at_once=True)
        for member in [one for one in too_many if not one.node_id]:
            self.bury(member)
        self.fill()
        return [member for member in too_many if member.node_id]

    def fill(self) -> None:
        """Ask for a worker for every place that is due."""
        now = time.monotonic()
        self._avoided = {node_id: until for node_id, until in self._avoided.items() if until > now}
        for place in self._places:
            if place.due_at is not None and place.due_at <= now and not place.ending:
                place.due_at = None
                name = f"{self._prefix}-{self._count}"
                self._count += 1
                member = Member(name, place, worker_actor(self._options(place.demand)))
                self._members[name] = member
                self.call(member, "hello")

    def avoid(self, node_id: str) -> None:
        """Ask for no worker on this node, for a while."""
        self._avoided[node_id] = time.monotonic() + _AVOID_SECONDS

    def call(self, member: Member, method: str, *arguments: object) -> None:
        """Call the actor; `answers` gives what came of it."""
        remote = getattr(member.actor, method)
        if method == "poll":
            remote = remote.options(concurrency_group=POLLS)
        member.calls[remote.remote(*arguments)] = method

    def tell(self, worker: str, method: str, *arguments: object) -> None:
        """Call a worker that may be gone already."""
        member = self._members.get(worker)
        if member is not None and member.session:
            self.call(member, method, *arguments)

    def answers(self, others: Sequence[Any], *, timeout_seconds: float) -> tuple[list[tuple[Member, Any]], list[Any]]:
        """Wait for answers: those of members, and those among the other calls."""
        calls = {call: member for member in self._members.values() for call in member.calls}
        waiting = [*calls, *others]
        if not waiting:
            time.sleep(timeout_seconds)
            return [], []
        done, _ = ray.wait(waiting, num_returns=1, timeout=timeout_seconds)
        if done:
            done, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return [(calls[call], call) for call in done if call in calls], [call for call in done if call not in calls]

    def bury(self, member: Member, *, at_once: bool = False) -> None:
        """End what is left of a worker, and plan the next one in its place."""
        self._members.pop(member.name, None)
        member.calls.clear()
        with contextlib.suppress(RayError, ValueError):
            ray.kill(member.actor, no_restart=True)
        member.place.due_at = time.monotonic() + (0.0 if at_once else member.place.backoff.failed())
        if member.place.ending:
            self._places = [place for place in self._places if place is not member.place]

    def close(self) -> None:
        """End them all, once they have put their logs, or had time enough for that."""
        last = [member.actor.put_log.remote() for member in self._members.values() if member.session]
        if last:
            with contextlib.suppress(RayError, ValueError):
                ray.wait(last, num_returns=len(last), timeout=_LAST_LINES_SECONDS)
        for member in self._members.values():
            with contextlib.suppress(RayError, ValueError):
                ray.kill(member.actor, no_restart=True)
        self._members.clear()
        self._places.clear()

    def _options(self, demand: Demand) -> dict[str, Any]:
        """Options for Ray's actor: the demand's, and no node that is to be avoided."""
        options = demand.options()
        if self._avoided:
            options["label_selector"] |= {_NODE_LABEL: f"!in({','.join(sorted(self._avoided))})"}
        return options

    def _new_place(self, demand: Demand) -> Place:
        """A place that nobody holds."""
        return Place(demand, Backoff(most_seconds=self._most_delay_seconds))
