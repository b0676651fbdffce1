"""Every instant of a node session belongs to one category, whatever happens in whatever order, at whatever prices."""

import json
from collections.abc import Callable
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger.books import MOST_PIECES, Category, NodeSession, Span
from pipeline.ledger.nodes import categories
from pipeline.ledger.session_file import session_from_json, session_to_json
from pipeline.pricing.tariff import PriceStep, flat
from pipeline.record import Node

_START = 1_800_000_000_000_000_000
_SECOND = 1_000_000_000
_KINDS = (
    *("batch", "idle", "commit", "fail", "lose", "leave", "attempt", "resume", "reload", "end", "reopen", "outlive"),
    *("heartbeat", "price", "fold"),
)
_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(_KINDS),
        st.integers(0, 2),
        st.integers(-5 * _SECOND, 60 * _SECOND),
    ),
    max_size=40,
)


def node(gpus: int, *, node_gpus: int = 0) -> Node:
    """A node with a price that does not divide evenly."""
    return Node(
        node_session="s",
        node_id="n",
        provider="static",
        node_type="t",
        market="spot",
        gpu="g",
        gpu_count=gpus,
        usd_per_hour=Decimal("1.861"),
        node_gpus=node_gpus,
    )


def live_session(gpus: int, *, node_gpus: int = 0) -> NodeSession:
    """One whose prices may change from its beginning on."""
    tariff = flat(Decimal("1.861"), "said at first", final_until_ns=0)
    return NodeSession(node(gpus, node_gpus=node_gpus), started_ns=_START, tariff=tariff)


def total(session: NodeSession, now_ns: int) -> tuple[int, int]:
    """Time and money over all categories."""
    spans = [session.total(category, session.until_ns(now_ns)) for category in Category]
    return sum(span.nanoseconds for span in spans), sum(span.nano_usd for span in spans)


def happen(session: NodeSession, what: str, number: int, now_ns: int, sequence: int) -> NodeSession:
    """One event; gives the session that goes on."""
    gpu, ends = number % len(session.gpus), "reclaimed" if number else "lost"
    batch = ("a", max(0, sequence - number))
    actions: dict[str, Callable[[], object]] = {
        "batch": lambda: session.switch(gpu, now_ns, ("a", sequence)),
        "idle": lambda: session.switch(gpu, now_ns, Category.IDLE),
        "commit": lambda: session.settle(gpu, batch, Category.COMMITTED),
        "fail": lambda: session.settle(gpu, batch, Category.LOST_TO_FAILURE),
        "attempt": lambda: session.settle_attempt(gpu, "a", Category.LOST_TO_PREEMPTION),
        "lose": lambda: session.lose(gpu, now_ns, Category.LOST_TO_PREEMPTION, then=Category.BOOT),
        "leave": lambda: session.lose(gpu, now_ns, Category.LOST_TO_PREEMPTION, then=None),
        "resume": lambda: session.resume(now_ns),
        "end": lambda: session.end(now_ns, ends, Category.LOST_TO_PREEMPTION),
        "reopen": lambda: session.reopen(now_ns),
        "outlive": lambda: session.outlived(now_ns),
        "heartbeat": lambda: setattr(session, "heartbeat_ns", max(session.heartbeat_ns, now_ns)),
        "price": lambda: change_price(session, Decimal(number + 1) / 7, now_ns - 20 * _SECOND),
        "fold": session.fold,
        "reload": lambda: session_from_json(session_to_json(session)),
    }
    outcome = actions[what]()
    return outcome if isinstance(outcome, NodeSession) else session


def change_price(session: NodeSession, usd_per_hour: Decimal, at_ns: int) -> None:
    """One more step becomes known."""
    step = PriceStep(at_ns=at_ns, usd_per_hour=usd_per_hour, source="changed")
    session.reprice([*session.tariff.steps, step], final_until_ns=at_ns - 10 * _SECOND)


