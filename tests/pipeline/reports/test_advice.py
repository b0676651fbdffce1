"""Each kind of waste gets its own advice, with the dollars that it would have saved."""

from decimal import Decimal

import pytest

from infra.stores.memory import MemoryStore
from pipeline.reports.figures import Advice
from pipeline.reports.ledger import open_ledger
from pipeline.reports.making import make_report
from tests.pipeline.reports.made_ledger import Batch, Life, make_ledger

LONG = Batch(images=40, seconds=4000)


def advice_on(*lives: Life) -> Advice | None:
    """Of one job."""
    store = MemoryStore()
    make_ledger(store, lives)
    with open_ledger(store) as ledger:
        report = make_report(ledger)
    if report.advice:
        assert 0 < report.advice.saved_usd <= report.usd
        assert report.advice.usd == report.total.categories[report.advice.line]
    return report.advice


def test_nodes_that_start_for_longer_than_they_render_are_too_many() -> None:
    """Six starts of 60 s for 360 s of rendering: one node would have done, and five starts be saved."""
    advice = advice_on(*(Life(name=f"n{number}", startup=60, batches=[Batch(seconds=60)]) for number in range(6)))
    assert advice is not None
    assert (advice.line, advice.saved_usd) == ("startup", advice.usd * 5 / 6)
    assert "1 instead of 6" in advice.text


def test_longer_lived_zone_is_preferred() -> None:
    """Where hours in both zones tell them apart."""
    bad = [
        Life(name=f"b{number}", zone="us-east-1b", batches=[LONG, Batch(seconds=900, fate="lost")], ends="reclaimed")
        for number in range(2)
    ]
    advice = advice_on(Life(name="a", zone="us-east-1a", batches=[LONG, LONG], idle=0), *bad)
    assert advice is not None
    assert (advice.line, advice.saved_usd) == ("lost_to_preemption", advice.usd)
    assert "prefer us-east-1a for g6.xlarge" in advice.text


def test_reclaims_in_one_zone_ask_for_smaller_batches() -> None:
    """Half the batch in flight costs half."""
    advice = advice_on(Life(name="a", batches=[LONG, Batch(seconds=900, fate="lost")], ends="reclaimed"))
    assert advice is not None
    assert (advice.line, advice.saved_usd) == ("lost_to_preemption", advice.usd / 2)
    assert "batches of 2 instead of 4" in advice.text


@pytest.mark.parametrize(("cause", "remedy"), [("OUT_OF_MEMORY", "smaller batches"), ("BAD_OUTPUT", "fp32 or bf16")])
def test_dearest_cause_of_failures_has_a_remedy(cause: str, remedy: str) -> None:
    """What was paid for the failed images would have been saved."""
    advice = advice_on(Life(name="a", batches=[LONG, Batch(seconds=500, fate="failed", cause=cause)]))
    assert advice is not None
    assert (advice.line, advice.saved_usd) == ("lost_to_failure", advice.usd)
    assert remedy in advice.text


def test_duplicates_ask_for_one_driver() -> None:
    """All of them."""
    advice = advice_on(Life(name="a", batches=[Batch(seconds=500), Batch(seconds=500, fate="again")], startup=1))
    assert advice is not None
    assert (advice.line, advice.saved_usd) == ("duplicate", advice.usd)


def test_waiting_for_the_last_node_asks_for_fewer_at_the_tail() -> None:
    """Three of four nodes wait for the fourth."""
    waiting = [Life(name=f"w{number}", startup=1, batches=[LONG], idle=1000) for number in range(3)]
    advice = advice_on(Life(name="last", startup=1, batches=[LONG, Batch(seconds=1000)], idle=0), *waiting)
    assert advice is not None
    assert advice.line == "idle"
    assert advice.saved_usd == pytest.approx(advice.usd / 2, abs=Decimal("1e-6"))
    assert "2 instead of 4" in advice.text


def test_waiting_for_a_last_batch_asks_for_smaller_ones() -> None:
    """Two of three nodes wait for less than the last batch of the third: half the batch, half the wait."""
    waiting = [Life(name=f"w{number}", startup=1, batches=[LONG], idle=900) for number in range(2)]
    advice = advice_on(Life(name="last", startup=901, batches=[LONG], idle=0), *waiting)
    assert advice is not None
    assert advice.line == "idle"
    assert advice.saved_usd == pytest.approx(advice.usd / 2, abs=Decimal("1e-6"))
    assert "batches of 2 instead of 4" in advice.text


def test_cheaper_type_for_the_same_images_is_named() -> None:
    """All spend of each type over its images, compared for the same model and size only."""
    dear = Life(name="a", node_type="p5.4xlarge", usd_per_hour=Decimal("6.88"), batches=[LONG], idle=0, startup=0)
    cheap = Life(name="b", node_type="g6.xlarge", usd_per_hour=Decimal("0.36"), batches=[LONG], idle=0, startup=0)
    advice = advice_on(dear, cheap)
    assert advice is not None
    assert advice.line == "rendering"
    assert advice.saved_usd == pytest.approx(Decimal(4000) / 3600 * Decimal("6.52"), abs=Decimal("1e-4"))
    assert "less on g6.xlarge spot than on p5.4xlarge spot, in 1.0 times the GPU time" in advice.text
    other = Life(name="c", node_type="g5.xlarge", batches=[Batch(images=40, model="other", seconds=4000)], idle=0)
    assert advice_on(cheap, other) is None


def test_nothing_is_advised_where_nothing_was_wasted() -> None:
    """One node that only rendered."""
    assert advice_on(Life(name="a", batches=[LONG], startup=0, idle=0)) is None
