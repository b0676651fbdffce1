"""Nodes of a reserve and a deadline: met where they suffice, at no cost where spot nodes do, and without flapping."""

import itertools
import math
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.driving.deadline import Pacer, Reserve, Standpoint
from tests.pipeline.spot_market import STEP_SECONDS, Task, available, perform

WEATHER = st.lists(st.tuples(st.floats(60, 5_000), st.integers(0, 6)), min_size=1, max_size=8)
"""Droughts, and nodes that come and go, all at once or one by one."""


@st.composite
def tasks(draw: st.DrawFn, *, known: bool = True) -> Task:
    """A job whose reserve suffices by itself, some changeovers included."""
    rate, batch = draw(st.floats(0.1, 2.0)), draw(st.integers(1, 8))
    images, most = draw(st.integers(50, 600)), draw(st.integers(1, 4))
    changeover = draw(st.floats(20.0, 300.0))
    spare = (4 if known else 8) * (changeover + batch / rate + STEP_SECONDS)
    return Task(
        images=images,
        deadline=(images / (rate * most) + spare) * draw(st.floats(1.02, 2.0)),
        rate=rate,
        batch=batch,
        changeover_seconds=changeover,
        most_spot=draw(st.integers(0, 6)),
        most_reserve=most,
        rate_known=known,
    )


@settings(max_examples=30)
@given(task=st.one_of(tasks(), tasks(known=False)), weather=WEATHER)
def test_deadline_is_met_where_the_reserve_suffices(task: Task, weather: list[tuple[float, int]]) -> None:
    """Whatever the spot market does, and whether or not the rate is known at the start."""
    outcome = perform(task, weather)
    assert outcome.ended_at is not None
    assert outcome.ended_at <= task.deadline + STEP_SECONDS


@settings(max_examples=30)
@given(task=tasks(), weather=WEATHER, enough=st.integers(1, 6))
def test_reserve_costs_nothing_where_spot_nodes_suffice(
    task: Task, weather: list[tuple[float, int]], enough: int
) -> None:
    """Where never fewer are there than make it before the last changeovers, no reserve node is asked for."""
    lasting = task.deadline - 3 * task.changeover_seconds - 2 * (task.batch / task.rate + STEP_SECONDS)
    needed = math.ceil(task.images / (task.rate * lasting))
    calm = [(seconds, needed + nodes) for seconds, nodes in weather]
    spot = Task(**{name: getattr(task, name) for name in Task.__slots__} | {"most_spot": needed + enough})
    if any(available(calm, n * 60.0) < available(calm, (n - 1) * 60.0) for n in range(1, int(task.deadline / 60))):
        calm = [(task.deadline, needed)]  # nodes beyond the needed ones that go take no progress with them
    assert perform(spot, calm).reserve_seconds == 0


@settings(max_examples=30)
@given(task=st.one_of(tasks(), tasks(known=False)), weather=WEATHER)
def test_reserve_node_that_was_asked_for_is_kept_for_two_changeovers(
    task: Task, weather: list[tuple[float, int]]
) -> None:
    """However the market flickers: what was asked for is not let go before it was of use."""
    held = perform(task, weather).held
    rises = [(at, nodes) for (_, before), (at, nodes) in itertools.pairwise(held) if nodes > before]
    for since, nodes in rises:
        until = since + 2 * task.changeover_seconds - STEP_SECONDS
        assert all(many >= nodes for at, many in held if since <= at < until)


def test_a_drought_takes_as_many_reserve_nodes_as_needed_and_no_more() -> None:
    """2,000 images at 0.1 a second in ten hours are the work of one node; eight are offered, one is held."""
    task = Task(images=2_000, deadline=36_000, rate=0.1, batch=4, changeover_seconds=300, most_spot=4, most_reserve=8)
    outcome = perform(task, [(36_000, 0)])
    assert outcome.ended_at is not None
    assert {nodes for _, nodes in outcome.held} == {0, 1}


def test_job_goes_back_to_spot_nodes_when_it_is_ahead() -> None:
    """In a drought a node is held till the job is an hour ahead, and again later; then spot nodes do the rest."""
    task = Task(images=2_000, deadline=36_000, rate=0.1, batch=4, changeover_seconds=300, most_spot=4, most_reserve=8)
    outcome = perform(task, [(10_800, 0), (36_000, 4)])
    assert outcome.ended_at is not None
    held = [nodes for _, nodes in outcome.held]
    assert held[-1] == 0
    changes = [after for before, after in itertools.pairwise(held) if before != after]
    assert changes == [1, 0, 1, 0]


def test_short_drought_ahead_of_the_line_takes_no_reserve() -> None:
    """Four nodes where one would do: ten minutes without any are waited for."""
    task = Task(images=2_000, deadline=36_000, rate=0.1, batch=4, changeover_seconds=120, most_spot=4, most_reserve=8)
    outcome = perform(task, [(2_400, 4), (600, 0), (36_000, 4)])
    assert (outcome.reserve_seconds, outcome.ended_at is not None) == (0, True)


def test_of_several_reserves_the_cheapest_for_an_image_comes_first() -> None:
    """A node that costs more an hour may cost less an image."""
    reserves = (
        Reserve(most=4, images_per_second=1.0, usd_per_hour=Decimal(1)),
        Reserve(most=1, images_per_second=4.0, usd_per_hour=Decimal(3)),
    )
    standpoint = Standpoint(
        now=0.0,
        deadline=1_000.0,
        left=4_000,
        spot_rate=0.0,
        spot_there=False,
        changeover_seconds=50.0,
        batch_seconds=1.0,
        reserves=reserves,
    )
    pacer = Pacer()
    pacer.look(standpoint)
    late = Standpoint(**{name: getattr(standpoint, name) for name in Standpoint.__slots__} | {"now": 100.0})
    assert pacer.look(late) == (2, 1)
