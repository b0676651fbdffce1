"""Whether a deadline will be met, and what is said where it will not."""

from dataclasses import replace

import pytest

from pipeline.driving.outlook import Kind, Outlook, remedy, shortfall

SPOT = Kind(name="g6e.xlarge spot", most=1, there=1, images_per_second=0.5)
RESERVE = Kind(name="g6e.xlarge on_demand", most=1, there=0, images_per_second=0.5)
HOUR = 3_600.0


def seen(kinds: list[Kind], *, left: int, reserves: tuple[int, ...] = ()) -> Outlook:
    """What is known after two minutes of an hour in which nothing changes."""
    outlook = Outlook()
    for now in range(0, 120, 10):
        outlook.look(now, seconds=HOUR, left=left, changeover_seconds=300, kinds=kinds, reserves=reserves)
    return outlook


def test_deadline_that_nothing_makes_is_told_with_what_would() -> None:
    """3,600 images in an hour, of which one node makes 1,800: two more of those that were measured."""
    outlook = seen([SPOT], left=3_600)
    assert outlook.on_time is False
    assert outlook.text == (
        "the deadline cannot be met: 1,800 images will be missing; "
        "2 more nodes of g6e.xlarge spot (1,800 images an hour each) would make it"
    )


def test_deadline_that_takes_more_spot_nodes_says_so() -> None:
    """They may come, and may not."""
    outlook = seen([replace(SPOT, most=4)], left=3_600)
    assert outlook.text == "the deadline is met only if more spot nodes come: else 1,800 images will be missing"


@pytest.mark.parametrize(("kinds", "reserves"), [([replace(SPOT, there=4, most=4)], ()), ([SPOT, RESERVE], (1,))])
def test_nodes_that_are_there_and_the_reserve_are_counted_on(kinds: list[Kind], reserves: tuple[int, ...]) -> None:
    """3,400 images: four nodes make them, and so do a node and one of the reserve that begins in five minutes."""
    outlook = seen(kinds, left=3_400, reserves=reserves)
    assert (outlook.on_time, outlook.text) == (True, "")


def test_nothing_is_said_before_anything_was_measured_or_at_the_first_doubt() -> None:
    """A slow first minute is no news."""
    assert seen([replace(SPOT, images_per_second=0.0)], left=9).on_time is None
    outlook = Outlook()
    outlook.look(0, seconds=HOUR, left=3_600, changeover_seconds=300, kinds=[SPOT], reserves=())
    assert (outlook.on_time, outlook.text) == (None, "")


def test_node_that_would_come_too_late_is_no_remedy() -> None:
    """Nor is any number of them."""
    assert "later deadline" in remedy(9, seconds=200, changeover_seconds=300, kinds=[SPOT])
    assert shortfall(seconds=HOUR, left=1_900, changeover_seconds=300, kinds=[SPOT]) == 100