@given(
    events=_EVENTS,
    gpus=st.integers(1, 3),
    others=st.integers(0, 2),
    end=st.integers(-(10**10), 10**12),
    claimed=st.integers(0, 10**12),
)
def test_any_history_adds_up_to_gpus_times_lifetime(
    events: list[tuple[str, int, int]], gpus: int, others: int, end: int, claimed: int
) -> None:
    """Clock steps, deaths, takeovers, late heartbeats, price changes, reloads: time and money add up, exactly."""
    session, now_ns, sequence = live_session(gpus, node_gpus=gpus + others), _START, 0
    for what, number, step_ns in events:
        now_ns = max(_START, now_ns + step_ns)
        sequence += what == "batch"
        if session.ended_ns is not None and what in {"batch", "idle", "lose", "leave", "resume"}:
            continue
        session = happen(session, what, number, now_ns, sequence)
    session.end(now_ns + end, "released", Category.LOST_TO_FAILURE)
    lifetime = session.lifetime(now_ns)
    assert total(session, now_ns) == (lifetime.nanoseconds, lifetime.nano_usd)
    assert all(session.total(category).nanoseconds >= 0 for category in Category)
    before = session.total(Category.COMMITTED)
    room = lifetime.nanoseconds - before.nanoseconds
    spent = {("s", "rendered"): Span(before.nanoseconds + min(claimed, room), before.nano_usd)}
    amounts = categories(session, spent, now_ns=now_ns)
    assert amounts["unattributed"] == Span()
    assert amounts["rendering"] == spent["s", "rendered"]
    assert min(span.nanoseconds for span in amounts.values()) >= 0
    assert min(span.nano_usd for span in amounts.values()) >= 0


@given(cuts=st.lists(st.integers(0, 7200), min_size=1, max_size=30), changes=st.lists(st.integers(0, 7200), max_size=5))
def test_cost_does_not_depend_on_when_prices_became_known(cuts: list[int], changes: list[int]) -> None:
    """The same history costs the same, whether a step was known before its time, or only at the end."""
    steps = [PriceStep(at_ns=0, usd_per_hour=Decimal("0.9"), source="a")]
    for number, second in enumerate(changes):
        at_ns = _START + second * _SECOND
        steps.append(PriceStep(at_ns=at_ns, usd_per_hour=Decimal(number) + Decimal("0.123456789"), source="a"))
    early, late = live_session(2), live_session(2)
    early.reprice(steps, final_until_ns=0)
    for session in (early, late):
        for number, second in enumerate(sorted(cuts)):
            session.switch(0, _START + second * _SECOND, ("a", number))
            session.settle(0, ("a", number - 1), Category.COMMITTED)
            session.fold()
        session.end(_START + 7200 * _SECOND, "released", Category.LOST_TO_FAILURE)
    late.reprice(steps, final_until_ns=0)
    assert [early.total(category) for category in Category] == [late.total(category) for category in Category]
    assert early.lifetime(0) == late.lifetime(0)


def test_price_that_changes_in_the_middle_is_integrated_piecewise() -> None:
    """Two hours at $1 and one at $4 cost $6, wherever the hours were cut, and the idle hour after the step costs $4."""
    session, hour = live_session(1), 3600 * _SECOND
    session.switch(0, _START + hour, ("a", 0))
    session.switch(0, _START + 2 * hour, Category.IDLE)
    session.settle(0, ("a", 0), Category.COMMITTED)
    steps = [
        PriceStep(at_ns=_START - hour, usd_per_hour=Decimal(1), source="spot"),
        PriceStep(at_ns=_START + 2 * hour, usd_per_hour=Decimal(4), source="spot"),
    ]
    session.reprice(steps, final_until_ns=_START + 3 * hour)
    session.end(_START + 3 * hour, "released", Category.LOST_TO_FAILURE)
    session.fold()
    spent = {category: session.total(category).nano_usd for category in Category}
    assert (spent[Category.BOOT], spent[Category.COMMITTED], spent[Category.IDLE]) == (10**9, 10**9, 4 * 10**9)
    assert session.lifetime(0).nano_usd == 6 * 10**9


def test_intervals_do_not_pile_up_while_prices_are_not_known() -> None:
    """A source that is silent for days costs a bounded amount of memory."""
    session = live_session(1)
    for number in range(5 * MOST_PIECES):
        session.switch(0, _START + number * _SECOND, Category.IDLE if number % 2 else ("a", number))
        session.settle(0, ("a", number - 1), Category.COMMITTED)
        session.fold()
    assert len(session.gpus[0].recent) <= MOST_PIECES + 1
    assert total(session, _START) == (session.lifetime(_START).nanoseconds, session.lifetime(_START).nano_usd)


