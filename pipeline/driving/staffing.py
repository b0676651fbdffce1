"""Which of a job's nodes its driver asks for: the reserve when the deadline takes it, none that has no work left.

Other jobs on the cluster wait for what this one holds, so a node without work is let go, and what is asked for and not
there is said.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pipeline.driving.crew import Member
from pipeline.driving.deadline import Pacer, Reserve, Standpoint
from pipeline.driving.foreman import Foreman
from pipeline.driving.node_rates import NodeRates
from pipeline.driving.outlook import Kind, Outlook
from pipeline.driving.standing import Standing
from pipeline.events import BatchCommitted, WorkerEvent, WorkerReady
from pipeline.job import NodeOffer, Settings
from pipeline.ports import Compute


def within(offers: Sequence[NodeOffer], most: Sequence[int], *, workers: int | None) -> tuple[int, ...]:
    """Nodes of each offer, the first ones first, cut to those that so many workers need."""
    if workers is None:
        return tuple(most)
    found, left = [], workers
    for offer, nodes in zip(offers, most, strict=True):
        found.append(max(0, min(nodes, -(-left // offer.gpus))))
        left -= found[-1] * offer.gpus
    return tuple(found)


def all_nodes(offers: tuple[NodeOffer, ...], *, workers: int | None) -> tuple[NodeOffer, ...]:
    """The offers, cut to those that so many workers need."""
    most = within(offers, [offer.max for offer in offers], workers=workers)
    return tuple(replace(offer, max=nodes) for offer, nodes in zip(offers, most, strict=True))


class Staffing:
    """Says what the compute is offered.

    Args:
        standing: the job.
        settings: of the job, as they are now.
        foreman: who is there and has work.
        compute: told of the nodes.
        workers: at most so many, in whole nodes; None: as the settings say.
    """

    def __init__(
        self,
        *,
        standing: Standing,
        settings: Callable[[], Settings],
        foreman: Foreman,
        compute: Compute,
        workers: int | None = None,
    ) -> None:
        self._standing, self._settings, self._foreman, self._compute = standing, settings, foreman, compute
        self._policy = standing.policy
        self.rates = NodeRates(
            expected={one.node_type: one.images_per_second for one in settings().expected},
            changeover_seconds=self._policy.changeover_seconds,
        )
        self._workers = workers
        self._told = self._all()
        self._pacer, self._deadline = Pacer(), settings().deadline
        self._outlook = Outlook()
        self._held: dict[int, int] = {}
        self._asked_at: float | None = None
        self._looked_at = self._now()
        self._spare_since: float | None = None
        self._missing_since: float | None = None

    def begin(self) -> None:
        """Before the compute starts: it must not ask for the reserve."""
        if self._wanted() != self._told:
            self._offer(self._wanted())

    def end(self) -> None:
        """When the compute is closed: what it is started with again is what the settings say."""
        if self._told != self._all():
            self._offer(self._all())

    def changed(self) -> None:
        """The settings are new ones."""
        self._offer(self._wanted())

    def hear(self, event: WorkerEvent) -> None:
        """Measure."""
        if isinstance(event, BatchCommitted):
            self.rates.committed(event.record)
        elif isinstance(event, WorkerReady) and self._asked_at is not None and event.worker in self._foreman.crew:
            place = self._place(self._foreman.crew[event.worker])
            if place in self._held:
                self.rates.started("reserve", self._now() - self._asked_at)
                self._asked_at = None

    def look(self) -> None:
        """See whether other nodes are wanted."""
        now = self._now()
        passed = now - self._looked_at
        if passed < self._policy.staffing_seconds:
            return
        self._looked_at = now
        crew, handout = self._foreman.crew, self._foreman.work.handout
        for worker in crew.ready:
            node = crew[worker].node
            if node is not None and handout.has_work(worker) and not crew[worker].preparing:
                self.rates.worked(node.node_type, passed)
        if self._foreman.stopping or not self._settings().nodes:
            return
        self._look_at_deadline(now)
        self._look_at_work(now)
        if (wanted := self._wanted()) != self._told:
            self._offer(wanted)
        self._count(now)

    @property
    def on_time(self) -> bool | None:
        """Whether the deadline will be met; None: there is none, or nothing was measured."""
        return self._outlook.on_time

    @property
    def outlook(self) -> str:
        """What stands against the deadline, and what would make it; empty while nothing does."""
        return self._outlook.text

    @property
    def waits(self) -> str:
        """Which nodes are waited for, since when; empty while all are there, or nearly so."""
        now, since = self._now(), self._missing_since
        if since is None or now - since <= self._policy.drought_seconds:
            return ""
        asked, there = self._asked_and_there()
        at = datetime.fromtimestamp(since, UTC).isoformat(timespec="minutes")
        return f"waiting for nodes: {asked:,} asked, {there:,} there, since {at}"

    @property
    def reserve(self) -> str:
        """How many nodes of the reserve are held; empty for none."""
        held = sum(self._held.values())
        return f"{held} on-demand node{'' if held == 1 else 's'} for the deadline" if held else ""

    def _look_at_deadline(self, now: float) -> None:
        """How much of the reserve is to be held, and whether that makes it."""
        settings = self._settings()
        if settings.deadline != self._deadline:
            self._pacer, self._deadline, self._outlook = Pacer(), settings.deadline, Outlook()
        reserves = [number for number, offer in enumerate(settings.nodes) if settings.is_reserve(offer)]
        before = sum(self._held.values())
        self._held = {number: self._held.get(number, 0) for number in reserves}
        if settings.deadline is None or settings.deadline.timestamp() <= now:
            self._held = dict.fromkeys(reserves, 0)
            self._outlook = Outlook()
            return
        there = self._there()
        kinds = [self._kind(offer, there.get(number, 0)) for number, offer in enumerate(settings.nodes)]
        if reserves:
            self._held = dict(zip(reserves, self._pacer.look(self._standpoint(now, reserves, kinds)), strict=True))
        if sum(self._held.values()) > before:
            self._asked_at = now
        self._outlook.look(
            now,
            seconds=settings.deadline.timestamp() - now,
            left=self._standing.progress.missing,
            changeover_seconds=self.rates.changeover_seconds,
            kinds=kinds,
            reserves=reserves,
        )

    def _standpoint(self, now: float, reserves: list[int], kinds: list[Kind]) -> Standpoint:
        """The job before its deadline."""
        settings, crew = self._settings(), self._foreman.crew
        up = dict.fromkeys(reserves, 0)
        spot_rate, spot_there = 0.0, False
        for _, member in crew.members:
            place = self._place(member)
            if place in up:
                up[place] += member.ready
            elif member.node is not None and member.notice != "reclaim" and not member.leaving:
                spot_rate += self.rates.of(member.node.node_type)
                spot_there = True
        return Standpoint(
            now=now,
            deadline=settings.deadline.timestamp() if settings.deadline else now,
            left=max(1, self._standing.progress.missing),
            spot_rate=spot_rate,
            spot_there=spot_there,
            changeover_seconds=self.rates.changeover_seconds,
            batch_seconds=self.rates.batch_seconds + self._policy.staffing_seconds,
            reserves=tuple(
                Reserve(
                    most=settings.nodes[number].max,
                    images_per_second=kinds[number].images_per_second,
                    usd_per_hour=settings.nodes[number].usd_per_hour,
                    up=up[number] // settings.nodes[number].gpus,
                )
                for number in reserves
            ),
        )

    def _look_at_work(self, now: float) -> None:
        """Since when there is no work that waits for a worker."""
        waits = len(self._foreman.work.handout.queue) or self._foreman.work.returns.waiting
        if waits or not self._foreman.work.handout.busy:
            self._spare_since = None
        elif self._spare_since is None:
            self._spare_since = now

    def _wanted(self) -> tuple[int, ...]:
        """Nodes of each offer to be asked for."""
        settings = self._settings()
        most = [
            self._held.get(number, 0) if settings.is_reserve(offer) else offer.max
            for number, offer in enumerate(settings.nodes)
        ]
        if self._spare_since is not None and self._now() - self._spare_since > self._policy.idle_seconds:
            busy = self._there(with_work=True)
            if busy and None not in busy:
                most = [min(nodes, busy.get(number, 0)) for number, nodes in enumerate(most)]
        return within(settings.nodes, most, workers=self._workers)

    def _offer(self, wanted: tuple[int, ...]) -> None:
        """Tell the compute. An offer of which no node is wanted stays, so that nodes are told apart as before."""
        settings, self._told = self._settings(), wanted
        self._compute.offer(
            tuple(
                replace(offer, max=nodes, only_for_deadline=settings.is_reserve(offer))
                for offer, nodes in zip(settings.nodes, wanted, strict=True)
            )
        )

    def _all(self) -> tuple[int, ...]:
        """Nodes of each offer that a compute asks for that was told nothing else."""
        nodes = self._settings().nodes
        return within(nodes, [offer.max for offer in nodes], workers=self._workers)

    def _kind(self, offer: NodeOffer, there: int) -> Kind:
        """An offer as the deadline sees it."""
        rate = self.rates.of(offer.type) * offer.gpus
        return Kind(name=f"{offer.type} {offer.market}", most=offer.max, there=there, images_per_second=rate)

    def _there(self, *, with_work: bool = False) -> dict[int | None, int]:
        """Nodes that are there by the number of their offer; None: of no offer."""
        crew, handout = self._foreman.crew, self._foreman.work.handout
        found: dict[int | None, set[str]] = {}
        for name, member in crew.members:
            if with_work and not handout.has_work(name):
                continue
            node = member.node.node_session if member.node else name
            found.setdefault(self._place(member), set()).add(node)
        return {number: len(nodes) for number, nodes in found.items()}

    def _place(self, member: Member) -> int | None:
        """The number of the offer that a worker's node is of."""
        node, offers = member.node, self._settings().nodes
        if node is None:
            return None
        same = [number for number, offer in enumerate(offers) if offer.type == node.node_type]
        exact = [number for number in same if offers[number].market == node.market]
        return next(iter((*exact, *same)), None)

    def _asked_and_there(self) -> tuple[int, int]:
        """Nodes."""
        return sum(self._told), sum(self._there().values())

    def _count(self, now: float) -> None:
        """Since when nodes are missing."""
        asked, there = self._asked_and_there()
        if there >= asked:
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now

    def _now(self) -> float:
        """Seconds since the epoch."""
        return self._standing.clock.now_ns() / 1e9
