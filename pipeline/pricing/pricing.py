"""Keeps the tariffs of a driver's node sessions up to date with prices that change while nodes run."""

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future

from pipeline.errors import PriceUnknownError
from pipeline.job import ASSUMED_PRICE, NodeOffer
from pipeline.ledger.books import NodeSession
from pipeline.pricing.prices import Priced, Prices, Quote, priced
from pipeline.pricing.tariff import FOREVER, Tariff, flat
from pipeline.record import Node

_LOG = logging.getLogger(__name__)

REFRESH_SECONDS = 300.0
"""Spot prices change a few times a day; a step that is known late is still counted from its own instant on."""

LAST_WAIT_SECONDS = 8.0
"""How long the end of a job waits for its last prices; without them, the last known ones are taken."""

_Answer = Quote | str
"""A quote, or why there is none."""


class Pricing:
    """Prices of node sessions, asked for beside the driver's loop.

    Args:
        prices: where they come from.
        offers: the nodes that the job may use, with the prices that were known when the driver began.
        executor: runs one look-up at a time.
        refresh_seconds: how often prices are asked for.
    """

    def __init__(
        self,
        *,
        prices: Prices,
        offers: Callable[[], Iterable[NodeOffer]],
        executor: Executor,
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        self._prices, self._offers, self._executor = prices, offers, executor
        self._refresh_ns = round(refresh_seconds * 1e9)
        self._asked_ns = 0
        self._asked: set[str] = set()
        self._pending: Future[dict[Priced, _Answer]] | None = None
        self._said: set[str] = set()

    def first_tariff(self, node: Node) -> Tariff:
        """What a node that begins now costs, as far as that is known without asking anybody."""
        offer = self._offer_of(node)
        if (offer is not None and not offer.live) or (offer is None and self._said_for_any(node)):
            return flat(node.usd_per_hour, node.price_source)
        if offer is None:
            self._say(f"{node.node_id} is {priced(node).name}, which the job did not plan with; it is priced as such")
        return flat(node.usd_per_hour, node.price_source, final_until_ns=0)

    def refresh(self, sessions: Mapping[str, NodeSession], now_ns: int) -> set[str]:
        """Take in what was learned, and ask again when that is due; gives the sessions whose prices changed."""
        changed = self._collect(sessions, now_ns, wait_seconds=0.0)
        open_ = {name: session for name, session in sessions.items() if _is_open(session)}
        due = now_ns - self._asked_ns >= self._refresh_ns or not open_.keys() <= self._asked
        if self._pending is None and open_ and due:
            self._ask(open_, now_ns)
        return changed

    def refresh_now(self, sessions: Mapping[str, NodeSession], now_ns: int) -> set[str]:
        """The last look-up: ask, and wait a little for the answer."""
        changed = self._collect(sessions, now_ns, wait_seconds=LAST_WAIT_SECONDS)
        open_ = {name: session for name, session in sessions.items() if _is_open(session)}
        if self._pending is None and open_:
            self._ask(open_, now_ns)
        return changed | self._collect(sessions, now_ns, wait_seconds=LAST_WAIT_SECONDS)

    def _offer_of(self, node: Node) -> NodeOffer | None:
        """The offer that planned with this kind of node."""
        offers = [offer for offer in self._offers() if offer.type == node.node_type]
        return next((offer for offer in offers if offer.market == node.market), None)

    def _said_for_any(self, node: Node) -> bool:
        """Whether the user said what nodes cost without naming a type: then that is what this one costs."""
        return any(
            offer.type == "local" and offer.price_source != ASSUMED_PRICE and node.usd_per_hour == offer.usd_per_hour
            for offer in self._offers()
        )

    def _ask(self, sessions: Mapping[str, NodeSession], now_ns: int) -> None:
        """Look the prices of these sessions up, in the background."""
        wanted: dict[Priced, tuple[int, int]] = {}
        for session in sessions.values():
            what = priced(session.node)
            from_ns, until_ns = max(session.started_ns, session.tariff.final_until_ns), session.until_ns(now_ns)
            known = wanted.get(what, (from_ns, until_ns))
            wanted[what] = min(known[0], from_ns), max(known[1], until_ns)
        self._asked_ns, self._asked = now_ns, set(sessions)
        self._pending = self._executor.submit(self._look_up, wanted)

    def _look_up(self, wanted: Mapping[Priced, tuple[int, int]]) -> dict[Priced, _Answer]:
        answers: dict[Priced, _Answer] = {}
        for what, (from_ns, until_ns) in wanted.items():
            try:
                answers[what] = self._prices.quote(what, from_ns=from_ns, until_ns=until_ns)
            except PriceUnknownError as error:
                answers[what] = str(error)
        return answers

    def _collect(self, sessions: Mapping[str, NodeSession], now_ns: int, *, wait_seconds: float) -> set[str]:
        """Take the answers in, if they are there."""
        if self._pending is None:
            return set()
        try:
            answers = self._pending.result(timeout=wait_seconds)
        except TimeoutError:
            return set()
        self._pending = None
        changed = set()
        for name, session in sessions.items():
            answer = answers.get(priced(session.node))
            if answer is not None and _is_open(session) and self._take(session, answer, now_ns):
                changed.add(name)
        return changed

    def _take(self, session: NodeSession, answer: _Answer, now_ns: int) -> bool:
        """One session's new prices; whether they changed.

        A stand-in changes nothing for a node that was planned: what the offer said holds, and says where it is from.
        """
        if isinstance(answer, str):
            self._say(f"{answer}; it is counted at ${session.tariff.at(now_ns).usd_per_hour} an hour meanwhile")
            return False
        if answer.stand_in and self._offer_of(session.node) is not None:
            self._say(f"{priced(session.node).name}: {answer.stand_in}")
            return False
        before = session.tariff
        session.reprice(answer.steps, final_until_ns=min(answer.final_until_ns, session.until_ns(now_ns)))
        return session.tariff != before

    def _say(self, message: str) -> None:
        """Log, each thing once."""
        if message not in self._said:
            self._said.add(message)
            _LOG.warning("%s", message)


def _is_open(session: NodeSession) -> bool:
    """Whether prices of this session's time may still change."""
    final_ns = session.tariff.final_until_ns
    return final_ns < FOREVER and (session.ended_ns is None or final_ns < session.ended_ns)
