"""Volumes at which one way is cheaper: exactly those, whatever the prices."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from pipeline.estimates.alternatives import Monthly, Volume, images_to_break_even, wins

MONEY = st.decimals(min_value=0, max_value=1000, places=6)
MONTHS = st.builds(
    Monthly,
    fixed_usd=MONEY,
    usd_per_image=st.decimals(min_value=0, max_value=1, places=6),
    most_images=st.none() | st.integers(1, 10_000_000),
)


def test_service_wins_below_and_a_card_above() -> None:
    """Nodes start for a dollar and take 1/1000 an image, a service 1/200, a card 100 a month and 1/10000 an image."""
    nodes = Monthly(fixed_usd=Decimal(1), usd_per_image=Decimal("0.001"))
    service = Monthly(fixed_usd=Decimal(0), usd_per_image=Decimal("0.005"))
    card = Monthly(fixed_usd=Decimal(100), usd_per_image=Decimal("0.0001"), most_images=1_000_000)
    assert wins(service, nodes) == Volume(least=1, most=249)
    assert wins(card, nodes) == Volume(least=110_001, most=1_000_000)
    assert wins(nodes, nodes) is None
    assert wins(Monthly(fixed_usd=Decimal(0), usd_per_image=Decimal("0.001")), nodes) == Volume(least=1, most=None)


def test_card_that_cannot_make_enough_never_wins() -> None:
    """It would have to make 110,001 images a month."""
    nodes = Monthly(fixed_usd=Decimal(1), usd_per_image=Decimal("0.001"))
    assert wins(Monthly(fixed_usd=Decimal(100), usd_per_image=Decimal("0.0001"), most_images=110_000), nodes) is None


def test_purchase_breaks_even_when_its_savings_have_paid_it() -> None:
    """5,000 dollars at a tenth of a cent saved an image; nothing where each image costs more."""
    assert images_to_break_even(Decimal(5000), Decimal("0.0001"), Decimal("0.0011")) == 5_000_000
    assert images_to_break_even(Decimal(5000), Decimal("0.0011"), Decimal("0.0011")) is None


@given(one=MONTHS, other=MONTHS, images=st.integers(1, 10_000_000))
def test_volume_holds_the_cheaper_months_and_no_others(one: Monthly, other: Monthly, images: int) -> None:
    """Whatever the prices, at the volume's own ends and anywhere else."""

    def cost(way: Monthly, count: int) -> Decimal:
        return way.fixed_usd + way.usd_per_image * count

    found = wins(one, other)
    ends = [] if found is None else [end + step for end in (found.least, found.most or images) for step in (-1, 0, 1)]
    for count in [images, *(end for end in ends if end >= 1)]:
        can = one.most_images is None or count <= one.most_images
        inside = found is not None and found.least <= count and (found.most is None or count <= found.most)
        assert inside == (can and cost(one, count) < cost(other, count))
