"""What an image costs on each type of node, while the job runs."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.ledger.accounts import Accounts
from pipeline.ledger.type_figures import Expected, TypeFigures
from pipeline.ports import Clock
from pipeline.pricing.money import usd

_REFRESH_SECONDS = 5.0


class TypeMeter:
    """Adds up node sessions and images by type and market, now and then.

    Args:
        accounts: the node sessions.
        made: images rendered, by node session; goes on counting.
        expected: what the job was planned with.
        clock: when to add up again.
    """

    def __init__(
        self, accounts: Accounts, made: Mapping[str, int], expected: Sequence[Expected], *, clock: Clock
    ) -> None:
        self._accounts, self._made, self._clock = accounts, made, clock
        self._expected = {(one.node_type, one.market): one.usd_per_image for one in expected}
        self._looked_ns: int | None = None
        self._figures: tuple[TypeFigures, ...] = ()

    def figures(self, *, fresh: bool = False) -> tuple[TypeFigures, ...]:
        """Of each type that was used, dearest first; `fresh`: of this instant."""
        now_ns = self._clock.now_ns()
        if fresh or self._looked_ns is None or now_ns - self._looked_ns >= _REFRESH_SECONDS * 1e9:
            self._looked_ns, self._figures = now_ns, self._add_up(now_ns)
        return self._figures

    def _add_up(self, now_ns: int) -> tuple[TypeFigures, ...]:
        nodes, rendered, spent = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for node, nano_usd in self._accounts.spent(now_ns):
            key = node.node_type, node.market
            nodes[key] += 1
            rendered[key] += self._made.get(node.node_session, 0)
            spent[key] += nano_usd
        return tuple(
            TypeFigures(
                node_type=key[0],
                market=key[1],
                nodes=nodes[key],
                rendered=rendered[key],
                usd=usd(nano),
                planned_usd_per_image=self._expected.get(key),
            )
            for key, nano in spent.most_common()
        )
