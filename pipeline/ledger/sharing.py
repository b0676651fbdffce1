"""An instance that several jobs of a store use is paid for once: who pays for time in which no worker stood there."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.ledger.books import NodeSession, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Another job's time on the instance."""

    started_ns: int
    ended_ns: int
    gpus: int


def shared_span(session: NodeSession, claims: Sequence[Claim], *, now_ns: int) -> Span:
    """What of a session's GPU time others pay for.

    A GPU is certainly this job's from its first worker on. Before that, and where none ever came, it yields to the
    claims of other jobs, as far as the node has not GPUs for all.
    """
    until_ns = session.until_ns(now_ns)
    soft = [
        (gpu, min(until_ns, line.worker_since_ns or until_ns))
        for gpu, line in enumerate(session.gpus)
        if line.worker_since_ns is None or line.worker_since_ns > session.started_ns
    ]
    cuts = {session.started_ns, until_ns, *(end_ns for _, end_ns in soft)}
    cuts |= {at for claim in claims for at in (claim.started_ns, claim.ended_ns)}
    within = sorted(at for at in cuts if session.started_ns <= at <= until_ns)
    total = Span()
    for from_ns, to_ns in itertools.pairwise(within):
        yielding = [gpu for gpu, end_ns in soft if end_ns > from_ns]
        certain = len(session.gpus) - len(yielding)
        taken = sum(claim.gpus for claim in claims if claim.started_ns <= from_ns < claim.ended_ns)
        free = max(0, session.node.shares - certain - taken)
        for gpu in yielding[free:]:
            total.add(session.span(gpu, from_ns, to_ns))
    return total