def test_share_of_a_node_that_others_use_is_not_paid_for() -> None:
    """Two GPUs of a node of eight cost a quarter of it."""
    session = NodeSession(node(2, node_gpus=8), started_ns=_START)
    session.end(_START + 8 * 3600 * _SECOND, "released", Category.IDLE)
    assert abs(session.lifetime(0).nano_usd - 2 * 1_861_000_000) <= 2


def test_batch_in_flight_at_a_death_is_lost_and_committed_ones_are_not() -> None:
    """A worker's death costs the batch in flight; what it had committed stays rendered."""
    session = NodeSession(node(1), started_ns=_START)
    session.switch(0, _START + 2 * _SECOND, Category.IDLE)
    session.switch(0, _START + 3 * _SECOND, ("a", 0))
    session.switch(0, _START + 5 * _SECOND, ("a", 1))
    session.settle(0, ("a", 0), Category.COMMITTED)
    session.lose(0, _START + 6 * _SECOND, Category.LOST_TO_PREEMPTION, then=Category.BOOT)
    totals = {category: session.total(category).nanoseconds // _SECOND for category in Category}
    assert {category: seconds for category, seconds in totals.items() if seconds} == {
        Category.BOOT: 2,
        Category.IDLE: 1,
        Category.COMMITTED: 2,
        Category.LOST_TO_PREEMPTION: 1,
    }


def test_record_that_nobody_heard_of_is_taken_out_of_what_was_lost() -> None:
    """Records found after a death move their time from lost to rendering."""
    session = NodeSession(node(1), started_ns=_START)
    session.switch(0, _START + _SECOND, ("a", 0))
    session.end(_START + 4 * _SECOND, "lost", Category.LOST_TO_FAILURE)
    amounts = categories(session, {("s", "rendered"): Span(2 * _SECOND, 0)}, now_ns=_START)
    assert amounts["rendering"].nanoseconds == 2 * _SECOND
    assert amounts["lost_to_failure"].nanoseconds == _SECOND


def test_session_of_the_first_schema_stays_readable() -> None:
    """A file of an earlier version is read; its open batches count as lost until a record says otherwise."""
    closed = {category.value: {"nanoseconds": 0, "nano_usd": 0} for category in Category}
    line = {
        "since_ns": _START + 5 * _SECOND,
        "owner": ["a", 1],
        "closed": closed | {"startup": {"nanoseconds": 2 * _SECOND, "nano_usd": 1_033_888}},
        "batches": [["a", 0, {"nanoseconds": 3 * _SECOND, "nano_usd": 1_550_833}]],
    }
    stored = json.loads(session_to_json(NodeSession(node(1), started_ns=_START)))
    for field in ("tariff", "shared", "launched_ns"):
        del stored[field]
    del stored["node"]["node_gpus"]
    session = session_from_json(json.dumps(stored | {"schema": 1, "gpus": [line]}).encode())
    session.end(_START + 6 * _SECOND, "lost", Category.LOST_TO_FAILURE)
    assert session.total(Category.LOST_TO_FAILURE).nanoseconds == 4 * _SECOND
    assert total(session, 0)[0] == session.lifetime(0).nanoseconds == 6 * _SECOND


def test_batches_that_were_given_up_are_remembered_by_name() -> None:
    """What was committed is not among them, what was lost is, each once, and also after a reload."""
    session = NodeSession(node(1), started_ns=_START)
    for sequence in range(3):
        session.switch(0, _START + sequence * 10**9, ("a", sequence))
    session.settle(0, ("a", 0), Category.COMMITTED)
    session.lose(0, _START + 4 * 10**9, Category.LOST_TO_PREEMPTION, then=Category.BOOT)
    session.lose(0, _START + 5 * 10**9, Category.LOST_TO_FAILURE, then=Category.BOOT)
    assert session_from_json(session_to_json(session)).lost == session.lost == [("a", 1), ("a", 2)]
